"""Accessibility of list, imports and sign-in: axe finds no violation with any appearance. A screenshot for the documentation."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from flows import make, studio
from test_list import expect_count
from test_transfer import choose, file

APPEARANCES = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
    "narrow-dark": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
}
SHOWS = ["Morning show", "News desk", "Playout A", "Playout B", "Monitor wall", "Radio backup", "Weather", "Sports, camera 2"]


@pytest.fixture
def console(serve):
    return serve()


def create_shows(console):
    for index, name in enumerate(SHOWS):
        state = ("Playing", "Null", "Paused", "Ready")[index % 4]
        make(console, studio(name=name, gst_state=state, properties={"auto_restart": index % 3 == 0}))


def look_at_list(console, page):
    create_shows(console)
    console.open(page)
    expect_count(page, f"{len(SHOWS)} flows")


def look_at_empty_list(console, page):
    console.open(page)
    expect(page.get_by_text("There are no flows yet.")).to_be_visible()


def look_at_wrong_filter(console, page):
    create_shows(console)
    console.open(page)
    page.get_by_text("Filter by any field").click()
    page.get_by_label("Flows that contain this JSON").fill('{"a"')
    expect(page.get_by_role("alert").filter(has_text="not JSON")).to_be_visible()


def look_at_new_flow(console, page):
    console.open(page)
    page.get_by_role("button", name="New flow").click()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text("A flow needs a name.")


def look_at_import(console, page):
    flow = studio(name="Here")
    make(console, flow)
    console.open(page, "#/import")
    choose(page, file("flows.json", {"flows": [flow | {"name": "In the file"}, studio(name="New")]}), file("torn.json", "{"))


def look_at_unreachable_server(console, page):
    create_shows(console)
    console.open(page)
    expect_count(page, f"{len(SHOWS)} flows")
    console.server.stop()
    expect(page.get_by_text("Server unreachable.").first).to_be_visible()


def look_at_unknown_address(console, page):
    console.open(page, "#/nowhere")
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()


VIEWS = {name.removeprefix("look_at_"): view for name, view in list(globals().items()) if name.startswith("look_at_")}


def assert_accessible(page):
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "the page is wider than the screen"


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_no_violation(console, view):
    for number, options in enumerate(APPEARANCES.values()):
        if number and view == "unreachable_server":
            console.server.start()
        page = console.page(**options)
        for flow in console.call("GET", "/api/flows?view=summary")[1]["flows"]:
            console.call("DELETE", f"/api/flows/{flow['id']}")
        VIEWS[view](console, page)
        assert_accessible(page)


def test_axe_finds_no_violation_in_the_sign_in_form(serve):
    console = serve("--api-key", "a secret of some length", key="a secret of some length")
    for options in APPEARANCES.values():
        page = console.page(**options)
        console.open(page)
        page.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The server does not know this key.")
        assert_accessible(page)


def test_screenshot_of_the_list(console):
    create_shows(console)
    page = console.page(viewport={"width": 1200, "height": 640})
    console.open(page)
    expect_count(page, f"{len(SHOWS)} flows")
    console.screenshot(page, "list")
