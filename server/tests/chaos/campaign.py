"""What the campaigns have in common: clients that change flows over HTTP, faults in random order, and audits at rest."""

import argparse
import random
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from ledger import Ledger
from server import FAKETIME, Failed, wait_for

FLOWS = 12
STATES = ["Playing", "Paused", "Ready", "Null"]


def outcome_of(call):
    """Sends a change. Returns its outcome for the ledger."""
    try:
        status, body = call()
    except OSError:
        return "unknown"
    if status in (200, 201):
        return "acknowledged"
    # Other responses promise that nothing was written. The text of a 503 says whether that is so.
    return "refused" if b"nothing was written" in body or status < 500 else "unknown"


class Campaign:
    """The servers, their clients, and what happens to them. A subclass has `servers`, `faults()` and `audit_flows()`."""

    def __init__(self, seed):
        self.ledger, self.random = Ledger(), random.Random(seed)
        self.ids = [str(uuid.UUID(int=0x5713_0000_0000_4000_8000_0000_0000_0000 + number)) for number in range(FLOWS)]
        self.running, self.paused = threading.Event(), threading.Event()
        self.busy = threading.Semaphore(0)
        self.numbers = iter(range(10**9))
        self.counts = {}

    @property
    def server(self):
        """Any of the servers."""
        return random.choice(self.servers)

    def create_flows(self):
        for number, flow in enumerate(self.ids):
            status, body = self.server.call("POST", "/api/flows", {"id": flow, "name": f"flow {number}", "elements": []})
            if status != 201:
                raise Failed(f"cannot create a flow: {body}")
            self.ledger.acknowledged[flow], self.ledger.states[flow] = set(), {"Null"}
        # A deleted flow, which no clock may remove from the trash.
        self.trash = str(uuid.uuid4())
        self.server.call("POST", "/api/flows", {"id": self.trash, "name": "deleted"})
        self.server.call("DELETE", f"/api/flows/{self.trash}")

    def edit(self):
        """An editor adds an element."""
        flow, mark = random.choice(self.ids), f"e{next(self.numbers)}"
        patch = [{"op": "add", "path": "/elements/-", "value": {"id": mark}}]
        kind = "application/json-patch+json"
        self.ledger.edit(flow, mark, outcome_of(lambda: self.server.call("PATCH", f"/api/flows/{flow}", patch, kind)))

    def report(self, flow):
        """An engine reports its state."""
        state = random.choice(STATES)
        body = {"state": state}
        self.ledger.report(flow, state, outcome_of(lambda: self.server.call("PUT", f"/api/flows/{flow}/state", body)))

    def clients(self):
        """Returns the functions of the clients: each makes one change."""
        return [self.edit, self.edit, *(lambda flow=flow: self.report(flow) for flow in self.ids)]

    def run_client(self, change):
        while self.running.is_set():
            if self.paused.is_set():
                self.busy.release()
                wait_for("the clients continue", lambda: not self.paused.is_set() or not self.running.is_set(), 600)
            change()
            time.sleep(random.uniform(0.05, 0.4))

    def pause(self):
        """Waits until no client has a change under way."""
        self.paused.set()
        for _ in range(self.client_count):
            self.busy.acquire()

    def audit(self, when):
        """Stops all clients for a moment, and compares the flows with the ledger."""
        if not self.paused.is_set():
            self.pause()
        faults = self.audit_flows()
        _, trash = self.server.call("GET", "/api/trash")
        if self.trash.encode() not in trash:
            faults.append("the deleted flow is missing from the trash")
        if faults:
            logs = "\n".join(f"log:\n{server.tail()}" for server in self.servers)
            raise Failed(f"after {when}:\n  " + "\n  ".join(faults) + f"\n{logs}")
        self.paused.clear()

    def run(self, seconds):
        for server in self.servers:
            server.start()
        self.create_flows()
        self.running.set()
        changes = self.clients()
        self.client_count = len(changes)
        threads = [threading.Thread(target=self.run_client, args=[change], daemon=True) for change in changes]
        for thread in threads:
            thread.start()
        faults = self.faults()
        end, rounds = time.monotonic() + seconds, 0
        while time.monotonic() < end or rounds < len(faults):
            # Each fault once, then at random.
            fault = faults[rounds] if rounds < len(faults) else self.random.choice(faults)
            rounds += 1
            time.sleep(self.random.uniform(0.5, 2))
            self.counts[fault.__name__] = self.counts.get(fault.__name__, 0) + 1
            fault()
            self.audit(fault.__name__)
        self.running.clear()
        for thread in threads:
            thread.join()

    # Faults of any storage

    def kill(self):
        server = self.server
        server.kill()
        server.start()

    def stop(self):
        server = self.server
        server.stop()
        server.start()

    def clock_forward(self):
        self.jump("+400d")

    def clock_backward(self):
        self.jump("-30d")

    def jump(self, offset):
        server = self.server
        server.set_clock(offset)
        time.sleep(4)
        server.set_clock("+0")


def main(description, begin):
    """Runs the campaign that `begin` returns for a program, a directory and a seed. Returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("strom", help="the program")
    parser.add_argument("--seconds", type=int, default=1800, help="how long to run (default: 1800)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="seed of the faults")
    arguments = parser.parse_args()
    if not Path(FAKETIME).exists():
        sys.exit("error: libfaketime is missing; install the Debian package `libfaketime`")
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="strom-chaos-") as directory:
        campaign = begin(str(Path(arguments.strom).resolve()), Path(directory), arguments.seed)
        try:
            campaign.run(arguments.seconds)
        except Failed as failure:
            print(f"error: {failure}", file=sys.stderr)
            return 1
        finally:
            for server in campaign.servers:
                if server.process and server.process.poll() is None:
                    server.kill()
        for what, count in sorted({**campaign.ledger.counts, **campaign.counts}.items()):
            print(f"{count:7}  {what}")
    return 0
