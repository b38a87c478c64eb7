"""Three PostgreSQL nodes under Patroni, with one etcd, on 127.0.0.1 and in one temporary directory.

Uses the programs of Debian. PostgreSQL refuses to run as root, so as root all programs run as `postgres`.
"""

import http.client
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PACKAGES = "patroni etcd-server etcd-client python3-etcd postgresql-15"
BIN = Path("/usr/lib/postgresql/15/bin")
PATRONI, PATRONICTL, ETCD = "/usr/bin/patroni", "/usr/bin/patronictl", "/usr/bin/etcd"


class Failed(Exception):
    """A program is missing, or an expected event did not happen."""


def require_programs():
    missing = [name for name in (PATRONI, PATRONICTL, ETCD, str(BIN / "postgres")) if not os.access(name, os.X_OK)]
    if missing:
        raise Failed(
            f"{', '.join(missing)} not found. On Debian 12, as root:\n"
            "  printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d\n"
            f"  apt-get update && apt-get install --no-install-recommends {PACKAGES}\n"
            "  rm /usr/sbin/policy-rc.d   # it prevented the packages from starting services"
        )


def versions():
    def first_number(*command):
        return re.search(r"\d+(\.\d+)+", subprocess.run(command, capture_output=True, text=True).stdout).group()

    return f"PostgreSQL {first_number(BIN / 'postgres', '--version')}, " \
        f"Patroni {first_number(PATRONI, '--version')}, etcd {first_number(ETCD, '--version')}"


def free_ports(count):
    """Returns free ports below the range of outgoing connections. No other program takes the port of a stopped node from there."""
    found = []
    for port in random.sample(range(20000, 30000), 1000):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
        if len(found) == count:
            return found
    raise Failed("no port between 20000 and 30000 is free")


def wait_for(what, seconds, condition):
    """Waits until the condition is true. Returns its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise Failed(f"{what} did not happen within {seconds} s")


def descendants(pid):
    """Returns all direct and indirect child processes."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # State and parent follow the name, which is in parentheses and may contain any character.
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                pass  # the process has ended
    found, rest = [], [pid]
    while rest:
        parent = rest.pop()
        children = [child for child, of in parents.items() if of == parent]
        found += children
        rest += children
    return found


