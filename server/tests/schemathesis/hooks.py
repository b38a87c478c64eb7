"""Corrects generated requests by rules that OpenAPI cannot express, so that requests meant to be valid are valid.

Among requests meant to be invalid, it changes only waiting times, dry runs and WebSocket handshakes.
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
    cursor = {"sort": "name", "name": name, "created_at": time, "updated_at": time, "id": str(flow_id)}
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")


# Only the server creates cursors, so their format is generated here.
schemathesis.openapi.format("flow-cursor", st.builds(_cursor, st.text("abcABC 12", max_size=5), st.uuids()))
_number = st.integers(0, 2**63 - 1).map(str)
schemathesis.openapi.format("feed-cursor", st.sampled_from(["", "0"]) | st.tuples(_number, _number, _number).map(".".join))

_values = st.booleans() | st.integers(-9, 9) | st.text("abcABC", max_size=5)
_objects = st.dictionaries(st.sampled_from(["name", "running", "x"]), _values, max_size=2)
schemathesis.openapi.format("json-object", _objects.map(json.dumps))


@schemathesis.serializer("application/x-ndjson")
def _lines(context, value):
    return "\n".join(map(json.dumps, value if isinstance(value, list) else [value])).encode()


@schemathesis.deserializer("application/x-ndjson")
def _read_lines(context, response):
    return [json.loads(line) for line in response.content.splitlines()]


@schemathesis.hook
def before_call(context, case, kwargs):
    headers, query = case.headers or {}, case.query or {}
    # Limits the time that a run spends waiting.
    if str(query.get("wait")).isdigit() and int(query["wait"]) <= 60:
        query["wait"] = min(int(query["wait"]), 1)
    # Turns handshakes into other requests (see schemathesis.toml).
    if case.operation.definition.raw["operationId"] == "open_socket":
        headers.pop("Upgrade", None)
    # A dry run reports invalid flows with 200 instead of rejecting them, so invalid requests must not be dry runs.
    if case.operation.definition.raw["operationId"] == "import_flows" and "dry_run" in query:
        if case.meta is None or case.meta.generation.mode == GenerationMode.NEGATIVE:
            query["dry_run"] = "false" if str(query["dry_run"]).lower() == "true" else query["dry_run"]
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    # schemathesis 4.32.5 treats the number 0, which lacks quotes, as a valid value in one of its scenarios.
    for name in ("If-Match", "If-None-Match"):
        if headers.get(name) == "0":
            headers[name] = '"0"'
    # Random tags match no revision. A part of them remains, so that some requests return 412.
    if "If-Match" in headers and len(headers["If-Match"]) % 4:
        headers["If-Match"] = "*"
    # A merge requires the revision that was edited.
    if "merge" in query:
        headers["If-Match"] = '"1"'
        headers.pop("If-None-Match", None)
        case.headers = headers
    # Two headers that exclude each other.
    if "If-Match" in headers and case.method != "GET":
        headers.pop("If-None-Match", None)
    # A cursor contains its order.
    if "cursor" in query:
        query.pop("sort", None)
    # An import must not contain the same id twice.
    if case.operation.definition.raw["operationId"] == "import_flows":
        flows, seen = case.body.get("flows") if isinstance(case.body, dict) else case.body, set()
        for flow in flows if isinstance(flows, list) else []:
            if flow["id"] in seen:
                flow["id"] = str(uuid.uuid4())
            seen.add(flow["id"])
    # The id in the body must equal the id in the path.
    flow_id = (case.path_parameters or {}).get("id")
    if flow_id and isinstance(case.body, dict) and "id" in case.body:
        case.body["id"] = flow_id


@schemathesis.check
def use_after_free_but_for_histories(ctx, response, case):
    """Runs the check `use_after_free`, except for histories, which exist after a deletion. Stateful tests cannot exclude a check for
    single operations. Therefore `run` excludes the original check."""
    if "/history" not in case.operation.path:
        use_after_free(ctx, response, case)
