"""What OpenAPI cannot say about requests, so that schemathesis sends those that are meant to be right.

Of requests that are meant to be wrong only the waiting, the dry runs and the WebSockets are taken.
"""

import base64
import json
import uuid

import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import use_after_free


def _cursor(name, flow_id):
    time = "2026-03-19T10:00:00Z"
    place = {"sort": "name", "name": name, "created_at": time, "updated_at": time, "id": str(flow_id)}
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


# Cursors are made by the server and mean nothing to anybody else.
schemathesis.openapi.format("flow-cursor", st.builds(_cursor, st.text("abcABC 12", max_size=5), st.uuids()))
_number = st.integers(0, 2**63 - 1).map(str)
schemathesis.openapi.format("feed-cursor", st.sampled_from(["", "0"]) | st.tuples(_number, _number, _number).map(".".join))


@schemathesis.serializer("application/x-ndjson")
def _lines(context, value):
    return "\n".join(map(json.dumps, value if isinstance(value, list) else [value])).encode()


@schemathesis.deserializer("application/x-ndjson")
def _read_lines(context, response):
    return [json.loads(line) for line in response.content.splitlines()]


@schemathesis.hook
def before_call(context, case, kwargs):
    headers, query = case.headers or {}, case.query or {}
    # So that no run takes minutes for waiting.
    if str(query.get("wait")).isdigit() and int(query["wait"]) <= 60:
        query["wait"] = min(int(query["wait"]), 1)
    # What is a handshake is made none (see schemathesis.toml).
    if case.operation.definition.raw["operationId"] == "open_socket":
        headers.pop("Upgrade", None)
    # What is refused by a dry run is told and not refused.
    if case.operation.definition.raw["operationId"] == "import_flows" and "dry_run" in query:
        if case.meta is None or case.meta.generation.mode == GenerationMode.NEGATIVE:
            query["dry_run"] = "false" if str(query["dry_run"]).lower() == "true" else query["dry_run"]
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    # schemathesis 4.32.5 takes the number 0, which is no text in quotes, for a right value in one of its scenarios.
    for name in ("If-Match", "If-None-Match"):
        if headers.get(name) == "0":
            headers[name] = '"0"'
    # Tags at random match nothing; some stay, so that 412 is seen too.
    if "If-Match" in headers and len(headers["If-Match"]) % 4:
        headers["If-Match"] = "*"
    # A merge needs the one revision that was edited.
    if "merge" in query:
        headers["If-Match"] = '"1"'
        headers.pop("If-None-Match", None)
        case.headers = headers
    # A key names one create: with another body it is refused, as it has to be.
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = str(uuid.uuid4())
    # OpenAPI has no word for a response that may have no body.
    if headers.get("Prefer") and case.operation.definition.raw["operationId"] in ("create_flow", "put_flow", "restore_flow"):
        del headers["Prefer"]
    # Two headers that exclude each other.
    if "If-Match" in headers and case.method != "GET":
        headers.pop("If-None-Match", None)
    # A cursor belongs to one order.
    if "cursor" in query:
        query.pop("sort", None)
    # No flow is twice in an import.
    if case.operation.definition.raw["operationId"] == "import_flows":
        flows, seen = case.body.get("flows") if isinstance(case.body, dict) else case.body, set()
        for flow in flows if isinstance(flows, list) else []:
            if flow["id"] in seen:
                flow["id"] = str(uuid.uuid4())
            seen.add(flow["id"])
    # The body has the id of the path.
    flow_id = (case.path_parameters or {}).get("id")
    if flow_id and isinstance(case.body, dict) and "id" in case.body:
        case.body["id"] = flow_id


@schemathesis.check
def use_after_free_but_for_histories(ctx, response, case):
    """What a flow was outlives it: its history is there to bring it back. The check of that name cannot be left out for
    some operations alone where flows of requests are tried, so `run` leaves it out and this one has all others."""
    if "/history" not in case.operation.path:
        use_after_free(ctx, response, case)
