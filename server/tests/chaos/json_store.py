"""Runs the real `strom` on a JSON file while what surrounds it fails, and audits the flows against a ledger.

Editors and engines change flows over HTTP, and a person edits `flows.json`, also from outdated copies. At the same time the server is
killed, its clock jumps, its log stalls, its lock disappears, and another file system covers its directory. Exits with 1 if an
acknowledged change is lost without a report, or if `strom check --repair` does not return the store to zero faults.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import campaign
from server import Failed, Server, wait_for


class Campaign(campaign.Campaign):
    """A server on a JSON file."""

    def __init__(self, strom, directory, seed):
        super().__init__(seed)
        self.directory = directory / "store"
        self.directory.mkdir()
        self.path = self.directory / "flows.json"
        self.servers = [Server(strom, directory, {"STROM_FLOWS_PATH": str(self.path)})]
        self.edits = {}

    def audit_flows(self):
        self.wait_for_edits()
        status, body = self.server.call("GET", "/api/flows")
        faults = self.ledger.faults_in(json.loads(body)["flows"]) if status == 200 else [f"GET /api/flows: {status}"]
        with tempfile.TemporaryDirectory(prefix="strom-chaos-copy-") as copy:
            return faults + self.faults_after_repair(self.copy_files(Path(copy)))

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

    def hang_up(self):
        """A server without a terminal is a service, which SIGHUP does not stop."""
        self.server.log.clear()
        self.server.process.send_signal(signal.SIGHUP)
        wait_for("the server logs SIGHUP", lambda: any("SIGHUP" in line for line in list(self.server.log)))

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

    def faults(self):
        faults = [
            self.kill, self.stop, self.hang_up, self.clock_forward, self.clock_backward, self.stalled_log, self.removed_lock,
            self.edited_file, self.stale_file, self.edit_while_stopped, self.edit_after_kill,
        ]
        if os.geteuid() == 0 and shutil.which("mount"):
            return [*faults, self.mount]
        print("no mounts: they require root")
        return faults

    def run(self, seconds):
        super().run(seconds)
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
        storage = {"STROM_FLOWS_PATH": str(path)}
        self.server.command("check", "--repair", storage=storage)
        checked = self.server.command("check", storage=storage)
        if checked.returncode != 0:
            return [f"`strom check` reports faults after a repair:\n{checked.stdout}{checked.stderr}"]
        return self.ledger.faults_in(json.loads(path.read_text())["flows"])

    def audit_at_rest(self):
        """Stops the server, repairs the store, and compares the file with the ledger."""
        self.server.stop()
        faults = self.faults_after_repair(self.path)
        if faults:
            raise Failed("in the file:\n  " + "\n  ".join(faults))


if __name__ == "__main__":
    sys.exit(campaign.main(__doc__, Campaign))
