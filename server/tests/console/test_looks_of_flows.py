"""Accessibility of the views of one flow: axe finds no violation with any appearance. Screenshots for the documentation."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from flows import block, element, link, make, put, studio
from test_edit import editing, replace, save
from test_graph import node
from test_history import compare, flow_with_four_revisions, open_history

APPEARANCES = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}


def look_at_graph(console, options):
    flow = studio()
    flow["links"].append(link("mic:src", "gone:sink"))
    page = console.page(**options)
    console.open(page, f"#/flows/{make(console, flow)}")
    expect(page.locator(".graph-view")).to_have_attribute("aria-busy", "false")
    page.get_by_text("4 nodes and 3 links as a list").click()
    node(page, "mic").focus()
    page.keyboard.press("Enter")
    return page


def look_at_question(console, options):
    page = console.page(**options)
    console.open(page, f"#/flows/{make(console, studio())}")
    page.get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    return page


def look_at_news(console, options):
    flow = studio()
    page = console.page(**options)
    console.open(page, f"#/flows/{make(console, flow)}")
    expect(page.locator(".node")).to_have_count(3)
    put(console, flow | {"name": "Changed by another"})
    expect(page.locator(".news")).to_contain_text("(revision 2)")
    return page


def look_at_edit(console, options):
    page = editing(console, make(console, studio()), **options)
    replace(page, '"name": "Studio', '"name": 5, "was": "Studio')
    save(page)
    expect(page.get_by_role("alert").filter(has_text="Line")).to_be_visible()
    return page


def look_at_conflict(console, options):
    flow = studio()
    page = editing(console, make(console, flow), **options)
    replace(page, '"volume": 0.5', '"volume": 0.9')
    page.get_by_label("Description").fill("The morning show, louder")
    flow["elements"][1]["properties"]["volume"] = 0.1
    flow["elements"].append(element("vol", "volume", (300, 300)))
    put(console, flow)
    save(page)
    expect(page.locator(".conflict")).to_be_visible()
    return page


def look_at_collision(console, options):
    page = look_at_conflict(console, options)
    page.get_by_role("button", name="Merge both").click()
    expect(page.get_by_role("alert").filter(has_text="cannot be merged")).to_be_visible()
    return page


def look_at_deleted(console, options):
    flow = studio()
    page = editing(console, make(console, flow), **options)
    page.get_by_label("Name").fill("Mine")
    console.call("DELETE", f"/api/flows/{flow['id']}")
    save(page)
    expect(page.get_by_role("heading", name="This flow was deleted while you were editing")).to_be_visible()
    return page


def look_at_history(console, options):
    page = open_history(console, flow_with_four_revisions(console)["id"], **options)
    compare(page, 1, 4)
    page.get_by_text("Both documents side by side").click()
    expect(page.locator(".side-by-side")).to_be_visible()
    return page


def look_at_trash(console, options):
    flow = studio()
    make(console, flow)
    console.call("DELETE", f"/api/flows/{flow['id']}")
    page = console.page(**options)
    console.open(page, "#/trash")
    expect(page.get_by_role("button", name=f"Restore {flow['name']}", exact=True)).to_be_visible()
    return page


VIEWS = {name.removeprefix("look_at_"): view for name, view in list(globals().items()) if name.startswith("look_at_")}


@pytest.mark.parametrize("appearance", APPEARANCES)
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_no_violation(console, view, appearance):
    page = VIEWS[view](console, APPEARANCES[appearance])
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "the page is wider than the screen"


KEYS = {"anna": "the key that anna has", "ben": "the key that ben has"}


@pytest.fixture
def console_of_two_users(serve, tmp_path):
    """A console with two users: direct requests use the key of Anna, pages use the key of Ben."""
    keys = tmp_path / "keys.toml"
    keys.write_text("".join(f'[{name}]\nsecret = "{key}"\n' for name, key in KEYS.items()))
    keys.chmod(0o600)
    console = serve("--api-keys-file", str(keys), key=KEYS["anna"])
    page = console.page

    def page_of_ben(**options):
        opened = page(**options)
        opened.add_init_script(f"sessionStorage.setItem('strom-key', '{KEYS['ben']}')")
        return opened

    console.page = page_of_ben
    return console


SCREENSHOT_OPTIONS = {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"}


def morning_show():
    """Returns a realistic flow: two cameras are mixed, loudness is normalised, both go to browsers."""
    mixer = {"inputs": [{"name": f"input_{i}", "media_type": "Video"} for i in range(2)], "outputs": [{"name": "video_out", "media_type": "Video"}]}
    browser = {"inputs": [{"name": "video_in", "media_type": "Video"}, {"name": "audio_in", "media_type": "Audio"}], "outputs": []}
    return studio(
        name="Morning show",
        gst_state="Playing",
        elements=[
            element("camera-1", "decklinkvideosrc", (60, 60), connection="sdi", **{"device-number": 0}),
            element("camera-2", "decklinkvideosrc", (60, 200), connection="sdi", **{"device-number": 1}),
            element("desk", "alsasrc", (60, 360), device="hw:2"),
            element("loudness", "audioloudnorm", (360, 360), **{"loudness-target": -23.0}),
        ],
        blocks=[
            block("mix", "builtin.compositor", (360, 100), name="Mixer", computed_external_pads=mixer),
            block("out", "builtin.whep_output", (700, 160), name="To the browsers", computed_external_pads=browser),
        ],
        links=[
            link("camera-1:src", "mix:input_0"), link("camera-2:src", "mix:input_1"), link("desk:src", "loudness:sink"),
            link("mix:video_out", "out:video_in"), link("loudness:src", "out:audio_in"),
        ],
        properties={"description": "Weekdays from six to nine", "clock_type": "ptp", "ptp_domain": 0, "auto_restart": True},
    )


def test_screenshot_of_a_graph(console_of_two_users):
    flow = morning_show()
    flow["links"].append(link("loudness:src", "recorder:sink"))
    page = console_of_two_users.page(**SCREENSHOT_OPTIONS)
    console_of_two_users.open(page, f"#/flows/{make(console_of_two_users, flow)}")
    node(page, "loudness").click()
    expect(node(page, "recorder").locator(".warning")).to_be_visible()
    console_of_two_users.screenshot(page, "graph")


def test_screenshot_of_a_difference(console_of_two_users):
    flow = morning_show()
    make(console_of_two_users, flow)
    flow["elements"][0]["properties"]["device-number"] = 3
    flow["elements"][3]["position"] = [660, 430]
    flow["elements"].append(element("levels", "level", (330, 480), interval=100000000))
    flow["links"][2] = link("desk:src", "levels:sink")
    flow["links"].append(link("levels:src", "loudness:sink"))
    flow["elements"].pop(1)
    flow["links"].pop(1)
    put(console_of_two_users, flow)
    page = open_history(console_of_two_users, flow["id"], viewport={"width": 1280, "height": 1240}, color_scheme="light")
    expect(page.locator(".difference .sign").first).to_be_visible()
    console_of_two_users.screenshot(page, "difference")


def test_screenshot_of_a_conflict(console_of_two_users):
    flow = morning_show()
    page = editing(console_of_two_users, make(console_of_two_users, flow), **SCREENSHOT_OPTIONS)
    replace(page, '"loudness-target": -23', '"loudness-target": -16')
    page.get_by_label("Description").fill("Weekdays from five to nine")
    flow["elements"][0]["properties"]["device-number"] = 3
    flow["elements"].append(element("levels", "level", (360, 460)))
    put(console_of_two_users, flow)
    save(page)
    expect(page.locator(".conflict .side-by-side")).to_be_visible()
    page.evaluate("() => scrollTo(0, 0)")
    console_of_two_users.screenshot(page, "conflict")
