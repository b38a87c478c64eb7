"""Flows that the tests make, and what they ask of the server about them."""

import itertools
import json
import uuid

_numbers = itertools.count(1)

#: JavaScript has neither of these numbers.
EXACT = ("1.10", "18446744073709551617")


def new_id():
    return str(uuid.uuid4())


def element(name, kind="identity", position=None, **properties):
    made = {"id": name, "element_type": kind, "properties": properties}
    return made if position is None else made | {"position": list(position)}


def block(block_id, kind, position=None, **more):
    made = {"id": block_id, "block_definition_id": kind, "properties": {}, **more}
    return made if position is None else made | {"position": {"x": position[0], "y": position[1]}}


def link(start, end):
    return {"from": start, "to": end}


def studio(**more):
    """A camera and a microphone that go to a browser; two elements, a block, links of both media."""
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
    """Stores a new flow; gives its id."""
    status, answer, text = console.call("POST", "/api/flows", flow)
    assert status == 201, text
    return answer["flow"]["id"]


def put(console, flow, **headers):
    """Stores a flow over what is there; gives its revision."""
    status, _, text = console.call("PUT", f"/api/flows/{flow['id']}", flow, headers)
    assert status == 200, text
    return newest(console, flow["id"])


def newest(console, flow_id):
    _, answer, _ = console.call("GET", f"/api/flows/{flow_id}/history?limit=1")
    return answer["history"][0]["revision"]


def stored(console, flow_id):
    """The flow as the server has it, and its text to the letter."""
    status, answer, text = console.call("GET", f"/api/flows/{flow_id}")
    assert status == 200, text
    return answer["flow"], text


def with_exact_numbers():
    """A text, since Python's JSON would change the numbers too."""
    flow = studio()
    flow["elements"][0]["properties"] |= {"rate": "RATE", "stamp": "STAMP"}
    text = json.dumps(flow)
    return flow, text.replace('"RATE"', EXACT[0]).replace('"STAMP"', EXACT[1])
