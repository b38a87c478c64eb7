"""The change feed of a page: a visible page receives changes, a hidden page occupies no connection."""

from playwright.sync_api import expect

from flows import make, studio

#: More than the connections that a browser opens to one server.
PAGES = 9

HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def set_hidden(page, is_hidden=True):
    """Hides a page like a background tab. A headless browser treats every page as visible."""
    page.evaluate(HIDE, is_hidden)


def names(page):
    return page.get_by_role("list", name="Flows").locator(".name")


def test_hidden_tabs_leave_connections_to_visible_ones(console):
    make(console, studio(name="In all tabs"))
    first = console.page()
    tabs = [first] + [first.context.new_page() for _ in range(PAGES - 1)]
    for tab in tabs:
        console.open(tab)
        expect(names(tab).filter(has_text="In all tabs")).to_have_count(1)
        if tab is not tabs[-1]:
            set_hidden(tab)
    # A page that becomes visible again shows the changes in between.
    make(console, studio(name="Made while hidden"))
    expect(names(tabs[-1]).filter(has_text="Made while hidden")).to_have_count(1)
    set_hidden(tabs[-1])
    expect(names(first).filter(has_text="Made while hidden")).to_have_count(0)
    set_hidden(first, False)
    expect(names(first).filter(has_text="Made while hidden")).to_have_count(1)


def test_a_hidden_page_requests_no_changes(console):
    page = console.open(console.page())
    requests = []
    page.on("request", lambda request: "/api/changes" in request.url and requests.append(request.url))
    set_hidden(page)
    page.wait_for_timeout(200)
    requests.clear()
    make(console, studio())
    page.wait_for_timeout(1_000)
    assert requests == []
    set_hidden(page, False)
    expect(page.locator(".row.is-fresh")).to_have_count(1)
