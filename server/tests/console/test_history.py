"""The history of a flow: revisions, differences, restores. The trash."""

import re

from playwright.sync_api import expect

from flows import element, link, make, newest, put, stored, studio
from test_graph import node


def open_history(console, flow_id, **options):
    page = console.page(**options)
    console.open(page, f"#/flows/{flow_id}/history")
    expect(page.get_by_role("heading", name="Revisions")).to_be_visible()
    return page


def flow_with_four_revisions(console):
    """Creates a flow with four revisions: one element is added, one changed, one moved, one removed."""
    flow = studio()
    flow["elements"].append(element("spare", "queue", (300, 500)))
    make(console, flow)
    flow["elements"][1]["position"] = [100, 400]
    put(console, flow)
    flow["elements"][0]["properties"]["device"] = "/dev/video1"
    flow["elements"].append(element("vol", "volume", (300, 300)))
    put(console, flow)
    flow["elements"] = [one for one in flow["elements"] if one["id"] != "spare"]
    flow["links"][1] = link("mic:src", "vol:sink")
    put(console, flow)
    return flow


def compare(page, older, newer):
    page.get_by_label(f"Compare to revision {newer}").check()
    page.get_by_label(f"Compare from revision {older}").check()
    title = page.get_by_role("heading", name=f"From revision {older} to {newer}")
    expect(title).to_be_visible()
    expect(page.locator(".difference")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".difference .graph-view")).to_have_attribute("aria-busy", "false")


def test_the_timeline_shows_operation_author_and_time(console):
    flow = flow_with_four_revisions(console)
    page = open_history(console, flow["id"])
    rows = page.locator(".revision")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text(re.compile(r"Revision 4\s*changed\s*by \S+\s*\d+ \w+ 20\d\d, \d\d:\d\d:\d\d.*3 elements, 1 block, 2 links\s*current"))
    expect(rows.last).to_contain_text(re.compile(r"Revision 1\s*created\s*by"))
    put(console, flow | {"name": "Seen at once"})
    expect(rows).to_have_count(5)
    expect(rows.first).to_contain_text("Seen at once")


def test_two_revisions_are_compared_in_words_and_in_the_graph(console):
    flow = flow_with_four_revisions(console)
    page = open_history(console, flow["id"])
    compare(page, 1, 4)
    words = page.locator(".difference .changes").first
    for kind, sentence in [
        ("− removed", "element `spare` (queue) was removed"),
        ("+ added", "element `vol` (volume) was added"),
        ("~ changed", '`properties.device` was changed from "/dev/video0" to "/dev/video1"'),
        ("→ moved", "element `mic` (alsasrc) was moved from [100,300] to [100,400]"),
        ("+ added", "link `mic:src` to `vol:sink` was added"),
    ]:
        expect(words.get_by_role("listitem").filter(has_text=sentence)).to_contain_text(kind)
    for name, mark in [("spare", "− removed"), ("vol", "+ added"), ("cam", "~ changed"), ("mic", "→ moved")]:
        expect(node(page, name).locator(".sign text")).to_have_text(mark)
    expect(node(page, "To the browser").locator(".sign")).to_have_count(0)
    expect(page.locator(".former text")).to_have_text("was here")
    expect(page.locator(".link.mark-added text")).to_have_text("+ added")
    expect(page.locator(".link.mark-removed text")).to_have_text("− removed")

    page.get_by_role("button", name="element `vol` (volume) was added").click()
    expect(node(page, "vol")).to_have_attribute("aria-pressed", "true")
    page.get_by_text("Both documents side by side").click()
    sides = page.get_by_role("region", name="Both documents side by side")
    expect(sides.locator(".theirs").filter(has_text='"device": "/dev/video1"')).to_be_visible()

    compare(page, 2, 3)
    expect(node(page, "mic").locator(".sign")).to_have_count(0)
    expect(node(page, "cam").locator(".sign text")).to_have_text("~ changed")


