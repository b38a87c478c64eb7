"""The changes come to a page that somebody sees, and it takes no connection from others."""

from playwright.sync_api import expect

from flows import make, studio

#: More than the connections that a browser opens to one server.
PAGES = 9

HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def hide(page, is_hidden=True):
    """What a browser does with a tab behind another; a headless one takes all for seen."""
    page.evaluate(HIDE, is_hidden)


def names(page):
    return page.get_by_role("list", name="Flows").locator(".name")


def test_many_tabs_of_one_browser_leave_each_other_connections(console):
    make(console, studio(name="In all tabs"))
    first = console.page()
    tabs = [first] + [first.context.new_page() for _ in range(PAGES - 1)]
    for tab in tabs:
        console.open(tab)
        expect(names(tab).filter(has_text="In all tabs")).to_have_count(1)
        if tab is not tabs[-1]:
            hide(tab)
    # What happens meanwhile is there when somebody comes back.
    make(console, studio(name="Made meanwhile"))
    expect(names(tabs[-1]).filter(has_text="Made meanwhile")).to_have_count(1)
    hide(tabs[-1])
    expect(names(first).filter(has_text="Made meanwhile")).to_have_count(0)
    hide(first, False)
    expect(names(first).filter(has_text="Made meanwhile")).to_have_count(1)


def test_a_hidden_page_asks_for_no_changes(console):
    page = console.open(console.page())
    asked = []
    page.on("request", lambda request: "/api/changes" in request.url and asked.append(request.url))
    hide(page)
    page.wait_for_timeout(200)
    asked.clear()
    make(console, studio())
    page.wait_for_timeout(1_000)
    assert asked == []
    hide(page, False)
    expect(page.locator(".row.is-fresh")).to_have_count(1)
