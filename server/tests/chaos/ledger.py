"""What clients know about the flows: which changes were acknowledged, and which may have been stored."""

import threading
from collections import defaultdict


class Ledger:
    """Marks are elements with unique ids, so an edit only adds. A report replaces the one before it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged = defaultdict(set)
        self.unknown = defaultdict(set)
        self.states = {}
        self.counts = defaultdict(int)

    def edit(self, flow, mark, outcome):
        with self.lock:
            self.counts[f"edits {outcome}"] += 1
            if outcome == "acknowledged":
                self.acknowledged[flow].add(mark)
            elif outcome == "unknown":
                self.unknown[flow].add(mark)

    def report(self, flow, state, outcome):
        with self.lock:
            self.counts[f"reports {outcome}"] += 1
            if outcome == "acknowledged":
                self.states[flow] = {state}
            elif outcome == "unknown":
                self.states[flow] = self.states[flow] | {state}

    def faults_in(self, flows):
        """Returns what contradicts the ledger. No client may have a change under way."""
        faults = []
        stored = {flow["id"]: flow for flow in flows}
        for flow, marks in self.acknowledged.items():
            if flow not in stored:
                faults.append(f"the flow {flow} is missing")
                continue
            elements = [element["id"] for element in stored[flow].get("elements", [])]
            lost = marks - set(elements)
            if lost:
                faults.append(f"{flow}: {len(lost)} acknowledged edits are missing: {sorted(lost)[:5]}")
            invented = set(elements) - marks - self.unknown[flow]
            if invented:
                faults.append(f"{flow}: no client made these edits: {sorted(invented)[:5]}")
            if len(elements) != len(set(elements)):
                faults.append(f"{flow}: an edit is stored twice")
            state = stored[flow].get("gst_state", "Null")
            if state not in self.states[flow]:
                faults.append(f"{flow}: the state is {state}, but the last report was {self.states[flow]}")
        return faults
