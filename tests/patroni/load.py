"""Clients of Strom that write and read without a pause and take down what they were answered, and when."""

import http.client
import json
import threading
import time
import uuid
from collections import Counter, namedtuple

# Longer than any answer that Strom lets a client wait for.
TIMEOUT = 20

# `outcome`: acknowledged; refused, with nothing written; unknown, when nobody can tell.
Write = namedtuple("Write", "id begin end outcome detail")
Read = namedtuple("Read", "begin end outcome detail")


class Client:
    """One connection that is made again when it breaks."""

    def __init__(self, address):
        self.address, self.connection = address, None

    def ask(self, method, path, body=None):
        """Status, headers and body; the status is `None` when there was no answer, and the body then says why."""
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
    """Writers at one Strom, and a reader at each of these."""

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
        # Strom says so where it is so, and we hold it to that.
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
    """The longest time between two that follow each other."""
    times = sorted(times)
    return max((after - before for before, after in zip(times, times[1:])), default=0.0)


def interruption(requests, good):
    """The time from the first answer that is not good to the last, and how often which was given.

    When nothing was refused, requests may still have waited: that is what the longest gap shows.
    """
    bad = [each for each in requests if each.outcome != good]
    times = [each.end for each in bad]
    return max(times, default=0.0) - min(times, default=0.0), Counter(f"{each.outcome}: {each.detail}" for each in bad)


def latencies(writes):
    """Median and 99th percentile in milliseconds."""
    times = sorted((write.end - write.begin) * 1000 for write in writes)
    return (times[len(times) // 2], times[len(times) * 99 // 100]) if times else (float("nan"),) * 2
