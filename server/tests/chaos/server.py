"""The program under test: starts, stops and kills it, and reads its log."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Failed(Exception):
    """The campaign failed. The message says why."""


def wait_for(what, condition, seconds=60):
    """Polls until the condition returns something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise Failed(f"still waiting after {seconds} s: {what}")


class Server:
    """A server. Its clock is the one in a file, which `set_clock` changes while it runs."""

    def __init__(self, strom, directory, storage):
        """`storage` contains the environment variables that select the storage, and other settings."""
        self.strom, self.storage = strom, storage
        self.log = []
        self.is_log_read = threading.Event()
        self.is_log_read.set()
        self.process = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.clock = directory / f"clock-{self.port}"
        self.set_clock("+0")

    def set_clock(self, offset):
        """Sets the wall clock of the server, as a difference to the real one such as `+1y`."""
        self.clock.write_text(offset + "\n")

    def environment(self):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("STROM_", "PG"))}
        return inherited | self.storage

    def command(self, *arguments, storage=None):
        """Runs a command on the storage, or on another one."""
        environment = self.environment() | (storage or {})
        return subprocess.run([self.strom, *arguments], env=environment, capture_output=True, text=True)

    def start(self):
        """Starts the server, and waits until it is ready."""
        environment = self.environment()
        environment |= {
            "STROM_PORT": str(self.port), "RUST_LOG": "info",
            "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(self.clock), "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.process = subprocess.Popen(
            [self.strom, "serve"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment,
        )
        threading.Thread(target=self._read_log, args=[self.process.stderr], daemon=True).start()
        self.wait_until_ready()

    def wait_until_ready(self):
        wait_for("the server is ready", self.is_ready)

    def is_ready(self):
        if self.process.poll() is not None:
            raise Failed(f"the server ended with {self.process.returncode}: {self.tail()}")
        try:
            return self.call("GET", "/ready")[0] == 200
        except OSError:
            return False

    def _read_log(self, stderr):
        while True:
            self.is_log_read.wait()
            line = stderr.readline()
            if not line:
                return
            self.log.append(line.decode(errors="replace").rstrip())

    def tail(self):
        """Returns the last lines of the log, without those of requests."""
        return "\n".join([line[:300] for line in self.log if "answered status" not in line][-15:])

    def stop(self, signal_number=signal.SIGTERM):
        """Stops the server cleanly."""
        self.process.send_signal(signal_number)
        code = self.process.wait(60)
        if code != 0:
            raise Failed(f"the server ended with {code} after signal {signal_number}: {self.tail()}")

    def kill(self):
        """Kills the server."""
        self.process.kill()
        self.process.wait()

    def call(self, method, path, body=None, kind="application/json"):
        """Sends a request. Returns status and body. Raises OSError without a response."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": kind} if data else {}, method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
