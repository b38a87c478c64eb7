"""Flows come in from files and go out as files."""

import json
import re

import pytest
from playwright.sync_api import expect

from flows import EXACT, make, new_id, put, stored, studio, with_exact_numbers
from test_list import counted, many


@pytest.fixture
def console(serve):
    return serve()


def file(name, content):
    content = content if isinstance(content, str) else json.dumps(content)
    return {"name": name, "mimeType": "application/json", "buffer": content.encode()}


def choose(page, *files):
    page.get_by_label("Choose files").set_input_files(list(files))
    expect(page.locator(".results")).to_have_attribute("aria-busy", "false")


def report(page, name):
    return page.get_by_role("region", name=f"Report on {name}")


def count(console):
    return len(console.call("GET", "/api/flows")[1]["flows"])


def test_a_file_is_looked_at_before_anything_is_written(console):
    here = studio(name="Here, changed since")
    make(console, here)
    fresh, text = with_exact_numbers()
    page = console.open(console.page(), "#/import")
    choose(page, file("show.json", f'{{"version":1,"flows":[{text},{json.dumps(here | {"name": "In the file"})}]}}'))
    rows = report(page, "show.json").get_by_role("row")
    expect(rows.filter(has_text="In the file")).to_contain_text("would be refused")
    expect(rows.filter(has_text=fresh["name"])).to_contain_text("would be created")
    expect(page.get_by_role("button", name="Nothing to import")).to_be_disabled()
    assert count(console) == 1

    page.get_by_label("Replace what is here").check()
    expect(rows.filter(has_text="In the file")).to_contain_text("would replace what is here")
    expect(page.locator(".sum")).to_have_text("It would be: 1 created, 1 replaced.")
    assert count(console) == 1, "nothing is written before somebody says so"
    page.get_by_role("button", name="Import 2 flows").click()
    expect(page.get_by_role("heading", name="What was imported")).to_be_focused()
    expect(rows.filter(has_text="In the file")).to_contain_text("replaced what was here")
    assert stored(console, here["id"])[0]["name"] == "In the file"
    assert all(number in stored(console, fresh["id"])[1] for number in EXACT)
    rows.get_by_role("link", name="In the file").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("In the file")


@pytest.mark.parametrize(("policy", "word", "names"), [
    ("Keep what is here", "would be skipped", ["Here"]),
    ("Take what is newer", "would be skipped|would replace", None),
    ("Import copies", "would be imported as a copy", ["Here", "Other"]),
])
def test_what_happens_to_flows_that_are_here_is_chosen(console, policy, word, names):
    flow = studio(name="Here")
    make(console, flow)
    page = console.open(console.page(), "#/import")
    choose(page, file("one.json", flow | {"name": "Other"}))
    page.get_by_label(policy).check()
    expect(report(page, "one.json").locator(".outcome")).to_have_text(re.compile(word))
    if policy == "Import copies":
        page.get_by_role("button", name="Import 1 flow").click()
        expect(page.get_by_role("heading", name="What was imported")).to_be_visible()
    if names:
        assert sorted(one["name"] for one in console.call("GET", "/api/flows")[1]["flows"]) == names


def test_several_files_of_several_kinds_and_what_is_wrong_in_them(console):
    a, b, c = studio(name="a"), studio(name="b"), studio(name="c", links=[{"from": "cam:src", "to": "gone:sink"}])
    page = console.open(console.page(), "#/import")
    choose(page, file("lines.ndjson", f"{json.dumps(a)}\n{json.dumps(b)}\n"), file("single.json", c), file("torn.json", '{"flows":['),
           file("wrong.json", [{"id": 7, "name": "n"}]))
    expect(report(page, "lines.ndjson").get_by_role("row")).to_have_count(3)
    expect(report(page, "single.json")).to_contain_text("gone")
    expect(report(page, "torn.json").get_by_role("alert")).to_contain_text("This file cannot be imported")
    expect(report(page, "wrong.json")).to_contain_text("expected a string, found a number")
    expect(page.get_by_text("2 files are left out as a whole")).to_be_visible()
    page.get_by_role("button", name="Import 3 flows").click()
    expect(page.get_by_role("heading", name="What was imported")).to_be_visible()
    assert sorted(flow["name"] for flow in console.call("GET", "/api/flows")[1]["flows"]) == ["a", "b", "c"]


def test_files_are_dropped_anywhere_on_the_page(console):
    page = console.open(console.page())
    expect(page.get_by_text("There are no flows yet.")).to_be_visible()
    transfer = page.evaluate_handle(
        """text => { const data = new DataTransfer(); data.items.add(new File([text], 'dropped.json', { type: 'application/json' })); return data; }""",
        json.dumps(studio(name="Dropped")))
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(report(page, "dropped.json")).to_contain_text("would be created")
    assert count(console) == 0
    page.get_by_role("button", name="Import 1 flow").click()
    page.get_by_role("link", name="Go to the flows").click()
    expect(page.locator(".row .name")).to_have_text(["Dropped"])


def test_an_import_that_changes_meanwhile_is_refused_and_told(console):
    flow = studio(name="Both")
    page = console.open(console.page(), "#/import")
    choose(page, file("both.json", flow))
    make(console, flow | {"name": "Somebody was faster"})
    page.get_by_role("button", name="Import 1 flow").click()
    expect(report(page, "both.json").get_by_role("alert")).to_contain_text("Nothing of this file was imported")
    assert stored(console, flow["id"])[0]["name"] == "Somebody was faster"


def downloaded(page, press):
    with page.expect_download() as download:
        press()
    with open(download.value.path(), encoding="utf-8") as content:
        return download.value.suggested_filename, content.read()


@pytest.mark.parametrize("key", [None, "a secret of some length"])
def test_all_the_found_and_one_are_exported(serve, key):
    console = serve(*(["--api-key", key] if key else []), key=key)
    flow, text = with_exact_numbers()
    make(console, text)
    make(console, studio(name="Kitchen / cam: 2"))
    page = console.open(console.page())
    if key:
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
    counted(page, "2 flows")
    name, content = downloaded(page, page.get_by_role("button", name="Export all").click)
    assert re.fullmatch(r"strom-flows-\d{4}-\d\d-\d\d\.json", name)
    assert len(json.loads(content)["flows"]) == 2 and all(number in content for number in EXACT)
    expect(page.get_by_role("status", name="Export")).to_contain_text("Exported: ")

    page.get_by_label("Search by name").fill("kitchen")
    counted(page, "1 flow found")
    name, content = downloaded(page, page.get_by_role("button", name="Export found").click)
    assert name.startswith("strom-flows-filtered-") and [one["name"] for one in json.loads(content)["flows"]] == ["Kitchen / cam: 2"]

    name, content = downloaded(page, page.get_by_role("button", name="Export Kitchen / cam: 2").click)
    assert name == "Kitchen-cam-2.json"
    page.get_by_role("link", name="Import", exact=True).click()
    choose(page, file(name, content))
    expect(report(page, name)).to_contain_text("is here already, just so")


def test_an_export_that_is_refused_is_told(console):
    make(console, studio())
    page = console.open(console.page())
    counted(page, "1 flow")
    page.route(re.compile("/api/flows/export"), lambda route: route.fulfill(
        status=503, content_type="application/problem+json", body=json.dumps({"title": "the storage is busy", "detail": "2 exports are running", "status": 503})))
    page.get_by_role("button", name="Export all").click()
    expect(page.get_by_role("alert")).to_contain_text("2 exports are running")
