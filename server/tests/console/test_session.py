"""API keys and their rights, and the status of the server."""

import json
import os
import re

import pytest
from playwright.sync_api import expect

from flows import make, studio
from test_list import expect_count

KEY = "control room 0123456789"
READER = "dashboard 0123456789 abc"


@pytest.fixture
def console_with_keys(serve, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[control-room]\nsecret = "{KEY}"\n\n[dashboard]\nsecret = "{READER}"\nread-only = true\n')
    keys.chmod(0o600)
    console = serve("--api-keys-file", str(keys), key=KEY)
    console.keys = keys
    return console


def sign_in(page, key):
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_signing_in_opens_the_requested_address(console_with_keys):
    flow_id = make(console_with_keys, studio(name="Secret show"))
    page = console_with_keys.open(console_with_keys.page(), f"#/flows/{flow_id}")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("API key")).to_be_focused()
    assert "Secret show" not in page.content()
    sign_in(page, "wrong key of some length")
    expect(page.get_by_role("alert")).to_have_text("The server does not know this key.")
    sign_in(page, "schlüssel")
    expect(page.get_by_role("alert")).to_contain_text("ASCII")
    sign_in(page, KEY)
    expect(page.get_by_role("heading", level=1)).to_have_text("Secret show")
    expect(page.locator(".key-name")).to_have_text("Key control-room")
    assert KEY not in page.url and page.evaluate("localStorage.length") == 0
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Secret show")


def test_no_url_contains_the_key(console_with_keys):
    urls = []
    page = console_with_keys.page()
    page.on("request", lambda request: urls.append(request.url))
    console_with_keys.open(page)
    sign_in(page, KEY)
    expect_count(page, "0 flows")
    make(console_with_keys, studio(name="one"))
    expect(page.locator(".row .name")).to_have_text(["one"])
    assert any("/api/changes" in url for url in urls)
    assert not any("auth_token" in url or KEY.split()[0] in url for url in urls), urls


def test_signing_out_clears_the_session_storage(console_with_keys):
    page = console_with_keys.open(console_with_keys.page())
    sign_in(page, KEY)
    expect_count(page, "0 flows")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_removed_key_requires_signing_in_and_returns(console_with_keys):
    make(console_with_keys, studio(name="one"))
    page = console_with_keys.open(console_with_keys.page(), "#/?name=one")
    sign_in(page, KEY)
    expect_count(page, "1 flow found")
    console_with_keys.keys.write_text(console_with_keys.keys.read_text().replace(KEY, "another 0123456789 abcdef"))
    page.wait_for_timeout(2_500)
    page.get_by_label("Search by name").fill("on")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("no longer accepts this key")).to_be_visible()
    sign_in(page, "another 0123456789 abcdef")
    expect(page.locator(".row .name")).to_have_text(["one"])
    assert "name=on" in page.url


def test_a_read_only_key_disables_changes_and_shows_why(console_with_keys):
    make(console_with_keys, studio(name="one"))
    page = console_with_keys.open(console_with_keys.page())
    sign_in(page, READER)
    expect_count(page, "1 flow")
    expect(page.locator(".server")).to_contain_text("read-only")
    expect(page.get_by_text("The key “dashboard” is read-only.").first).to_be_visible()
    button = page.get_by_role("button", name="New flow")
    expect(button).to_be_disabled()
    expect(button).to_have_attribute("title", re.compile("is read-only"))
    expect(page.get_by_role("button", name="Export all")).to_be_enabled()
    page.get_by_role("link", name="Import", exact=True).click()
    expect(page.get_by_label("Choose files")).to_be_disabled()


def test_a_read_only_instance_shows_a_notice(serve):
    if not os.environ.get("DATABASE_URL"):
        pytest.skip("a JSON file has no read-only instances")
    writer = serve()
    make(writer, studio(name="one"))
    database = writer.server.database
    writer.server.stop()
    writer.server.arguments = ["--read-only"]
    writer.server.start()
    assert writer.server.database == database
    page = writer.open(writer.page())
    expect_count(page, "1 flow")
    expect(page.get_by_text("This instance is read-only.").first).to_be_visible()
    expect(page.get_by_role("button", name="New flow")).to_be_disabled()


def test_the_head_shows_storage_and_status(serve):
    console = serve()
    page = console.open(console.page())
    storage = "JSON file" if console.server.is_file else "PostgreSQL"
    expect(page.locator(".server")).to_contain_text(re.compile(f"{storage}\\s*healthy\\s*live"))


def test_an_unreachable_server_disables_changes_until_it_returns(serve):
    console = serve()
    make(console, studio(name="one"))
    page = console.open(console.page())
    expect_count(page, "1 flow")
    console.server.stop()
    expect(page.get_by_text("Server unreachable.").first).to_be_visible()
    expect(page.locator(".server")).to_contain_text("server unreachable")
    expect(page.get_by_role("button", name="New flow")).to_be_disabled()
    expect(page.locator(".row .name")).to_have_text(["one"])
    console.server.start()
    make(console, studio(name="two"))
    expect(page.locator(".row .name")).to_have_text(["one", "two"], timeout=25_000)
    expect(page.locator(".server")).to_contain_text("healthy")
    expect(page.get_by_role("button", name="New flow")).to_be_enabled()


def test_an_outage_shows_last_known_flows_with_their_age(serve):
    """The responses of an outage are faked here. Tests in tests/it/last_known provoke real outages."""
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
    expect(page.locator(".server")).to_contain_text("unreachable")
    alarm = page.get_by_role("status", name="Server status")
    expect(alarm).to_contain_text("Database unreachable: connection refused.")
    expect(alarm).to_contain_text("Showing flows as of 19 Mar 2026")
    expect(alarm).to_contain_text("(10 minutes ago). Changes are disabled.")
    expect(page.get_by_role("button", name="New flow")).to_be_disabled()
