"""Who may do what, and how the server is."""

import json
import os
import re

import pytest
from playwright.sync_api import expect

from flows import make, studio
from test_list import counted

KEY = "control room 0123456789"
READER = "dashboard 0123456789 abc"


@pytest.fixture
def guarded(serve, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[control-room]\nsecret = "{KEY}"\n\n[dashboard]\nsecret = "{READER}"\nread-only = true\n')
    keys.chmod(0o600)
    console = serve("--api-keys-file", str(keys), key=KEY)
    console.keys = keys
    return console


def sign_in(page, key):
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_signing_in_leads_to_where_one_wanted_to_go(guarded):
    flow_id = make(guarded, studio(name="Secret show"))
    page = guarded.open(guarded.page(), f"#/flows/{flow_id}")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("API key")).to_be_focused()
    assert "Secret show" not in page.content()
    sign_in(page, "wrong key of some length")
    expect(page.get_by_role("alert")).to_have_text("The server does not know this key.")
    sign_in(page, "schlüssel")
    expect(page.get_by_role("alert")).to_contain_text("ASCII")
    sign_in(page, KEY)
    expect(page.get_by_role("heading", level=1)).to_have_text("Secret show")
    expect(page.locator(".who")).to_have_text("Key control-room")
    assert KEY not in page.url and page.evaluate("localStorage.length") == 0
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Secret show")


def test_the_key_goes_into_no_address(guarded):
    asked = []
    page = guarded.page()
    page.on("request", lambda request: asked.append(request.url))
    guarded.open(page)
    sign_in(page, KEY)
    counted(page, "0 flows")
    make(guarded, studio(name="one"))
    expect(page.locator(".row .name")).to_have_text(["one"])
    assert any("/api/changes" in url for url in asked)
    assert not any("auth_token" in url or KEY.split()[0] in url for url in asked), asked


def test_signing_out_forgets_everything(guarded):
    page = guarded.open(guarded.page())
    sign_in(page, KEY)
    counted(page, "0 flows")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_key_that_is_withdrawn_leads_to_signing_in_and_back(guarded):
    make(guarded, studio(name="one"))
    page = guarded.open(guarded.page(), "#/?name=one")
    sign_in(page, KEY)
    counted(page, "1 flow found")
    guarded.keys.write_text(guarded.keys.read_text().replace(KEY, "another 0123456789 abcdef"))
    page.wait_for_timeout(2_500)
    page.get_by_label("Search by name").fill("on")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("does not accept this key any more")).to_be_visible()
    sign_in(page, "another 0123456789 abcdef")
    expect(page.locator(".row .name")).to_have_text(["one"])
    assert "name=on" in page.url


def test_a_key_that_only_reads_changes_nothing_and_says_why(guarded):
    make(guarded, studio(name="one"))
    page = guarded.open(guarded.page())
    sign_in(page, READER)
    counted(page, "1 flow")
    expect(page.locator(".server")).to_contain_text("read only")
    expect(page.get_by_text("The key “dashboard” only reads.").first).to_be_visible()
    button = page.get_by_role("button", name="New flow")
    expect(button).to_be_disabled()
    expect(button).to_have_attribute("title", re.compile("only reads"))
    expect(page.get_by_role("button", name="Export all")).to_be_enabled()
    page.get_by_role("link", name="Import", exact=True).click()
    expect(page.get_by_label("Choose files")).to_be_disabled()


def test_an_instance_that_only_reads_says_so(serve):
    if not os.environ.get("DATABASE_URL"):
        pytest.skip("a file cannot be opened to read only")
    writer = serve()
    make(writer, studio(name="one"))
    # Beside the writer, over the same database.
    database = writer.server.database
    writer.server.stop()
    writer.server.arguments = ["--read-only"]
    writer.server.start()
    assert writer.server.database == database
    page = writer.open(writer.page())
    counted(page, "1 flow")
    expect(page.get_by_text("This instance only reads.").first).to_be_visible()
    expect(page.get_by_role("button", name="New flow")).to_be_disabled()


def test_the_head_names_the_storage_and_its_health(serve):
    console = serve()
    page = console.open(console.page())
    storage = "JSON file" if console.server.is_file else "PostgreSQL"
    expect(page.locator(".server")).to_contain_text(re.compile(f"{storage}\\s*healthy\\s*live"))


def test_a_server_that_is_away_and_comes_back(serve):
    console = serve()
    make(console, studio(name="one"))
    page = console.open(console.page())
    counted(page, "1 flow")
    console.server.stop()
    expect(page.get_by_text("The server does not answer.").first).to_be_visible()
    expect(page.locator(".server")).to_contain_text("no answer")
    expect(page.get_by_role("button", name="New flow")).to_be_disabled()
    expect(page.locator(".row .name")).to_have_text(["one"])
    console.server.start()
    make(console, studio(name="two"))
    expect(page.locator(".row .name")).to_have_text(["one", "two"], timeout=25_000)
    expect(page.locator(".server")).to_contain_text("healthy")
    expect(page.get_by_role("button", name="New flow")).to_be_enabled()


def test_last_known_flows_are_shown_as_such(serve):
    """What the server answers while its storage is away; that it does so is tried with a database in tests/it/last_known."""
    console = serve()
    make(console, studio(name="one"))
    page = console.page()
    ready = {"storage": "postgres", "reachable": False, "migrated": None, "since": "2026-03-19T10:00:00.000Z", "read_only": False, "degraded": True,
             "reason": "connection refused", "last_known": {"flows": 1, "complete": True, "as_of": "2026-03-19T10:00:00.000Z", "served": True}}
    page.route(re.compile("/ready$"), lambda route: route.fulfill(status=503, content_type="application/json", body=json.dumps(ready)))

    def stale(route):
        answer = route.fetch()
        route.fulfill(response=answer, headers=answer.headers | {"strom-stale": "600"})

    page.route(re.compile(r"/api/flows\?"), stale)
    console.open(page)
    expect(page.locator(".row .name")).to_have_text(["one"])
    expect(page.locator(".server")).to_contain_text("storage away")
    alarm = page.get_by_role("status", name="How the server is")
    expect(alarm).to_contain_text("The storage is away: connection refused.")
    expect(alarm).to_contain_text("You see the last known flows, as of 19 Mar 2026")
    expect(alarm).to_contain_text("10 minutes old")
    expect(page.get_by_role("button", name="New flow")).to_be_disabled()
