"""Measures what clients notice of a failover: three nodes under Patroni, the real `strom`, and clients that never pause.

Prints a table per scenario, which docs/high-availability.md explains. Exits with 1 if one of these conditions holds:
- A write that was acknowledged with a synchronous standby is missing.
- A refused write is stored.
- A node does not rejoin the cluster.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cluster import Cluster, Failed, require_programs, versions, wait_for
from load import Load, acknowledged, interruption, latencies, longest_gap

TIMINGS = {
    "default": {"ttl": 30, "loop_wait": 10, "retry_timeout": 10},
    "short": {"ttl": 20, "loop_wait": 5, "retry_timeout": 5},
}
# For each scenario: what happens to the primary, and whether the cluster has a synchronous standby.
SCENARIOS = {
    "kill": ("its server and its Patroni are killed", True),
    "freeze": ("all its processes stop responding, and wake up later", True),
    "lag": ("its standbys receive nothing for a second, then it is killed", True),
    "switchover": ("an operator switches over to another node", True),
    "kill-async": ("its server and its Patroni are killed", False),
    "lag-async": ("its standbys receive nothing for a second, then it is killed", False),
}
SECONDS_OF_LOAD = 5  # seconds of load before and after the event


@contextmanager
def strom(binary, directory, name, url, *arguments):
    """Runs a server. Yields its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STROM_", "PG"))}
    with open(directory / f"{name}.log", "ab") as log:
        server = subprocess.Popen(
            [binary, "serve", "--port", "0", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            text=True, env={**environment, "STROM_DATABASE_URL": url, "RUST_LOG": "info"},
        )
    try:
        line = server.stdout.readline()
        if "http://" not in line:
            raise Failed(f"{name} did not start: {(directory / f'{name}.log').read_text().strip()}")
        yield line.strip().rpartition("http://")[2]
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def apply_fault(cluster, scenario):
    """Applies the scenario to the primary. Returns the node that must be restarted, if any."""
    leader = cluster.leader()
    kind = scenario.partition("-")[0]
    if kind == "switchover":
        cluster.switchover(leader)
        return None
    if kind == "freeze":
        leader.signal(signal.SIGSTOP)
        return leader
    if kind == "lag":
        leader.signal(signal.SIGSTOP, leader.walsenders())
        time.sleep(1)
    leader.signal(signal.SIGKILL)
    leader.process.wait()
    return leader


def restart(cluster, scenario, node):
    """Restarts the node. Returns the seconds until the cluster is complete again, or `None` if that does not happen."""
    if node and scenario.startswith("freeze"):
        node.signal(signal.SIGCONT)
    elif node:
        cluster.start(node)
    begin = time.monotonic()
    try:
        cluster.wait_until_whole(60)
    except Failed:
        return None
    return time.monotonic() - begin


def run(scenario, timing, interface, binary):
    """Runs one failover. Returns the observations by name."""
    synchronous = SCENARIOS[scenario][1]
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(synchronous, TIMINGS[timing], interface))
        writing = stack.enter_context(strom(binary, cluster.directory, "strom", cluster.url("read-write")))
        # A read-only instance needs the schema that the writing instance has just created.
        cluster.wait_until_replayed()
        url = cluster.url("prefer-standby")
        reading = stack.enter_context(strom(binary, cluster.directory, "reader", url, "--read-only"))
        load = Load(writing, {"strom": writing, "reader": reading})
        try:
            time.sleep(SECONDS_OF_LOAD)
            before, begin = list(load.writes), time.monotonic()
            old = cluster.leader()
            stopped_node = apply_fault(cluster, scenario)
            fault_end = time.monotonic()
            wait_for("another leader", 120, lambda: (leader := cluster.leader()) and leader is not old)
            elected = time.monotonic() - begin
            since = time.monotonic()
            wait_for("a write after the failover", 120, lambda: acknowledged(load.writes, max(since, fault_end)))
            time.sleep(SECONDS_OF_LOAD)
            recovery_time = restart(cluster, scenario, stopped_node)
            time.sleep(SECONDS_OF_LOAD)
        except Failed as failed:
            logs = "\n".join(_tail(cluster.directory / f"{name}.log") for name in ("strom", "reader"))
            raise Failed(f"{failed}\n{logs}") from failed
        finally:
            load.stop()
        stored = set(cluster.psql("SELECT id FROM flows", "strom"))
    outcome = {name: {w.id for w in load.writes if w.outcome == name} for name in ("acknowledged", "refused", "unknown")}
    refused, reasons = interruption(load.writes, "acknowledged")
    successful = acknowledged(load.writes)
    median, slowest = latencies(acknowledged(before))
    observations = {
        "scenario": scenario,
        "writes/s before": len(acknowledged(before)) / SECONDS_OF_LOAD,
        "median, p99 before (ms)": f"{median:.1f}, {slowest:.1f}",
        "new leader after (s)": elected,
        "complete again after (s)": "never" if recovery_time is None else recovery_time,
        "first to last refusal (s)": refused,
        "longest without an acknowledgement (s)": longest_gap(w.end for w in successful),
        "acknowledged": len(outcome["acknowledged"]),
        "of these missing": len(outcome["acknowledged"] - stored),
        "refused": len(outcome["refused"]),
        "of these stored": len(outcome["refused"] & stored),
        "unknown": len(outcome["unknown"]),
        "unknown, stored": len(outcome["unknown"] & stored),
    }
    for name, reads in load.reads.items():
        observations[f"{name}: longest without a read (s)"] = longest_gap(r.end for r in reads if r.outcome == "answered")
        reasons += interruption(reads, "answered")[1]
    observations["other responses"] = ", ".join(f"{count} × {what}" for what, count in reasons.most_common())
    observations["failed"] = recovery_time is None or observations["of these stored"] or (synchronous and observations["of these missing"])
    return observations


def _tail(path):
    return f"{path.name}:\n" + "\n".join(path.read_text().splitlines()[-20:])


def show(observations):
    for name, value in observations.items():
        if name != "failed":
            print(f"  {name:38} {value:.2f}" if isinstance(value, float) else f"  {name:38} {value}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strom", type=Path, required=True, metavar="PROGRAM")
    parser.add_argument("--timing", choices=TIMINGS, default="default", help="default: ttl 30 s, the default of Patroni; short: ttl 20 s")
    parser.add_argument("--dcs", choices=("etcd", "etcd3"), default="etcd", help="the interface of etcd that Patroni uses")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"one of {', '.join(SCENARIOS)}; default: all")
    arguments = parser.parse_args()
    unknown = set(arguments.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    # Exits with an exception, so that every `with` statement cleans up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    require_programs()
    print(f"{versions()} over {arguments.dcs}, {TIMINGS[arguments.timing]}", flush=True)
    failed = False
    for _ in range(arguments.rounds):
        for scenario in arguments.scenarios or SCENARIOS:
            print(f"\nThe primary: {SCENARIOS[scenario][0]}", flush=True)
            observations = run(scenario, arguments.timing, arguments.dcs, arguments.strom.resolve())
            show(observations)
            failed |= bool(observations["failed"])
    if failed:
        print(
            "\nerror: an acknowledged write is missing, a refused write is stored, or a node did not rejoin the cluster",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        sys.exit(2)
