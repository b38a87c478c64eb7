"""The list of flows: search, filters, order, live changes."""

import json
import re

import pytest
from playwright.sync_api import expect

from flows import element, make, new_id, put, studio


@pytest.fixture
def console(serve):
    """A list shows all flows of a server, so each test has its own server."""
    return serve()


def rows(page):
    return page.get_by_role("list", name="Flows").get_by_role("listitem")


def names(page):
    return page.locator(".row .name").all_text_contents()


def expect_count(page, words):
    expect(page.get_by_role("status", name="Number of flows")).to_have_text(words)


def import_many(console, count, name="Flow", **more):
    """Imports a number of flows with numbered names."""
    flows = [{"id": new_id(), "name": f"{name} {number:05}", **more} for number in range(count)]
    status, _, text = console.call("POST", "/api/flows/import", {"version": 1, "flows": flows})
    assert status == 200, text
    return flows


def test_an_empty_list_shows_what_to_do(console):
    page = console.open(console.page())
    expect(page.get_by_text("There are no flows yet.")).to_be_visible()
    expect_count(page, "0 flows")


def test_a_row_shows_a_summary(console):
    flow = studio(name="Morning show", gst_state="Playing", properties={"auto_restart": True})
    make(console, flow)
    page = console.open(console.page())
    row = rows(page).first
    for words in ("Morning show", "Playing", "auto-restart", "2 elements, 1 block, 2 links", "just now"):
        expect(row).to_contain_text(words)
    row.get_by_role("link", name="Morning show").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Morning show")
    page.go_back()
    expect(rows(page)).to_have_count(1)


def test_the_search_runs_while_typing(console):
    for name in ("News desk", "Playout", "newsroom ÄÖ"):
        make(console, studio(name=name))
    page = console.open(console.page())
    requests = []
    page.on("request", lambda request: "name=" in request.url and "limit=100" in request.url and requests.append(request.url))
    page.get_by_label("Search by name").press_sequentially("NEWS", delay=20)
    expect(rows(page)).to_have_count(2)
    assert names(page) == ["News desk", "newsroom ÄÖ"]
    assert len(requests) == 1, "one request for a fast typed word"
    expect_count(page, "2 flows found")
    page.get_by_label("Search by name").fill("nothing has this")
    expect(page.get_by_text("No flow matches.")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(rows(page)).to_have_count(3)
    expect(page.get_by_label("Search by name")).to_have_value("")


def test_a_late_response_does_not_replace_a_newer_one(console):
    for name in ("slow one", "quick one"):
        make(console, studio(name=name))
    page = console.open(console.page())
    expect(rows(page)).to_have_count(2)

    def delay(route):
        page.wait_for_timeout(600)
        try:
            route.continue_()
        except Exception:
            pass  # The page aborted the request, as expected.

    page.route(re.compile("name=slow"), delay)
    failed = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.get_by_label("Search by name").fill("slow")
    page.wait_for_timeout(260)
    page.get_by_label("Search by name").fill("quick")
    expect(rows(page)).to_have_count(1)
    page.wait_for_timeout(1_000)
    assert names(page) == ["quick one"]
    assert any("name=slow" in url for url in failed), failed


def test_filters_remain_after_going_back(console):
    make(console, studio(name="one", gst_state="Playing", properties={"auto_restart": True}))
    make(console, studio(name="two", gst_state="Playing"))
    make(console, studio(name="three"))
    page = console.open(console.page())
    page.get_by_label("State").select_option("Playing")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Auto-restart").select_option("Yes")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("link", name="one", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("one")
    page.go_back()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_label("State")).to_have_value("Playing")
    page.reload()
    expect(rows(page)).to_have_count(1)


def test_the_json_filter_has_examples_and_rejects_invalid_json(console):
    make(console, studio(name="with ptp", properties={"clock_type": "ptp", "ptp_domain": 0}))
    make(console, studio(name="with srt", elements=[element("in", "srtsrc")], links=[]))
    page = console.open(console.page())
    expect(rows(page)).to_have_count(2)
    page.get_by_text("Filter by any field").click()
    field = page.get_by_label("Flows that contain this JSON")
    page.get_by_role("button", name="Clock from PTP").click()
    expect(field).to_have_value('{"properties":{"clock_type":"ptp"}}')
    expect(page.locator(".row .name")).to_have_text(["with ptp"])
    page.get_by_role("button", name="With an SRT source").click()
    expect(page.locator(".row .name")).to_have_text(["with srt"])
    field.fill('{"properties":')
    expect(page.get_by_role("alert").filter(has_text="This is not JSON yet")).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill('"ptp"')
    expect(page.get_by_role("alert").filter(has_text="Put it into { }")).to_be_visible()
    # Errors that only the server finds appear at the same position.
    field.fill('{"a":1,"a":2}')
    expect(page.get_by_role("alert").filter(has_text="The server rejects this filter")).to_be_visible()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(rows(page)).to_have_count(2)


def test_the_order_can_be_chosen(console):
    first, second = studio(name="a"), studio(name="b")
    for flow in (first, second):
        make(console, flow)
    page = console.open(console.page())
    expect(page.locator(".row .name")).to_have_text(["a", "b"])
    page.get_by_label("Order").select_option("Name, Z to A")
    expect(page.locator(".row .name")).to_have_text(["b", "a"])
    page.get_by_label("Order").select_option("Changed, latest first")
    put(console, first | {"properties": {"description": "new"}})
    expect(page.locator(".row .name")).to_have_text(["a", "b"])
    page.get_by_label("Order").select_option("Created, oldest first")
    expect(page.locator(".row .name")).to_have_text(["a", "b"])


