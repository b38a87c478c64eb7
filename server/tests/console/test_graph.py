"""The graph of a flow."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from flows import EXACT, element, link, make, new_id, studio, with_exact_numbers

FLOWS = Path(__file__).parent.parent / "flows"


def open_graph(console, flow, **options):
    """Stores a flow. Returns a page with its graph."""
    page = console.page(**options)
    console.open(page, f"#/flows/{make(console, flow)}")
    expect(page.locator(".graph-view")).to_have_attribute("aria-busy", "false")
    return page


def node(page, name):
    return page.locator(".node").filter(has=page.locator(f'.title:text-is("{name}")'))


def positions(page):
    """Returns the positions of the nodes by their titles."""
    return dict(page.locator(".node").evaluate_all(
        "nodes => nodes.map(one => [one.querySelector('.title').textContent, one.getAttribute('transform').match(/-?[0-9.]+/g).map(Number)])"))


def boxes(page):
    """Returns the rectangles of the nodes on the screen."""
    return page.locator(".node .body").evaluate_all("all => all.map(one => { const { left, top, right, bottom } = one.getBoundingClientRect(); return [left, top, right, bottom]; })")


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_nodes_have_the_positions_of_the_flow(console):
    page = open_graph(console, studio())
    assert positions(page) == {"cam": [100, 100], "mic": [100, 300], "To the browser": [500, 150]}


def test_elements_and_blocks_differ_in_shape_and_word(console):
    page = open_graph(console, studio())
    expect(node(page, "cam").locator(".tag")).to_have_text("element")
    expect(node(page, "To the browser").locator(".tag")).to_have_text("block")
    corners = [node(page, name).locator(".body").get_attribute("rx") for name in ("cam", "To the browser")]
    assert corners[0] != corners[1]
    expect(page.get_by_label("Legend")).to_contain_text("elementblockvideoaudio")


def test_links_show_pads_and_media(console):
    page = open_graph(console, studio())
    expect(page.locator(".graph-view .link")).to_have_count(2)
    expect(page.locator(".link.media-video text")).to_have_text("video")
    expect(page.locator(".link.media-audio text")).to_have_text("audio")
    expect(node(page, "To the browser").locator(".pad-name")).to_have_text(["video_in", "audio_in"])
    dashes = page.locator(".link .line").evaluate_all("lines => lines.map(one => getComputedStyle(one).strokeDasharray)")
    assert dashes[0] != dashes[1], "dashes repeat what colours show"


def test_caps_determine_the_media_of_a_link(console):
    flow = {"id": new_id(), "name": "caps", "elements": [
        element("a", "appsrc", (0, 0)), element("f", "capsfilter", (300, 0), caps="application/x-rtp, media=(string)audio"),
        element("x", "appsink", (600, 0))], "links": [link("a:src", "f:sink"), link("f:src", "x"), link("a", "x::")]}
    page = open_graph(console, flow)
    expect(page.locator(".link.media-audio")).to_have_count(2)
    expect(page.locator(".link.media-unknown")).to_have_count(1)


def test_ids_may_contain_colons(console):
    flow = {"id": new_id(), "name": "colons", "elements": [element("a:b", position=(0, 0)), element("c", position=(300, 0))],
            "links": [link("a:b:src", "c"), link("a:b", "c::")]}
    page = open_graph(console, flow)
    expect(page.locator(".node")).to_have_count(2)
    expect(node(page, "a:b").locator(".pad-name.out")).to_have_text(["src", ""])


@pytest.mark.parametrize("position", [None, (7, 7)], ids=["missing", "all equal"])
def test_nodes_without_positions_are_arranged(console, position):
    flow = {"id": new_id(), "name": "loose", "elements": [element(f"n{i}", position=position) for i in range(8)],
            "links": [link(f"n{i}:src", f"n{i + 1}:sink") for i in range(7)]}
    page = open_graph(console, flow)
    found = boxes(page)
    assert len(found) == 8
    assert not any(overlap(a, b) for i, a in enumerate(found) for b in found[:i])
    xs = [positions(page)[f"n{i}"][0] for i in range(8)]
    assert xs == sorted(xs), "from left to right"
    expect(page.get_by_text("The nodes have no positions in the flow")).to_be_visible()


def test_nodes_with_null_positions_are_placed_below_the_others(console):
    flow = studio()
    flow["elements"][1]["position"] = [None, 0]
    page = open_graph(console, flow)
    found = boxes(page)
    assert not any(overlap(a, b) for i, a in enumerate(found) for b in found[:i])
    expect(page.get_by_text("1 of 3 nodes have no position")).to_be_visible()
    expect(node(page, "mic").locator(".warning")).to_be_visible()


def test_a_link_to_a_missing_node_shows_that_node(console):
    flow = studio()
    flow["links"].append(link("mic:src", "gone:sink"))
    page = open_graph(console, flow)
    missing = node(page, "gone")
    expect(missing.locator(".tag")).to_have_text("missing node")
    expect(missing.locator(".warning text")).to_have_text("1")
    expect(page.locator(".link.broken text")).to_have_text("missing end")
    missing.click()
    expect(page.get_by_label("Warnings")).to_contain_text("no element or block has the id of this end, `gone:sink`")


def test_warnings_are_shown_on_their_nodes(console):
    flow = studio()
    flow["elements"].append(element("cam", "filesrc", (100, 500)))
    page = open_graph(console, flow)
    expect(page.locator(".node .warning")).to_have_count(1)
    second = page.locator(".node").filter(has_text="filesrc")
    expect(second.locator(".warning text")).to_have_text("1")
    expect(second).to_have_attribute("aria-label", re.compile("1 warning: .*has the id `cam`"))


def test_the_panel_shows_exact_properties(console):
    _, text = with_exact_numbers()
    page = open_graph(console, text)
    panel = page.get_by_role("complementary", name="Properties")
    expect(panel).to_contain_text("The morning show")
    node(page, "cam").click()
    for number in EXACT:
        expect(panel.get_by_role("cell", name=number, exact=True)).to_be_visible()
    expect(panel).to_contain_text("v4l2src")
    expect(panel.get_by_role("listitem").filter(has_text="output src, video")).to_be_visible()
    page.locator(".link.media-audio .grip").click(force=True)
    expect(panel.get_by_role("heading", name="Link")).to_be_visible()
    panel.get_by_role("button", name="To the browser").click()
    expect(panel.get_by_role("heading", name="To the browser")).to_be_visible()
    expect(node(page, "To the browser")).to_have_attribute("aria-pressed", "true")


def view_of(page):
    """Returns the transform of the graph: x, y, scale."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return [float(number) for number in re.findall(r"-?[0-9.]+", page.locator(".graph-view > svg > g").get_attribute("transform"))]


