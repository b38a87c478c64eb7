"""What a failover costs those who use Strom: three nodes under Patroni, the real `strom`, and clients that never pause.

Prints a table, and ends with 1 when a write is missing that was acknowledged with a synchronous standby, when one is
there that was refused, and when the nodes do not come together again. docs/high-availability.md explains what it shows.
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
# Name: what happens to the primary, and whether a standby is synchronous.
SCENARIOS = {
    "kill": ("its server and its Patroni are killed", True),
    "freeze": ("all its processes stop answering, and wake up later", True),
    "lag": ("its standbys get nothing for a second, then it is killed", True),
    "switchover": ("an operator hands over to another node", True),
    "kill-async": ("its server and its Patroni are killed", False),
    "lag-async": ("its standbys get nothing for a second, then it is killed", False),
}
CALM = 5  # seconds of load before and after


@contextmanager
def strom(binary, directory, name, url, *arguments):
    """A running server, and its address."""
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


def strike(cluster, scenario):
    """Does to the primary what the scenario says. Gives the node that has to be brought back, if any."""
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


def bring_back(cluster, scenario, node):
    """Gives how long it takes until all three nodes follow one leader again; `None` when they do not."""
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
    """One failover. Gives what was seen, by name."""
    synchronous = SCENARIOS[scenario][1]
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(synchronous, TIMINGS[timing], interface))
        writing = stack.enter_context(strom(binary, cluster.directory, "strom", cluster.url("read-write")))
        # A read-only instance needs the schema that the other one has just made.
        cluster.wait_until_replayed()
        url = cluster.url("prefer-standby")
        reading = stack.enter_context(strom(binary, cluster.directory, "reader", url, "--read-only"))
        load = Load(writing, {"strom": writing, "reader": reading})
        try:
            time.sleep(CALM)
            before, begin = list(load.writes), time.monotonic()
            old = cluster.leader()
            lost_node = strike(cluster, scenario)
            struck = time.monotonic()
            wait_for("another leader", 120, lambda: (leader := cluster.leader()) and leader is not old)
            elected = time.monotonic() - begin
            since = time.monotonic()
            wait_for("a write after the failover", 120, lambda: acknowledged(load.writes, max(since, struck)))
            time.sleep(CALM)
            whole = bring_back(cluster, scenario, lost_node)
            time.sleep(CALM)
        except Failed as failed:
            logs = "\n".join(_tail(cluster.directory / f"{name}.log") for name in ("strom", "reader"))
            raise Failed(f"{failed}\n{logs}") from failed
        finally:
            load.stop()
        there = set(cluster.psql("SELECT id FROM flows", "strom"))
    outcome = {name: {w.id for w in load.writes if w.outcome == name} for name in ("acknowledged", "refused", "unknown")}
    refused, why = interruption(load.writes, "acknowledged")
    good = acknowledged(load.writes)
    median, slowest = latencies(acknowledged(before))
    seen = {
        "scenario": scenario,
        "writes/s before": len(acknowledged(before)) / CALM,
        "median, p99 before (ms)": f"{median:.1f}, {slowest:.1f}",
        "other leader after (s)": elected,
        "whole again after (s)": "never" if whole is None else whole,
        "first to last refusal (s)": refused,
        "longest without an acknowledgement (s)": longest_gap(w.end for w in good),
        "acknowledged": len(outcome["acknowledged"]),
        "of these missing": len(outcome["acknowledged"] - there),
        "refused": len(outcome["refused"]),
        "of these there": len(outcome["refused"] & there),
        "unknown": len(outcome["unknown"]),
        "unknown, there": len(outcome["unknown"] & there),
    }
    for name, reads in load.reads.items():
        seen[f"{name}: longest without a read (s)"] = longest_gap(r.end for r in reads if r.outcome == "answered")
        why += interruption(reads, "answered")[1]
    seen["answers"] = ", ".join(f"{count} × {what}" for what, count in why.most_common())
    seen["failed"] = whole is None or seen["of these there"] or (synchronous and seen["of these missing"])
    return seen


def _tail(path):
    return f"{path.name}:\n" + "\n".join(path.read_text().splitlines()[-20:])


def show(seen):
    for name, value in seen.items():
        if name != "failed":
            print(f"  {name:38} {value:.2f}" if isinstance(value, float) else f"  {name:38} {value}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strom", type=Path, required=True, metavar="PROGRAM")
    parser.add_argument("--timing", choices=TIMINGS, default="default", help="ttl 30 s, Patroni's own, or ttl 20 s")
    parser.add_argument("--dcs", choices=("etcd", "etcd3"), default="etcd", help="the interface of etcd that Patroni uses")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"all of {', '.join(SCENARIOS)}")
    arguments = parser.parse_args()
    unknown = set(arguments.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    # So that everything is cleaned up at the end of whatever `with` it happens in.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    require_programs()
    print(f"{versions()} over {arguments.dcs}, {TIMINGS[arguments.timing]}", flush=True)
    failed = False
    for _ in range(arguments.rounds):
        for scenario in arguments.scenarios or SCENARIOS:
            print(f"\nThe primary: {SCENARIOS[scenario][0]}", flush=True)
            seen = run(scenario, arguments.timing, arguments.dcs, arguments.strom.resolve())
            show(seen)
            failed |= bool(seen["failed"])
    if failed:
        print(
            "\nerror: a write was acknowledged and is missing, or was refused and is there, or a node did not come back",
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
