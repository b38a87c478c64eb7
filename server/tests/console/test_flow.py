"""The view of one flow: facts, document and actions."""

import json
import re

from playwright.sync_api import expect

from flows import EXACT, element, link, make, newest, put, stored, studio, with_exact_numbers


def open_flow(console, flow, part="", **options):
    page = console.page(**options)
    flow_id = make(console, flow)
    console.open(page, f"#/flows/{flow_id}{part}")
    return page, flow_id


def test_the_header_shows_state_revision_author_and_time(console):
    flow = studio(gst_state="Playing")
    page, _ = open_flow(console, flow)
    expect(page.get_by_role("heading", level=1)).to_have_text(flow["name"])
    facts = page.locator(".flow-facts")
    expect(facts).to_contain_text(re.compile(r"Playing\s*revision 1\s*created by \S+\s+just now"))
    put(console, flow | {"name": "Other"})
    expect(facts).to_contain_text(re.compile(r"revision 2\s*changed by"))


def test_the_document_is_shown_copied_and_downloaded_exactly(console):
    flow, text = with_exact_numbers()
    page, _ = open_flow(console, text)
    shown = page.get_by_label("The document as JSON")
    for number in EXACT:
        expect(shown).to_contain_text(number)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == f"{flow['name'].replace(' ', '-')}.json"
    with open(download.value.path()) as file:
        downloaded = file.read()
    for one in (copied, downloaded):
        assert all(number in one for number in EXACT)
        assert json.loads(one) == json.loads(text)


def test_a_duplicate_is_an_independent_flow(console):
    flow, text = with_exact_numbers()
    page, flow_id = open_flow(console, text)
    page.get_by_role("button", name="Duplicate").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{flow['name']} (copy)")
    copy_id = page.url.rsplit("/", 1)[1]
    assert copy_id != flow_id
    copy, copied = stored(console, copy_id)
    assert all(number in copied for number in EXACT)
    assert copy == json.loads(text) | {"id": copy_id, "name": f"{flow['name']} (copy)"}


def test_a_deletion_asks_and_can_be_undone(console):
    flow = studio()
    page, flow_id = open_flow(console, flow)
    page.get_by_role("button", name="Delete…").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("can be restored")
    question.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Delete…").click()
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    assert console.call("GET", f"/api/flows/{flow_id}")[0] == 200
    page.get_by_role("button", name="Delete…").click()
    question.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Trash")).to_be_visible()
    assert console.call("GET", f"/api/flows/{flow_id}")[0] == 404
    page.get_by_role("button", name=f"Restore {flow['name']}", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(flow["name"])
    expect(page.get_by_text("was restored as revision 3")).to_be_visible()
    assert stored(console, flow_id)[0] == flow


def test_a_flow_that_changed_in_the_meantime_is_not_deleted(console):
    flow = studio()
    page, flow_id = open_flow(console, flow)
    page.get_by_role("button", name="Delete…").click()
    # The deletion has the shown revision as its precondition.
    page.route("**/api/changes**", lambda route: route.abort())
    put(console, flow | {"name": "Changed in between"})
    page.route("**/api/flows/*", lambda route: route.fallback(headers=route.request.headers | (
        {"if-match": '"1"'} if route.request.method == "DELETE" else {})))
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("alert")).to_contain_text("the flow changed in the meantime, so it was not deleted")
    expect(page.get_by_role("heading", level=1)).to_have_text("Changed in between")
    assert console.call("GET", f"/api/flows/{flow_id}")[0] == 200


def test_changes_of_other_clients_are_shown_as_news(console):
    flow = studio()
    page, flow_id = open_flow(console, flow)
    expect(page.locator(".node")).to_have_count(3)
    flow["elements"].append(element("vol", "volume", (300, 400)))
    flow["links"].append(link("mic:src", "vol:sink"))
    put(console, flow)
    expect(page.locator(".node")).to_have_count(4)
    news = page.locator(".news")
    expect(news).to_contain_text("changed this flow just now (revision 2). This page shows the current flow.")
    expect(news).to_contain_text("element `vol` (volume) was added")
    page.get_by_role("button", name="Got it").click()
    expect(news).to_have_text("")

    console.call("PUT", f"/api/flows/{flow_id}/state", {"state": "Playing"})
    expect(page.locator(".flow-facts")).to_contain_text("Playing")
    expect(news).to_have_text("", timeout=500)

    console.call("DELETE", f"/api/flows/{flow_id}")
    expect(news).to_contain_text("deleted this flow")
    expect(page.locator(".flow-facts")).to_contain_text("deleted")
    expect(page.locator(".node")).to_have_count(4)
    expect(page.get_by_role("button", name="Delete…")).to_have_count(0)
    assert newest(console, flow_id) == 3


def test_a_missing_flow_shows_where_to_look(console):
    page = console.page()
    console.open(page, "#/flows/57130000-0000-4000-8000-0000000000fe")
    expect(page.get_by_role("alert")).to_contain_text("There is no flow with this id")


def test_a_read_only_key_disables_changes(serve, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text('[desk]\nsecret = "the key of the desk"\n\n[wall]\nsecret = "the key of the wall"\nread-only = true\n')
    keys.chmod(0o600)
    console = serve("--api-keys-file", str(keys), key="the key of the desk")
    flow_id = make(console, studio())
    page = console.page()
    page.add_init_script("sessionStorage.setItem('strom-key', 'the key of the wall')")
    console.open(page, f"#/flows/{flow_id}")
    for name in ("Duplicate", "Delete…"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()
        expect(page.get_by_role("button", name=name)).to_have_attribute("title", re.compile("is read-only"))
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name").fill("Not for me to change")
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
