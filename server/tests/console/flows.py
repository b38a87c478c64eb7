"""Sample flows for the tests, and requests to the server about them."""

import itertools
import json
import uuid

_numbers = itertools.count(1)

#: A JavaScript number represents neither of these exactly.
EXACT = ("1.10", "18446744073709551617")


def new_id():
    return str(uuid.uuid4())


def element(name, kind="identity", position=None, **properties):
    node = {"id": name, "element_type": kind, "properties": properties}
    return node if position is None else node | {"position": list(position)}


def block(block_id, kind, position=None, **more):
    node = {"id": block_id, "block_definition_id": kind, "properties": {}, **more}
    return node if position is None else node | {"position": {"x": position[0], "y": position[1]}}


def link(start, end):
    return {"from": start, "to": end}


def studio(**more):
    """Returns a flow with a camera and a microphone for a browser: two elements, a block, links of both media."""
    pads = {"inputs": [{"name": "video_in", "media_type": "Video"}, {"name": "audio_in", "media_type": "Audio"}], "outputs": []}
    return {
        "id": new_id(),
        "name": f"Studio {next(_numbers)}",
        "elements": [
            element("cam", "v4l2src", (100, 100), device="/dev/video0"),
            element("mic", "alsasrc", (100, 300), volume=0.5),
        ],
        "blocks": [block("out", "builtin.whep_output", (500, 150), name="To the browser", computed_external_pads=pads)],
        "links": [link("cam:src", "out:video_in"), link("mic:src", "out:audio_in")],
        "properties": {"description": "The morning show", "auto_restart": False},
        **more,
    }


def make(console, flow):
    """Creates a flow. Returns its id."""
    status, answer, text = console.call("POST", "/api/flows", flow)
    assert status == 201, text
    return answer["flow"]["id"]


def put(console, flow, **headers):
    """Replaces a flow. Returns its revision."""
    status, _, text = console.call("PUT", f"/api/flows/{flow['id']}", flow, headers)
    assert status == 200, text
    return newest(console, flow["id"])


def newest(console, flow_id):
    _, answer, _ = console.call("GET", f"/api/flows/{flow_id}/history?limit=1")
    return answer["history"][0]["revision"]


def stored(console, flow_id):
    """Returns the stored flow and the exact text of the response."""
    status, answer, text = console.call("GET", f"/api/flows/{flow_id}")
    assert status == 200, text
    return answer["flow"], text


def with_exact_numbers():
    """Returns a flow and its text, because Python's JSON module would change the numbers too."""
    flow = studio()
    flow["elements"][0]["properties"] |= {"rate": "RATE", "stamp": "STAMP"}
    text = json.dumps(flow)
    return flow, text.replace('"RATE"', EXACT[0]).replace('"STAMP"', EXACT[1])
