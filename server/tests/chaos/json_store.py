"""Runs the real `strom` on a JSON file while what surrounds it fails, and audits the flows against a ledger.

Editors and engines change flows over HTTP, and a person edits `flows.json`, also from outdated copies. At the same time the server is
killed, its clock jumps, its log stalls, its lock disappears, and another file system covers its directory. Exits with 1 if an
acknowledged change is lost without a report, or if `strom check --repair` does not return the store to zero faults.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from ledger import Ledger
from server import FAKETIME, Failed, Server, wait_for

FLOWS = 12
STATES = ["Playing", "Paused", "Ready", "Null"]
# Statuses that promise that nothing was written. The text of a 503 says whether that is so.
WRITTEN = {200, 201}


def outcome_of(call):
    """Sends a change. Returns its outcome for the ledger."""
    try:
        status, body = call()
    except OSError:
        return "unknown"
    if status in WRITTEN:
        return "acknowledged"
    return "refused" if b"nothing was written" in body or status < 500 else "unknown"


class Campaign:
    """The server, its clients, and what happens to them."""

    def __init__(self, strom, directory, seed):
        self.directory = directory / "store"
        self.directory.mkdir()
        self.path = self.directory / "flows.json"
        self.server = Server(strom, directory, self.path)
        self.ledger, self.random = Ledger(), random.Random(seed)
        self.ids = [str(uuid.UUID(int=0x5713_0000_0000_4000_8000_0000_0000_0000 + number)) for number in range(FLOWS)]
        self.running, self.paused = threading.Event(), threading.Event()
        self.busy = threading.Semaphore(0)
        self.numbers = iter(range(10**9))
        self.edits = {}
        self.counts = {}

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

    def clients(self):
        """Returns the functions of the clients: each makes one change."""
        def editor():
            flow, mark = random.choice(self.ids), f"e{next(self.numbers)}"
            patch = [{"op": "add", "path": "/elements/-", "value": {"id": mark}}]
            kind = "application/json-patch+json"
            self.ledger.edit(flow, mark, outcome_of(lambda: self.server.call("PATCH", f"/api/flows/{flow}", patch, kind)))

        def engine_of(flow):
            def report():
                state = random.choice(STATES)
                body = {"state": state}
                self.ledger.report(flow, state, outcome_of(lambda: self.server.call("PUT", f"/api/flows/{flow}/state", body)))
            return report

        return [editor, editor, *(engine_of(flow) for flow in self.ids)]

    def run_client(self, change):
        while self.running.is_set():
            if self.paused.is_set():
                self.busy.release()
                wait_for("the clients continue", lambda: not self.paused.is_set() or not self.running.is_set(), 600)
            change()
            time.sleep(random.uniform(0.05, 0.4))

    def audit(self, when):
        """Stops all clients for a moment, and compares the flows with the ledger."""
        self.paused.set()
        for _ in range(self.client_count):
            self.busy.acquire()
        self.wait_for_edits()
        status, body = self.server.call("GET", "/api/flows")
        faults = self.ledger.faults_in(json.loads(body)["flows"]) if status == 200 else [f"GET /api/flows: {status}"]
        _, trash = self.server.call("GET", "/api/trash")
        if self.trash.encode() not in trash:
            faults.append("the deleted flow is missing from the trash")
        with tempfile.TemporaryDirectory(prefix="strom-chaos-copy-") as copy:
            faults += self.faults_after_repair(self.copy_files(Path(copy)))
        if faults:
            raise Failed(f"after {when}:\n  " + "\n  ".join(faults) + f"\nlog:\n{self.server.tail()}")
        self.paused.clear()

    # Edits of the file by a person

    def edit_file(self, age):
        """Adds an element to a flow in a copy of the file that is `age` seconds old, and puts the copy in place."""
        try:
            content = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return
        time.sleep(age)
        flow = self.random.choice(content["flows"])
        mark = f"h{next(self.numbers)}"
        flow.setdefault("elements", []).append({"id": mark})
        copy = self.path.with_suffix(".edited")
        copy.write_text(json.dumps(content, indent=2))
        self.ledger.edit(flow["id"], mark, "unknown")
        self.edits[mark] = flow["id"]
        os.replace(copy, self.path)

    def wait_for_edits(self):
        """Waits until each edit of the file is stored or reported, and records the outcome."""
        def is_settled():
            flows = {flow["id"]: flow for flow in json.loads(self.server.call("GET", "/api/flows")[1])["flows"]}
            for mark, flow in list(self.edits.items()):
                if any(element["id"] == mark for element in flows[flow].get("elements", [])):
                    self.ledger.edit(flow, mark, "acknowledged")
                elif any(flow in line and "flows.json" in line for line in self.server.log):
                    self.ledger.counts["edits of the file reported"] += 1
                else:
                    continue
                del self.edits[mark]
            return not self.edits
        wait_for("an edit of the file is stored or reported", is_settled)

    # Faults

    def kill(self):
        self.server.kill()
        self.server.start()

    def stop(self):
        self.server.stop()
        self.server.start()

    def hang_up(self):
        self.server.stop(signal.SIGHUP)
        self.server.start()

    def clock_forward(self):
        self.server.set_clock("+400d")
        time.sleep(4)
        self.server.set_clock("+0")

    def clock_backward(self):
        self.server.set_clock("-30d")
        time.sleep(4)
        self.server.set_clock("+0")

    def stalled_log(self):
        self.server.is_log_read.clear()
        time.sleep(4)
        self.server.is_log_read.set()

    def removed_lock(self):
        Path(f"{self.path}.lock").unlink(missing_ok=True)
        time.sleep(2)

    def mount(self):
        """Covers the directory with an empty file system. No change may be acknowledged in there."""
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.directory], check=True)
        try:
            time.sleep(4)
            if any(self.directory.iterdir()):
                names = sorted(path.name for path in self.directory.iterdir())
                self.ledger.counts[f"files in the covering directory: {names}"] += 1
        finally:
            subprocess.run(["umount", self.directory], check=True)
        self.server.kill()
        self.server.start()

    def edited_file(self):
        self.edit_file(0)

    def stale_file(self):
        self.edit_file(self.random.uniform(0.5, 4))

    def edit_while_stopped(self):
        self.server.stop()
        self.edit_file(0)
        self.server.start()

    def edit_after_kill(self):
        self.server.kill()
        self.edit_file(0)
        self.server.start()

    def run(self, seconds):
        self.server.start()
        self.create_flows()
        self.running.set()
        changes = self.clients()
        self.client_count = len(changes)
        threads = [threading.Thread(target=self.run_client, args=[change], daemon=True) for change in changes]
        for thread in threads:
            thread.start()
        faults = [
            self.kill, self.stop, self.hang_up, self.clock_forward, self.clock_backward, self.stalled_log, self.removed_lock,
            self.edited_file, self.stale_file, self.edit_while_stopped, self.edit_after_kill,
        ]
        if os.geteuid() == 0 and shutil.which("mount"):
            faults.append(self.mount)
        else:
            print("no mounts: they require root")
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
        self.audit_at_rest()

    def copy_files(self, directory):
        """Copies the files of the store while the server runs, as a crash would leave them. Returns the path of the copy."""
        def read():
            files = [path for path in sorted(self.directory.iterdir()) if path.name.startswith("flows.json")]
            return {path.name: path.read_bytes() for path in files if path.suffix != ".lock"}

        def stable():
            try:
                before = read()
                return before if before == read() else None
            except FileNotFoundError:
                return None

        for name, content in wait_for("the files are at rest", stable).items():
            (directory / name).write_bytes(content)
        return directory / self.path.name

    def faults_after_repair(self, path):
        """Repairs a store that no server uses. Returns what `strom check` and the ledger find afterwards."""
        self.server.command("check", "--repair", path=path)
        checked = self.server.command("check", path=path)
        if checked.returncode != 0:
            return [f"`strom check` reports faults after a repair:\n{checked.stdout}{checked.stderr}"]
        return self.ledger.faults_in(json.loads(path.read_text())["flows"])

    def audit_at_rest(self):
        """Stops the server, repairs the store, and compares the file with the ledger."""
        self.server.stop()
        faults = self.faults_after_repair(self.path)
        if faults:
            raise Failed("in the file:\n  " + "\n  ".join(faults))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strom", help="the program")
    parser.add_argument("--seconds", type=int, default=1800, help="how long to run (default: 1800)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="seed of the faults")
    arguments = parser.parse_args()
    if not Path(FAKETIME).exists():
        sys.exit("error: libfaketime is missing; install the Debian package `libfaketime`")
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory(prefix="strom-chaos-") as directory:
        campaign = Campaign(str(Path(arguments.strom).resolve()), Path(directory), arguments.seed)
        try:
            campaign.run(arguments.seconds)
        except Failed as failure:
            print(f"error: {failure}", file=sys.stderr)
            return 1
        finally:
            if campaign.server.process and campaign.server.process.poll() is None:
                campaign.server.kill()
        for what, count in sorted({**campaign.ledger.counts, **campaign.counts}.items()):
            print(f"{count:7}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