def test_scrolling_loads_pages_and_keeps_few_rows(console):
    import_many(console, 450)
    page = console.open(console.page())
    expect_count(page, "450 flows")
    for _ in range(600):
        page.mouse.wheel(0, 2_500)
        page.wait_for_timeout(30)
        assert page.locator(".row").count() < 120, "rows far from the window are not in the page"
        if page.get_by_role("link", name="Flow 00449").count():
            break
    expect(page.get_by_text("End of the list.")).to_be_visible()
    expect(page.get_by_role("link", name="Flow 00449")).to_be_visible()
    expect(rows(page).last).to_have_attribute("aria-posinset", "450")


def test_one_scroll_to_the_end_loads_one_page(console):
    import_many(console, 1_500)
    page = console.open(console.page())
    expect_count(page, "1,500 flows")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.get_by_role("link", name="Flow 00105")).to_be_attached()
    before = page.evaluate("scrollY")
    page.wait_for_timeout(1_500)
    assert page.evaluate("scrollY") == before, "the page did not scroll by itself"
    assert int(page.locator(".row").last.get_attribute("aria-posinset")) < 200


def test_changes_of_other_clients_appear_immediately(console):
    flow = studio(name="b")
    make(console, flow)
    page = console.open(console.page())
    expect(page.locator(".row .name")).to_have_text(["b"])
    expect(page.locator(".live")).to_have_text("live")
    other = studio(name="a")
    make(console, other)
    expect(page.locator(".row .name")).to_have_text(["a", "b"])
    put(console, flow | {"name": "renamed"})
    expect(page.locator(".row .name")).to_have_text(["a", "renamed"])
    console.call("PUT", f"/api/flows/{flow['id']}/state", {"state": "Playing"})
    expect(rows(page).last).to_contain_text("Playing")
    console.call("DELETE", f"/api/flows/{other['id']}")
    expect(page.locator(".row .name")).to_have_text(["renamed"])
    expect_count(page, "1 flow")


def test_a_filtered_list_adds_only_matching_flows(console):
    page = console.open(console.page(), "#/?name=studio")
    expect(page.get_by_text("No flow matches.")).to_be_visible()
    make(console, studio(name="Kitchen"))
    make(console, studio(name="Studio 7"))
    expect(page.locator(".row .name")).to_have_text(["Studio 7"])


def test_the_list_does_not_jump_when_flows_are_added(console):
    import_many(console, 300)
    page = console.open(console.page())
    expect_count(page, "300 flows")
    page.mouse.move(400, 400)
    page.mouse.wheel(0, 4_000)
    row = page.locator(".row", has=page.get_by_role("link", name="Flow 00080"))
    expect(row).to_be_visible()
    page.wait_for_timeout(300)
    before = row.bounding_box()["y"]
    row.get_by_role("link").focus()
    for name in ("A first", "A second", "A third"):
        make(console, studio(name=name))
    expect_count(page, "303 flows")
    page.wait_for_timeout(1_200)
    assert abs(row.bounding_box()["y"] - before) < 2, "the visible row keeps its position"
    expect(row.get_by_role("link")).to_be_focused()
    expect(row).to_have_attribute("aria-posinset", "84")


def test_the_list_does_not_jump_beyond_the_largest_page(console):
    import_many(console, 10_400)
    page = console.open(console.page())
    expect_count(page, "10,400 flows")
    row = page.locator(".row", has=page.get_by_role("link", name="Flow 10390"))
    for _ in range(2_000):
        if row.count():
            break
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(10)
    row.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    before = row.bounding_box()["y"]
    make(console, studio(name="A first"))
    expect(row).to_have_attribute("aria-posinset", "10392", timeout=20_000)
    assert abs(row.bounding_box()["y"] - before) < 2


def test_a_new_flow_needs_a_name(console):
    page = console.open(console.page())
    page.get_by_role("button", name="New flow").click()
    dialog = page.get_by_role("dialog", name="New flow")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_have_text("A flow needs a name.")
    dialog.get_by_label("Name").fill("x" * 300)
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("255")
    dialog.get_by_label("Name").fill("Evening show")
    dialog.get_by_label("Description").fill("Made here")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Evening show")
    _, answer, _ = console.call("GET", "/api/flows")
    assert [(flow["name"], flow["properties"]["description"]) for flow in answer["flows"]] == [("Evening show", "Made here")]


def test_the_list_works_with_the_keyboard_only(console):
    make(console, studio(name="Morning show"))
    page = console.open(console.page())
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for name in ("New flow", "Import…", "Export all"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("main").locator(":focus")).to_have_text(name)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_label("Search by name").focus()
    page.keyboard.type("morning")
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.locator(".row .name:focus").count():
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Morning show")


def test_the_list_reloads_after_an_expired_cursor(console):
    """After a 410 response of the feed, the page requests a new cursor and reloads the list."""
    make(console, studio(name="one"))
    page = console.page()
    answers = iter([410])

    def once(route):
        if "since=" in route.request.url and next(answers, None):
            make(console, studio(name="missed"))
            return route.fulfill(status=410, content_type="application/problem+json", body=json.dumps({"title": "gone", "status": 410}))
        return route.continue_()

    page.route(re.compile("/api/changes"), once)
    console.open(page)
    expect(page.locator(".row .name")).to_have_text(["missed", "one"])
    make(console, studio(name="zzz"))
    expect(page.locator(".row .name")).to_have_text(["missed", "one", "zzz"])