class Node:
    def __init__(self, name, directory):
        self.name = name
        self.port, self.api = free_ports(2)
        self.data = directory / name
        self.config = directory / f"{name}.json"
        self.log = directory / f"{name}.log"
        self.process = None

    def postmaster(self):
        try:
            return int((self.data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def processes(self):
        """Returns the processes of Patroni and of PostgreSQL."""
        server = self.postmaster()
        return [self.process.pid, *([server, *descendants(server)] if server else [])]

    def signal(self, number, pids=None):
        for pid in pids or self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def walsenders(self):
        def title(pid):
            try:
                return Path(f"/proc/{pid}/cmdline").read_text()
            except OSError:
                return ""

        return [pid for pid in descendants(self.postmaster()) if "walsender" in title(pid)]


class Cluster:
    """A cluster for a `with` statement, whose end stops and removes everything."""

    def __init__(self, synchronous, timing, interface="etcd"):
        self.as_user = {}
        if os.geteuid() == 0:
            self.as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        self.directory = Path(tempfile.mkdtemp(prefix="strom-failover-"))
        if self.as_user:
            shutil.chown(self.directory, "postgres", "postgres")
        self.password = secrets.token_hex(16)
        self.synchronous, self.timing, self.interface = synchronous, timing, interface
        self.nodes = [Node(f"node{number}", self.directory) for number in (1, 2, 3)]
        self.etcd = None
        self.etcd_port, self.etcd_peer_port = free_ports(2)

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self.etcd_peer_port}"
        self.etcd = self._spawn(
            self.directory / "etcd.log",
            ETCD, "--enable-v2", "--name", "etcd", "--data-dir", self.directory / "etcd",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"etcd={peer}",
        )
        for node in self.nodes:
            node.config.write_text(json.dumps(self._configuration(node), indent=2))  # JSON is YAML too
            if self.as_user:
                shutil.chown(node.config, "postgres", "postgres")
            node.config.chmod(0o600)
            self.start(node)
        self.wait_until_whole()
        self.psql(f"CREATE ROLE strom LOGIN PASSWORD '{self.password}'")
        self.psql("CREATE DATABASE strom OWNER strom ENCODING 'UTF8' TEMPLATE template0")

    def _spawn(self, log, *command):
        with open(log, "ab") as output:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.directory,
                start_new_session=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, **self.as_user,
            )

    def _configuration(self, node):
        users = {"superuser": "postgres", "replication": "replicator", "rewind": "rewinder"}
        local = f"{self.directory}"
        return {
            "scope": "strom",
            "name": node.name,
            "restapi": {"listen": f"127.0.0.1:{node.api}", "connect_address": f"127.0.0.1:{node.api}"},
            # Two interfaces of the same etcd: `etcd` or `etcd3`. With `etcd3`, Patroni before 3.0.3 promotes a resumed primary
            # although another node leads.
            self.interface: {"host": f"127.0.0.1:{self.etcd_port}"},
            "bootstrap": {
                "dcs": {
                    **self.timing,
                    "maximum_lag_on_failover": 1024 * 1024,
                    "synchronous_mode": self.synchronous,
                    "postgresql": {"use_pg_rewind": True, "use_slots": True},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{node.port}",
                "connect_address": f"127.0.0.1:{node.port}",
                "data_dir": str(node.data),
                "bin_dir": str(BIN),
                "pgpass": f"{self.directory}/{node.name}.pgpass",
                "authentication": {
                    purpose: {"username": user, "password": self.password} for purpose, user in users.items()
                },
                "parameters": {"unix_socket_directories": local, "max_connections": 60},
                "pg_hba": [
                    "local all postgres trust",
                    "host replication replicator 127.0.0.1/32 scram-sha-256",
                    "host all all 127.0.0.1/32 scram-sha-256",
                ],
            },
        }

    def start(self, node):
        node.process = self._spawn(node.log, PATRONI, node.config)

    def members(self):
        """Returns the nodes according to Patroni, from the first node that responds."""
        for node in self.nodes:
            connection = http.client.HTTPConnection("127.0.0.1", node.api, timeout=1)
            try:
                connection.request("GET", "/cluster")
                return json.load(connection.getresponse()).get("members", [])
            except (OSError, ValueError, http.client.HTTPException):
                continue
            finally:
                connection.close()
        return []

    def leader(self):
        """Returns the running leader according to Patroni, or `None`."""
        leading = [member["name"] for member in self.members() if member["role"] == "leader" and member["state"] == "running"]
        return next((node for node in self.nodes if node.name in leading), None)

    def wait_until_whole(self, seconds=120):
        def whole():
            members = self.members()
            replicas = [member for member in members if member["role"] != "leader" and member["state"] in ("running", "streaming")]
            has_synchronous_standby = not self.synchronous or any(member["role"] == "sync_standby" for member in replicas)
            return len(replicas) == 2 and has_synchronous_standby and self.leader()

        return wait_for("a leader with two replicas", seconds, whole)

    def psql(self, sql, database="postgres", node=None):
        """Runs SQL on the leader or on another node. Returns a line per row."""
        node = node or wait_for("a leader", 60, self.leader)
        command = [BIN / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "-p", str(node.port), "-U", "postgres"]
        done = subprocess.run(
            [*command, "-d", database, "-c", sql], capture_output=True, text=True, timeout=60, cwd="/", **self.as_user
        )
        if done.returncode != 0:
            raise Failed(f"psql on {node.name}: {done.stderr.strip()}")
        return done.stdout.splitlines()

    def wait_until_replayed(self):
        """Waits until every standby has replayed the current position of the leader."""
        leader = self.leader()
        position = self.psql("SELECT pg_current_wal_lsn()", node=leader)[0]
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        for node in self.nodes:
            if node is not leader:
                wait_for("the standbys' progress", 30, lambda: self.psql(replayed, node=node) == ["t"])

    def switchover(self, leader):
        """Makes another node the leader, as an operator does for maintenance."""
        command = [PATRONICTL, "-c", leader.config, "switchover", "strom", "--master", leader.name, "--force"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, **self.as_user,
        )
        if done.returncode != 0:
            raise Failed(f"patronictl switchover: {done.stdout.strip()} {done.stderr.strip()}")

    def url(self, attributes):
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://strom:{self.password}@{hosts}/strom?target_session_attrs={attributes}"

    def __exit__(self, *_):
        """Stops all programs. Patroni stops its PostgreSQL. Kills programs that do not end in time."""
        started = [node for node in self.nodes if node.process]
        for node in started:
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM, [node.process.pid])
        for process in [*(node.process for node in started), self.etcd]:
            if process is self.etcd and process:
                process.terminate()
            try:
                if process:
                    process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        for node in started:
            server = node.postmaster()
            if server and f"{node.data}" in _command_line(server):
                node.signal(signal.SIGKILL, [server, *descendants(server)])
        shutil.rmtree(self.directory, ignore_errors=True)


def _command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