def test_the_wheel_zooms_at_the_pointer(console):
    page = open_graph(console, studio())
    before = node(page, "mic").locator(".body").bounding_box()
    page.mouse.move(before["x"] + 10, before["y"] + 10)
    page.mouse.wheel(0, -300)
    page.wait_for_function("() => Number(document.querySelector('.graph-view > svg').dataset.scale) > 1.3")
    after = node(page, "mic").locator(".body").bounding_box()
    assert after["width"] > before["width"] * 1.3
    scale = after["width"] / before["width"]
    assert abs(after["x"] + 10 * scale - before["x"] - 10) < 3, "the point under the pointer stays there"


def test_buttons_and_keys_zoom_pan_and_fit(console):
    page = open_graph(console, studio())
    start = view_of(page)
    page.get_by_role("button", name="Zoom in").click()
    assert view_of(page)[2] > start[2]
    page.get_by_role("button", name="Fit").click()
    assert view_of(page) == start
    page.get_by_role("application").focus()
    for key, index, sign in [("+", 2, 1), ("0", 2, 0), ("-", 2, -1), ("0", 0, 0), ("ArrowLeft", 0, 1), ("0", 0, 0), ("ArrowDown", 1, -1)]:
        page.keyboard.press(key)
        moved = view_of(page)[index] - start[index]
        assert (moved > 0) - (moved < 0) == sign, key


def test_dragging_pans_and_selects_nothing(console):
    page = open_graph(console, studio())
    start = view_of(page)
    box = node(page, "cam").locator(".body").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 70, steps=5)
    page.mouse.up()
    assert view_of(page) == pytest.approx([start[0] + 100, start[1] + 50, start[2]], abs=0.1)
    expect(node(page, "cam")).to_have_attribute("aria-pressed", "false")


