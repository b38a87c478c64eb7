"""The list, imports and signing in for everybody: axe finds nothing, in light, dark and narrow. A picture for the documentation."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from flows import make, studio
from test_list import counted
from test_transfer import choose, file

LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
    "narrow-dark": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
}
SHOWS = ["Morning show", "News desk", "Playout A", "Playout B", "Monitor wall", "Radio backup", "Weather", "Sports, camera 2"]


@pytest.fixture
def console(serve):
    return serve()


def shows(console):
    for index, name in enumerate(SHOWS):
        state = ("Playing", "Null", "Paused", "Ready")[index % 4]
        make(console, studio(name=name, gst_state=state, properties={"auto_restart": index % 3 == 0}))


def look_at_list(console, page):
    shows(console)
    console.open(page)
    counted(page, f"{len(SHOWS)} flows")


def look_at_nothing(console, page):
    console.open(page)
    expect(page.get_by_text("There are no flows yet.")).to_be_visible()


def look_at_wrong_filter(console, page):
    shows(console)
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


def look_at_silence(console, page):
    shows(console)
    console.open(page)
    counted(page, f"{len(SHOWS)} flows")
    console.server.stop()
    expect(page.get_by_text("The server does not answer.").first).to_be_visible()


def look_at_no_place(console, page):
    console.open(page, "#/nowhere")
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()


VIEWS = {name.removeprefix("look_at_"): view for name, view in list(globals().items()) if name.startswith("look_at_")}


def is_fine(page):
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "nothing makes the page wider than the screen"


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(console, view):
    for number, options in enumerate(LOOKS.values()):
        if number and view == "silence":
            console.server.start()
        page = console.page(**options)
        for flow in console.call("GET", "/api/flows?view=summary")[1]["flows"]:
            console.call("DELETE", f"/api/flows/{flow['id']}")
        VIEWS[view](console, page)
        is_fine(page)


def test_axe_finds_nothing_where_a_key_is_given(serve):
    console = serve("--api-key", "a secret of some length", key="a secret of some length")
    for options in LOOKS.values():
        page = console.page(**options)
        console.open(page)
        page.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The server does not know this key.")
        is_fine(page)


def test_a_picture_of_the_list(console):
    shows(console)
    page = console.page(viewport={"width": 1200, "height": 640})
    console.open(page)
    counted(page, f"{len(SHOWS)} flows")
    console.screenshot(page, "list")
