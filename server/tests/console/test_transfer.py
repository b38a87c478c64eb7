"""Imports from files and exports to files."""

import json
import re

import pytest
from playwright.sync_api import expect

from flows import EXACT, make, stored, studio, with_exact_numbers
from test_list import expect_count


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


def test_an_import_shows_a_preview_before_it_writes(console):
    existing = studio(name="Here, changed since")
    make(console, existing)
    new_flow, text = with_exact_numbers()
    page = console.open(console.page(), "#/import")
    choose(page, file("show.json", f'{{"version":1,"flows":[{text},{json.dumps(existing | {"name": "In the file"})}]}}'))
    rows = report(page, "show.json").get_by_role("row")
    expect(rows.filter(has_text="In the file")).to_contain_text("would be refused")
    expect(rows.filter(has_text=new_flow["name"])).to_contain_text("would be created")
    expect(page.get_by_role("button", name="Nothing to import")).to_be_disabled()
    assert count(console) == 1

    page.get_by_label("Replace stored flows").check()
    expect(rows.filter(has_text="In the file")).to_contain_text("would replace the stored flow")
    expect(page.locator(".sum")).to_have_text("Preview: 1 created, 1 replaced.")
    assert count(console) == 1, "nothing is written before the confirmation"
    page.get_by_role("button", name="Import 2 flows").click()
    expect(page.get_by_role("heading", name="Import result")).to_be_focused()
    expect(rows.filter(has_text="In the file")).to_contain_text("replaced the stored flow")
    assert stored(console, existing["id"])[0]["name"] == "In the file"
    assert all(number in stored(console, new_flow["id"])[1] for number in EXACT)
    rows.get_by_role("link", name="In the file").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("In the file")


@pytest.mark.parametrize(("policy", "word", "names"), [
    ("Keep stored flows", "would be skipped", ["Here"]),
    ("Use newer flows", "would be skipped|would replace", None),
    ("Import copies", "would be imported as a copy", ["Here", "Other"]),
])
def test_policies_determine_the_outcome_for_stored_flows(console, policy, word, names):
    flow = studio(name="Here")
    make(console, flow)
    page = console.open(console.page(), "#/import")
    choose(page, file("one.json", flow | {"name": "Other"}))
    page.get_by_label(policy).check()
    expect(report(page, "one.json").locator(".outcome")).to_have_text(re.compile(word))
    if policy == "Import copies":
        page.get_by_role("button", name="Import 1 flow").click()
        expect(page.get_by_role("heading", name="Import result")).to_be_visible()
    if names:
        assert sorted(one["name"] for one in console.call("GET", "/api/flows")[1]["flows"]) == names


def test_files_of_all_formats_are_imported_and_faulty_ones_reported(console):
    a, b, c = studio(name="a"), studio(name="b"), studio(name="c", links=[{"from": "cam:src", "to": "gone:sink"}])
    page = console.open(console.page(), "#/import")
    choose(page, file("lines.ndjson", f"{json.dumps(a)}\n{json.dumps(b)}\n"), file("single.json", c), file("torn.json", '{"flows":['),
           file("wrong.json", [{"id": 7, "name": "n"}]))
    expect(report(page, "lines.ndjson").get_by_role("row")).to_have_count(3)
    expect(report(page, "single.json")).to_contain_text("gone")
    expect(report(page, "torn.json").get_by_role("alert")).to_contain_text("This file cannot be imported")
    expect(report(page, "wrong.json")).to_contain_text("expected a string, found a number")
    expect(page.get_by_text("2 files will not be imported")).to_be_visible()
    page.get_by_role("button", name="Import 3 flows").click()
    expect(page.get_by_role("heading", name="Import result")).to_be_visible()
    assert sorted(flow["name"] for flow in console.call("GET", "/api/flows")[1]["flows"]) == ["a", "b", "c"]


def test_files_can_be_dropped_anywhere_on_the_page(console):
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


def test_an_import_that_conflicts_after_the_preview_reports_it(console):
    flow = studio(name="Both")
    page = console.open(console.page(), "#/import")
    choose(page, file("both.json", flow))
    make(console, flow | {"name": "Created in between"})
    page.get_by_role("button", name="Import 1 flow").click()
    expect(report(page, "both.json").get_by_role("alert")).to_contain_text("No flow of this file was imported")
    assert stored(console, flow["id"])[0]["name"] == "Created in between"


def downloaded(page, press):
    with page.expect_download() as download:
        press()
    with open(download.value.path(), encoding="utf-8") as content:
        return download.value.suggested_filename, content.read()


@pytest.mark.parametrize("key", [None, "a secret of some length"])
def test_all_flows_found_flows_and_one_flow_are_exported(serve, key):
    console = serve(*(["--api-key", key] if key else []), key=key)
    flow, text = with_exact_numbers()
    make(console, text)
    make(console, studio(name="Kitchen / cam: 2"))
    page = console.open(console.page())
    if key:
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
    expect_count(page, "2 flows")
    name, content = downloaded(page, page.get_by_role("button", name="Export all").click)
    assert re.fullmatch(r"strom-flows-\d{4}-\d\d-\d\d\.json", name)
    assert len(json.loads(content)["flows"]) == 2 and all(number in content for number in EXACT)
    expect(page.get_by_role("status", name="Export")).to_contain_text("Exported: ")

    page.get_by_label("Search by name").fill("kitchen")
    expect_count(page, "1 flow found")
    name, content = downloaded(page, page.get_by_role("button", name="Export found").click)
    assert name.startswith("strom-flows-filtered-") and [one["name"] for one in json.loads(content)["flows"]] == ["Kitchen / cam: 2"]

    name, content = downloaded(page, page.get_by_role("button", name="Export Kitchen / cam: 2").click)
    assert name == "Kitchen-cam-2.json"
    page.get_by_role("link", name="Import", exact=True).click()
    choose(page, file(name, content))
    expect(report(page, name)).to_contain_text("is already stored, unchanged")


def test_a_rejected_export_shows_the_reason(console):
    make(console, studio())
    page = console.open(console.page())
    expect_count(page, "1 flow")
    page.route(re.compile("/api/flows/export"), lambda route: route.fulfill(
        status=503, content_type="application/problem+json", body=json.dumps({"title": "the storage is busy", "detail": "2 exports are running", "status": 503})))
    page.get_by_role("button", name="Export all").click()
    expect(page.get_by_role("alert")).to_contain_text("2 exports are running")
