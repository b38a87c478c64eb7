"""Runs three instances of the real `strom` on one PostgreSQL database while others change it, and audits every change.

Editors and engines use the API of all instances. SQL writers edit flows at every isolation level, with savepoints, and with the blind
upserts of an older version. At the same time instances are killed, clocks jump, sessions end, the server crashes, rows are locked, flows
are truncated, copied and replaced, triggers are disabled, and the schema is dropped and restored. After each fault, every
acknowledged edit must be in `flow_changes`, no record may lose an edit except those of blind writers, the flows must equal their last
records, and `strom check` must find no fault. While the schema is damaged, no instance may be ready. Requires DATABASE_URL, the URL of a
server without other users.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import campaign
from server import Failed, Server, wait_for

INSTANCES = 3
SQL_WRITERS = 4
LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
# An editor removes the oldest elements of a flow that has more.
ELEMENTS = 60
DAMAGES = [
    "ALTER TABLE flows DISABLE TRIGGER ALL",
    "ALTER TABLE flows DISABLE TRIGGER strom_record_update",
    "ALTER TABLE flows DISABLE TRIGGER strom_before_write",
    "DROP TRIGGER strom_record ON flows",
    "DELETE FROM flow_log",
    "ALTER TABLE flows DROP CONSTRAINT flows_pkey",
]


def quoted(document):
    return f"$document${json.dumps(document)}$document$"


class Database:
    """The database, as `psql` sees it."""

    def __init__(self, url):
        self.url = url
        self.bin = Path(os.environ.get("POSTGRES_BIN", "/usr/bin"))

    def run(self, sql):
        """Runs statements. Returns the outcome for the ledger, and the output."""
        command = [self.bin / "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", self.url]
        done = subprocess.run(command, input=sql, capture_output=True, text=True)
        if done.returncode == 0:
            return "acknowledged", done.stdout
        # An error of the server rolls back. Without an answer, the outcome is unknown.
        is_answered = done.returncode == 3 and "FATAL" not in done.stderr and "connection" not in done.stderr
        return "refused" if is_answered else "unknown", done.stderr

    def must(self, sql):
        """Runs statements until they succeed: they may conflict with other writers, or the server may restart."""
        output = ""

        def is_done():
            nonlocal output
            outcome, output = self.run(sql)
            return outcome == "acknowledged"

        try:
            wait_for("statements succeed", is_done)
        except Failed:
            raise Failed(f"{sql}: {output}") from None
        return output

    def rows(self, query):
        return [json.loads(line) for line in self.must(f"SELECT to_jsonb(row) FROM ({query}) AS row").splitlines() if line]

    def sql_of(self, schema):
        """Returns a dump of a schema as SQL."""
        command = [self.bin / "pg_dump", "--no-owner", "--schema", schema, "--dbname", self.url]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Campaign(campaign.Campaign):
    """Three instances on a database, and its other users."""

    def __init__(self, strom, directory, seed):
        super().__init__(seed)
        self.database = Database(os.environ["DATABASE_URL"])
        storage = {"STROM_DATABASE_URL": self.database.url, "STROM_HISTORY_REVISIONS": "1000000"}
        self.servers = [
            Server(strom, directory, storage | {"STROM_DATA_DIR": str(directory / f"instance-{number}")}) for number in range(INSTANCES)
        ]
        # Each SQL writer holds one of these during its statements, and damage holds all.
        self.sql_writers = threading.Semaphore(SQL_WRITERS)
        self.removed = set()
        # The flows whose reports a blind writer may have overwritten since the last audit. A later edit removes its record of the
        # report.
        self.overwritten = set()
        # The contents of the audited part of the history.
        self.cursor = (0, 0, 0)
        self.seen = {flow: set() for flow in self.ids}
        self.last = {}

    # Clients

    def clients(self):
        return [*super().clients(), self.shorten, *[self.edit_by_sql] * 2, self.edit_with_savepoint, self.upsert]

    def shorten(self):
        """Removes the oldest elements of a long flow, if they are still the oldest."""
        flow = random.choice(self.ids)
        try:
            status, body = self.server.call("GET", f"/api/flows/{flow}")
        except OSError:
            return
        elements = json.loads(body)["flow"].get("elements", []) if status == 200 else []
        if len(elements) <= ELEMENTS:
            return
        oldest = [element["id"] for element in elements[: ELEMENTS // 2]]
        self.removed.update(oldest)
        patch = [
            operation for mark in oldest
            for operation in [{"op": "test", "path": "/elements/0/id", "value": mark}, {"op": "remove", "path": "/elements/0"}]
        ]
        with contextlib.suppress(OSError):
            self.server.call("PATCH", f"/api/flows/{flow}", patch, "application/json-patch+json")

    def appended(self, flow, mark):
        return (
            f"UPDATE flows SET data = jsonb_set(data, '{{elements}}', coalesce(data -> 'elements', '[]') || "
            f"'[{{\"id\": \"{mark}\"}}]') WHERE id = '{flow}' RETURNING 'appended {mark}';\n"
        )

    def edit_by_sql(self):
        flow, mark = random.choice(self.ids), f"s{next(self.numbers)}"
        with self.sql_writers:
            outcome, output = self.database.run(
                f"BEGIN ISOLATION LEVEL {random.choice(LEVELS)};\n{self.appended(flow, mark)}COMMIT;"
            )
        if outcome == "acknowledged" and mark not in output:
            outcome = "refused"
        self.ledger.edit(flow, mark, outcome)

    def edit_with_savepoint(self):
        """Of two edits in a transaction, one is rolled back."""
        flow, kept, undone = random.choice(self.ids), f"k{next(self.numbers)}", f"u{next(self.numbers)}"
        with self.sql_writers:
            outcome, output = self.database.run(
                f"BEGIN ISOLATION LEVEL {random.choice(LEVELS)};\n{self.appended(flow, kept)}SAVEPOINT a;\n"
                f"{self.appended(flow, undone)}ROLLBACK TO SAVEPOINT a;\nCOMMIT;"
            )
        if outcome == "acknowledged" and kept not in output:
            outcome = "refused"
        self.ledger.edit(flow, kept, outcome)
        self.ledger.edit(flow, undone, "refused")

    def upsert(self):
        """Saves a flow as an older version does: without looking at what others have changed since it has read the flow."""
        flow, mark = random.choice(self.ids), f"o{next(self.numbers)}"
        with self.sql_writers:
            outcome, output = self.database.run(f"SELECT data FROM flows WHERE id = '{flow}'")
            if outcome != "acknowledged" or not output:
                return
            document = json.loads(output)
            document.setdefault("elements", []).append({"id": mark})
            time.sleep(random.uniform(0, 0.1))
            self.overwritten.add(flow)
            outcome, _ = self.database.run(self.upserted(document))
        self.ledger.edit(flow, mark, outcome)

    def upserted(self, document):
        values = f"'{document['id']}', '{document['name']}', NULL, FALSE, {quoted(document)}, NOW(), NOW()"
        return (
            f"INSERT INTO flows (id, name, state, auto_restart, data, created_at, updated_at) VALUES ({values}) ON CONFLICT (id) DO "
            "UPDATE SET name = excluded.name, state = excluded.state, auto_restart = excluded.auto_restart, data = excluded.data, "
            "updated_at = excluded.updated_at;\n"
        )

    # Faults

    def faults(self):
        return [
            self.kill, self.stop, self.clock_forward, self.clock_backward, self.ended_sessions, self.crash, self.locked_rows,
            *map(self.damage, DAMAGES), self.truncate, self.replace_all, self.copy, self.move, self.restore_schema,
            self.without_triggers,
        ]

    def ended_sessions(self):
        for _ in range(10):
            self.database.must(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'strom/%' ORDER BY random() LIMIT 1"
            )
            time.sleep(0.1)

    def crash(self):
        """Kills a process of the server, which then ends all sessions and recovers from its log."""
        pid = int(self.database.must("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'strom/%' LIMIT 1") or 0)
        if os.geteuid() == 0 and pid:
            os.kill(pid, signal.SIGKILL)
        self.wait_until_ready()

    def wait_until_ready(self):
        for server in self.servers:
            server.wait_until_ready()

    def locked_rows(self):
        """A transaction locks most flows. Reads must not wait for it, and edits of the other flows must be possible."""
        locked, free = self.ids[:8], self.ids[-1]
        names = ", ".join(f"'{flow}'" for flow in locked)
        lock = f"BEGIN; SELECT FROM flows WHERE id IN ({names}) ORDER BY id FOR UPDATE; SELECT 'locked'; SELECT pg_sleep(4); COMMIT;"
        locking = threading.Thread(target=self.database.run, args=[lock])
        locking.start()
        time.sleep(1)
        while locking.is_alive():
            for server in self.servers:
                for flow in [free, locked[0]]:
                    status, body = server.call("GET", f"/api/flows/{flow}")
                    if status != 200:
                        raise Failed(f"GET of a flow while rows are locked: {status} {body}")
            time.sleep(0.1)
        locking.join()

    def damage(self, sql):
        """Returns a fault that damages the schema until `strom check --repair`."""
        def damaged_schema():
            with contextlib.ExitStack() as held:
                for _ in range(SQL_WRITERS):
                    held.enter_context(self.sql_writers)
                self.database.must(sql)
                for server in self.servers:
                    wait_for("the damage is noticed", lambda server=server: not server.is_ready())
                    status, body = server.call("GET", "/ready")
                    if status != 503 or b"damaged" not in body:
                        raise Failed(f"/ready during `{sql}`: {status} {body}")
                checked = self.server.command("check")
                if checked.returncode not in (1, 2) or "damaged" not in checked.stdout + checked.stderr:
                    raise Failed(f"`strom check` during `{sql}`: {checked.returncode} {checked.stdout}{checked.stderr}")
                repaired = self.server.command("check", "--repair")
                if repaired.returncode == 2:
                    raise Failed(f"`strom check --repair` during `{sql}`: {repaired.stderr}")
            self.wait_until_ready()
        damaged_schema.__name__ = sql
        return damaged_schema

    def truncate(self):
        self.overwritten.update(self.ids)
        self.database.must("DROP TABLE IF EXISTS saved; BEGIN; CREATE TABLE saved AS SELECT * FROM flows; TRUNCATE flows; COMMIT;")
        for server in self.servers:
            wait_for("the flows are deleted", lambda server=server: server.call("GET", f"/api/flows/{self.ids[0]}")[0] in {404, 410})
        self.database.must("INSERT INTO flows (id, name, data) SELECT id, name, data FROM saved ON CONFLICT (id) DO NOTHING")
        self.database.must("DROP TABLE saved")

    def replace_all(self):
        """Deletes and inserts all flows, as an older version does."""
        self.overwritten.update(self.ids)
        documents = [row["data"] for row in self.database.rows("SELECT data FROM flows")]
        statements = "".join(self.upserted(document) for document in documents)
        self.database.must(f"BEGIN; DELETE FROM flows;\n{statements}COMMIT;")

    def copy(self):
        flow = str(uuid.uuid4())
        self.database.must(f"COPY flows (id, name, data) FROM STDIN;\n{flow}\tcopied\t{{\"elements\": []}}\n\\.\n")
        for server in self.servers:
            status, body = server.call("GET", f"/api/flows/{flow}")
            if status != 200:
                raise Failed(f"GET of a copied flow: {status} {body}")
        wait_for("the flow is deleted", lambda: self.server.call("DELETE", f"/api/flows/{flow}")[0] in {200, 204, 404})

    def move(self):
        """Changes the id of a flow, and changes it back."""
        flow, other = self.ids[1], str(uuid.uuid4())
        for old, new in [(flow, other), (other, flow)]:
            self.database.must(f"DELETE FROM flows WHERE id = '{new}'; UPDATE flows SET id = '{new}' WHERE id = '{old}'")
            status, body = self.server.call("GET", f"/api/flows/{new}")
            if status != 200:
                raise Failed(f"GET of a flow with a new id: {status} {body}")

    def restore_schema(self):
        """Drops the schema, and restores a dump of this moment in the same transaction."""
        self.pause()
        dump = "\n".join(line for line in self.database.sql_of("public").splitlines() if line != "CREATE SCHEMA public;")
        self.database.must(f"BEGIN; DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n{dump}\nCOMMIT;")
        self.wait_until_ready()

    def without_triggers(self):
        """SQL changes a flow without triggers, for example a restore of data. `strom check` reports the flows."""
        self.pause()
        mark = f"w{next(self.numbers)}"
        self.ledger.edit(self.ids[2], mark, "unknown")
        self.database.must(f"SET session_replication_role = replica; {self.appended(self.ids[2], mark)}")
        checked = self.server.command("check")
        if checked.returncode != 1 or self.ids[2] not in checked.stdout:
            raise Failed(f"`strom check` after a change without triggers: {checked.returncode} {checked.stdout}{checked.stderr}")

    # Audits

    def audit_flows(self):
        self.wait_until_ready()
        repaired = self.server.command("check", "--repair")
        checked = self.server.command("check")
        faults = []
        if checked.returncode != 0:
            faults.append(f"`strom check` after a repair:\n{repaired.stdout}{repaired.stderr}{checked.stdout}{checked.stderr}")
        blind = self.read_history(faults) | self.overwritten
        self.overwritten = set()
        for row in self.database.rows("SELECT id, revision, data FROM flows"):
            flow, marks = row["id"], [element["id"] for element in row["data"].get("elements", [])]
            if flow not in self.seen:
                faults.append(f"{flow} is not one of the flows")
                continue
            if self.last.get(flow) != (row["revision"], marks):
                faults.append(f"{flow}: the flow has revision {row['revision']} and {marks[-3:]}, but the history ends with {self.last.get(flow)}")
            state = row["data"].get("gst_state", "Null")
            if flow in blind:
                self.ledger.states[flow] = {state}
            elif state not in self.ledger.states[flow]:
                faults.append(f"{flow}: the state is {state}, but the last report was {self.ledger.states[flow]}")
        for flow in self.ids:
            lost = self.ledger.acknowledged[flow] - self.seen[flow]
            if lost:
                faults.append(f"{flow}: {len(lost)} acknowledged edits are not in the history: {sorted(lost)[:5]}")
            invented = self.seen[flow] - self.ledger.acknowledged[flow] - self.ledger.unknown[flow]
            if invented:
                faults.append(f"{flow}: no writer made these edits: {sorted(invented)[:5]}")
        # Every instance shows the same flows.
        lists = [self.flows_of(server) for server in self.servers]
        if any(shown != lists[0] for shown in lists):
            faults.append("the instances show different flows")
        return faults

    def flows_of(self, server):
        status, body = server.call("GET", "/api/flows")
        return {flow["id"]: flow for flow in json.loads(body)["flows"]} if status == 200 else status

    def read_history(self, faults):
        """Reads the new records. Returns the flows that blind writers have changed."""
        log, horizon, number = self.cursor
        rows = self.database.rows(
            "SELECT log, horizon, number, flow_id, operation, author, revision, "
            "jsonb_path_query_array(document, '$.elements[*].id') AS marks FROM flow_changes "
            f"WHERE (log, horizon, number) > ({log}, {horizon}, {number}) ORDER BY log, horizon, number"
        )
        blind = set()
        for row in rows:
            self.cursor = (row["log"], row["horizon"], row["number"])
            flow, marks = row["flow_id"], row["marks"]
            if flow not in self.seen:
                continue
            if row["operation"] == "state":
                # A report has no document.
                blind |= {flow} if row["author"] == "sql" else set()
                continue
            _, before = self.last.get(flow, (0, []))
            lost = set(before) - set(marks) - self.removed
            if row["author"] == "sql":
                blind.add(flow)
            elif lost and row["operation"] != "delete":
                faults.append(f"{flow}: revision {row['revision']} by {row['author']} lacks {sorted(lost)[:5]}")
            self.seen[flow].update(marks)
            self.last[flow] = (row["revision"], marks)
        self.ledger.counts["records in the history"] += len(rows)
        return blind


if __name__ == "__main__":
    sys.exit(campaign.main(__doc__, Campaign))