def test_a_restore_can_be_undone(console):
    flow = flow_with_four_revisions(console)
    page = open_history(console, flow["id"])
    page.get_by_role("button", name="Restore revision 1").click()
    expect(page.get_by_text("Revision 1 was restored as revision 5")).to_be_visible()
    assert [one["id"] for one in stored(console, flow["id"])[0]["elements"]] == ["cam", "mic", "spare"]
    expect(page.locator(".revision").first).to_contain_text(re.compile(r"Revision 5\s*restored"))
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone: revision 4 was restored as revision 6")).to_be_visible()
    assert stored(console, flow["id"])[0] == flow


def test_a_restore_does_not_overwrite_an_unseen_revision(console):
    flow = flow_with_four_revisions(console)
    page = open_history(console, flow["id"])
    expect(page.locator(".revision")).to_have_count(4)
    page.route("**/api/changes**", lambda route: route.abort())
    page.route("**/restore", lambda route: (put(console, flow | {"name": "In between"}), route.fallback())[1])
    page.get_by_role("button", name="Restore revision 1").click()
    expect(page.get_by_role("alert")).to_contain_text("the flow changed in the meantime, so nothing was restored")
    assert stored(console, flow["id"])[0]["name"] == "In between"
    expect(page.locator(".revision").first).to_contain_text("In between")


def test_a_long_history_loads_while_scrolling(console):
    flow = studio()
    make(console, flow)
    for number in range(119):
        put(console, flow | {"name": f"Take {number}"})
    page = open_history(console, flow["id"])
    rows = page.locator(".revision")
    expect(rows).to_have_count(50)
    for count in (100, 120):
        page.get_by_role("button", name="Show more revisions").scroll_into_view_if_needed()
        expect(rows).to_have_count(count)
    expect(rows.last).to_contain_text("Revision 1")
    expect(page.get_by_role("button", name="Show more revisions")).to_have_count(0)
    numbers = rows.locator("b:first-child").all_text_contents()
    assert numbers == [f"Revision {number}" for number in range(120, 0, -1)]


def test_a_deleted_flow_is_restored_from_its_history(console):
    flow = flow_with_four_revisions(console)
    console.call("DELETE", f"/api/flows/{flow['id']}")
    page = open_history(console, flow["id"])
    expect(page.get_by_text("This flow is deleted.")).to_be_visible()
    page.get_by_role("button", name="Restore revision 2").click()
    expect(page.get_by_text("Revision 2 was restored as revision 6")).to_be_visible()
    expect(page.get_by_text("This flow is deleted.")).to_have_count(0)
    assert newest(console, flow["id"]) == 6


def test_the_trash_loads_while_scrolling_and_restores(console):
    flows = [studio() for _ in range(60)]
    for flow in flows:
        make(console, flow)
        console.call("DELETE", f"/api/flows/{flow['id']}")
    page = console.page()
    console.open(page, "#/trash")
    rows = page.locator(".trash-list li")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text(re.compile(rf"{flows[-1]['name']}\s*deleted by \S+"))
    page.get_by_role("button", name="Show more deleted flows").scroll_into_view_if_needed()
    expect(page.get_by_role("button", name=f"Restore {flows[0]['name']}", exact=True)).to_be_visible()
    late = studio()
    make(console, late)
    console.call("DELETE", f"/api/flows/{late['id']}")
    expect(rows.first).to_contain_text(late["name"])
    page.get_by_role("button", name=f"Restore {flows[0]['name']}", exact=True).click()
    expect(page.get_by_text("was restored as revision 3")).to_be_visible()
    assert stored(console, flows[0]["id"])[0] == flows[0]


def test_a_second_restore_from_the_trash_is_rejected(console):
    flow = studio()
    make(console, flow)
    console.call("DELETE", f"/api/flows/{flow['id']}")
    page = console.page()
    page.route("**/api/changes**", lambda route: route.abort())
    console.open(page, "#/trash")
    button = page.get_by_role("button", name=f"Restore {flow['name']}", exact=True)
    expect(button).to_be_visible()
    console.call("POST", f"/api/flows/{flow['id']}/restore", {"revision": 1}, {"If-None-Match": "*"})
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("was already restored")
    expect(button).to_have_count(0)
    assert newest(console, flow["id"]) == 3
