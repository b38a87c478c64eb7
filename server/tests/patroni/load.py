"""Clients that write and read without a pause, and record each response with its time."""

import http.client
import json
import threading
import time
import uuid
from collections import Counter, namedtuple

# The server responds to every request in less time.
TIMEOUT = 20

# `outcome`: acknowledged, refused (nothing was written) or unknown (it may have been written).
Write = namedtuple("Write", "id begin end outcome detail")
Read = namedtuple("Read", "begin end outcome detail")


class Client:
    """One connection, which reconnects after it breaks."""

    def __init__(self, address):
        self.address, self.connection = address, None

    def ask(self, method, path, body=None):
        """Returns status, headers and body. Without a response, the status is `None` and the body is the reason."""
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT)
            self.connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = self.connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection and self.connection.close()
            self.connection = None
            return None, {}, type(error).__name__


class Load:
    """Writers on one instance, and a reader on each of several instances."""

    def __init__(self, writing, reading, writers=8):
        self.stopped = threading.Event()
        self.writes, self.reads = [], {name: [] for name in reading}
        self.threads = [threading.Thread(target=self._write, args=(writing, number)) for number in range(writers)]
        self.threads += [threading.Thread(target=self._read, args=(name, address)) for name, address in reading.items()]
        for thread in self.threads:
            thread.daemon = True
            thread.start()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(TIMEOUT + 5)

    def _write(self, address, number):
        client, count = Client(address), 0
        while not self.stopped.is_set():
            count += 1
            flow = str(uuid.uuid4())
            properties = {"description": "x" * 1500}
            body = json.dumps({"id": flow, "name": f"writer {number}, {count}", "properties": properties})
            begin = time.monotonic()
            outcome, detail = self._outcome(*client.ask("POST", "/api/flows", body))
            self.writes.append(Write(flow, begin, time.monotonic(), outcome, detail))
            if outcome != "acknowledged":
                self.stopped.wait(0.02)

    @staticmethod
    def _outcome(status, _, body):
        if status == 201:
            return "acknowledged", ""
        if status is None:
            return "unknown", body
        problem = json.loads(body)
        kind = problem.get("type", "").rpartition(":")[2]
        # The server states this only if it is certain; the test verifies it.
        refused = status == 503 and "nothing was written" in problem.get("detail", "")
        return "refused" if refused else "unknown", f"{status} {kind}"

    def _read(self, name, address):
        client = Client(address)
        while not self.stopped.wait(0.02):
            begin = time.monotonic()
            status, headers, body = client.ask("GET", "/api/flows?view=summary&limit=1")
            if status == 200:
                outcome, detail = ("stale", "200") if headers.get("Strom-Stale") else ("answered", "")
            else:
                outcome, detail = "refused", f"{status}" if status else body
            self.reads[name].append(Read(begin, time.monotonic(), outcome, detail))


def acknowledged(writes, since=0.0):
    return [write for write in writes if write.outcome == "acknowledged" and write.end >= since]


def longest_gap(times):
    """Returns the longest interval between two consecutive times."""
    times = sorted(times)
    return max((after - before for before, after in zip(times, times[1:])), default=0.0)


def interruption(requests, expected):
    """Returns the time from the first to the last unsuccessful response, and the number of each.

    Without refusals, requests may still have waited. The longest gap shows that.
    """
    unsuccessful = [request for request in requests if request.outcome != expected]
    times = [request.end for request in unsuccessful]
    return max(times, default=0.0) - min(times, default=0.0), Counter(f"{request.outcome}: {request.detail}" for request in unsuccessful)


def latencies(writes):
    """Returns median and 99th percentile in milliseconds."""
    times = sorted((write.end - write.begin) * 1000 for write in writes)
    return (times[len(times) // 2], times[len(times) * 99 // 100]) if times else (float("nan"),) * 2