def test_two_fingers_zoom(console):
    page = open_graph(console, studio(), has_touch=True, viewport={"width": 390, "height": 800})
    start = view_of(page)
    box = page.locator(".graph-view").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    devtools = page.context.new_cdp_session(page)

    def touch(kind, *offsets):
        points = [{"x": x + offset, "y": y, "id": index} for index, offset in enumerate(offsets)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -30, 30)
    for step in range(31, 91, 6):
        touch("touchMove", -step, step)
    touch("touchEnd")
    assert view_of(page)[2] > start[2] * 1.8


def test_arrow_keys_move_between_nodes(console):
    page = open_graph(console, studio())
    page.get_by_role("application").focus()
    page.keyboard.press("Tab")
    expect(node(page, "cam")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(node(page, "mic")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(node(page, "To the browser")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="Properties").get_by_role("heading", name="To the browser")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("application")).to_be_focused()


def test_the_graph_is_also_a_list_of_words(console):
    page = open_graph(console, studio())
    expect(node(page, "cam")).to_have_attribute("aria-label", "element cam, v4l2src, 0 inputs, 1 output")
    page.get_by_text("3 nodes and 2 links as a list").click()
    expect(page.get_by_role("button", name="cam:src to out:video_in, video")).to_be_visible()
    page.get_by_role("button", name="element mic, alsasrc, 0 inputs, 1 output").last.click()
    expect(node(page, "mic")).to_have_attribute("aria-pressed", "true")


def test_an_empty_flow_shows_a_message(console):
    page = console.page()
    console.open(page, f"#/flows/{make(console, {'id': new_id(), 'name': 'empty'})}")
    expect(page.get_by_text("no elements and no blocks")).to_be_visible()


@pytest.mark.parametrize("name", sorted(path.name for path in FLOWS.glob("*.json")))
def test_real_flows_are_drawn(console, name):
    flows = json.loads((FLOWS / name).read_text())
    for flow in flows["flows"] if "flows" in flows else [flows]:
        count = len(flow.get("elements", [])) + len(flow.get("blocks", []))
        page = open_graph(console, flow | {"id": new_id()})
        expect(page.locator(".node:not(.missing)")).to_have_count(count)


#: Measures the next frames, and counts the elements that change during them.
WATCH = """() => {
    const changed = new Set();
    const observer = new MutationObserver(records => records.forEach(record => changed.add(record.target)));
    observer.observe(document.querySelector('.graph-view').parentElement, { attributes: true, childList: true, subtree: true });
    window.watched_ = new Promise(done => {
        const took = []; let last = performance.now();
        const frame = now => {
            took.push(now - last); last = now;
            if (took.length < 100) return requestAnimationFrame(frame);
            observer.disconnect();
            done({ took, changed: changed.size });
        };
        requestAnimationFrame(frame);
    });
}"""


#: Waits until the requested changes are drawn.
SETTLE = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def test_500_nodes_pan_smoothly(console, capsys):
    """Prints frame times, because they depend on the machine. Asserts the cause of smooth panning: no node is drawn again."""
    count = 500
    flow = {"id": new_id(), "name": "five hundred", "elements": [
        element(f"n{i}", "videoconvert" if i % 3 else "audioconvert", (i % 25 * 300, i // 25 * 160)) for i in range(count)],
        "links": [link(f"n{i}:src", f"n{i + 1}:sink") for i in range(count - 1)]}
    page = open_graph(console, flow)
    expect(page.locator(".node")).to_have_count(count)
    box = page.locator(".graph-view").bounding_box()
    x, y = box["x"] + 200, box["y"] + 200
    for view in ("complete graph", "zoomed in"):
        page.evaluate(SETTLE)
        before = boxes(page)[0]
        page.mouse.move(x, y)
        page.mouse.down()
        page.evaluate(WATCH)
        for step in range(60):
            page.mouse.move(x + 4 * step, y + 2 * step)
        page.mouse.up()
        watched = page.evaluate("() => window.watched_")
        durations = sorted(watched["took"])
        with capsys.disabled():
            print(f"\n  500 nodes, {view}: a frame takes {durations[50]:.1f} ms in the median, {durations[94]:.1f} ms at the 95th percentile")
        page.evaluate(SETTLE)
        after = boxes(page)[0]
        assert abs(after[0] - before[0] - 4 * 59) < 8 and abs(after[1] - before[1] - 2 * 59) < 8, "the graph moves with the mouse"
        assert 1 <= watched["changed"] <= 3, "the view, the SVG element and its group"
        for _ in range(6):
            page.get_by_role("button", name="Zoom in").click()
