"""Edits of a flow as text, and conflicts between two editors."""

import json
import re

import pytest
from playwright.sync_api import expect

from flows import EXACT, element, make, newest, put, stored, studio, with_exact_numbers


def text_of(page):
    return page.get_by_label("Document (JSON)")


def editing(console, flow_id, **options):
    page = console.page(**options)
    console.open(page, f"#/flows/{flow_id}/edit")
    expect(text_of(page)).to_be_visible()
    return page


def replace(page, old, new):
    """Replaces a part of the text, like a user selecting it and typing."""
    text = text_of(page).input_value()
    assert text.count(old) == 1, (old, text)
    text_of(page).fill(text.replace(old, new))


def save(page):
    page.get_by_role("button", name="Save").click()


def expect_saved(page, words):
    expect(page.locator(".notice.good")).to_contain_text(words)


def test_an_edit_preserves_the_rest_of_the_text_exactly(console):
    flow, text = with_exact_numbers()
    page = editing(console, make(console, text))
    page.get_by_label("Name").fill('Studio "A"')
    page.get_by_label("Description").fill("Evenings\ntoo")
    save(page)
    expect_saved(page, "Saved as revision 2")
    after, written = stored(console, flow["id"])
    assert all(number in written for number in EXACT)
    expected = json.loads(text) | {"name": 'Studio "A"'}
    expected["properties"]["description"] = "Evenings\ntoo"
    assert after == expected
    expect(page.get_by_role("heading", level=1)).to_have_text('Studio "A"')


def test_the_editor_works_with_the_keyboard_only(console):
    flow = studio()
    page = editing(console, make(console, flow))
    text_of(page).focus()
    page.keyboard.press("Control+Home")
    page.keyboard.type(" ")
    page.keyboard.press("Control+z")
    expect(page.get_by_text("No changes")).to_be_visible()
    page.keyboard.type(" ")
    page.keyboard.press("Control+s")
    expect_saved(page, "Saved as revision 1")  # White space does not change the flow.
    assert newest(console, flow["id"]) == 1


def selection(page):
    return text_of(page).evaluate("area => [area.value.slice(0, area.selectionStart).split('\\n').length, area.value.slice(area.selectionStart, area.selectionEnd)]")


def test_invalid_json_is_marked_at_its_position(console):
    page = editing(console, make(console, studio()))
    replace(page, '"element_type": "alsasrc"', '"element_type" "alsasrc"')
    line = text_of(page).input_value().split('"element_type" ')[0].count("\n") + 1
    save(page)
    expect(page.get_by_role("alert").filter(has_text="Line")).to_contain_text(f"Line {line}, column 22: expected `:`, but found")
    expect(page.locator(".numbers .marked")).to_have_text(str(line))
    expect(text_of(page)).to_be_focused()
    assert selection(page)[0] == line
    expect(page.get_by_label("Name")).to_be_disabled()
    # The next key press removes the mark.
    text_of(page).press("Space")
    expect(page.locator(".numbers .marked")).to_have_count(0)


@pytest.mark.parametrize("old, new, words, marked", [
    ('"name": "Studio', '"name": 5, "was": "Studio', "expected a string", "5"),
    ('"alsasrc"', '"als\\u0000asrc"', "U+0000", '"als\\u0000asrc"'),
    ('"volume": 0.5', '"volume": 1e999999', "number", "1e999999"),
])
def test_a_value_that_the_server_rejects_is_marked(console, old, new, words, marked):
    flow = studio()
    page = editing(console, make(console, flow))
    replace(page, old, new)
    save(page)
    expect(page.get_by_role("alert").filter(has_text="Line")).to_contain_text(words)
    expect(text_of(page)).to_be_focused()
    assert selection(page)[1] == marked
    assert newest(console, flow["id"]) == 1


def test_a_blank_name_is_marked(console):
    page = editing(console, make(console, studio()))
    page.get_by_label("Name").fill(" ")
    save(page)
    expect(page.get_by_role("alert").filter(has_text="Line 3")).to_contain_text("name")


def open_in_two_browsers(console, **flow):
    """Opens the editor of one flow in two browsers. The tests save in the first one first."""
    flow = studio(**flow)
    flow_id = make(console, flow)
    first, second = editing(console, flow_id), editing(console, flow_id)
    return flow_id, first, second


def test_edits_of_different_values_are_merged(console):
    flow_id, first, second = open_in_two_browsers(console)
    replace(first, '"volume": 0.5', '"volume": 0.75')
    second.get_by_label("Name").fill("Renamed by the second")
    save(first)
    expect_saved(first, "Saved as revision 2")
    expect(second.get_by_text("Your text is unchanged. When you save, you see both versions.")).to_be_visible()
    save(second)
    conflict = second.get_by_role("region", name="This flow changed while you were editing")
    expect(conflict).to_contain_text(re.compile(r"saved revision 2 just now, while you were editing revision 1"))
    expect(conflict).to_contain_text("`properties.volume` was changed from 0.5 to 0.75")
    expect(conflict).to_contain_text('to "Renamed by the second"')
    sides = conflict.get_by_role("region", name="Both documents side by side")
    expect(sides.locator(".mine").filter(has_text='"name": "Renamed by the second"')).to_be_visible()
    expect(sides.locator(".theirs").filter(has_text='"volume": 0.75')).to_be_visible()
    assert newest(console, flow_id) == 2, "nothing is written before the user decides"
    conflict.get_by_role("button", name="Merge both").click()
    expect_saved(second, "Merged and saved as revision 3: your edit of revision 1 (1 change) was merged with revision 2")
    flow, _ = stored(console, flow_id)
    assert (flow["name"], flow["elements"][1]["properties"]["volume"]) == ("Renamed by the second", 0.75)
    # The page of the first user shows the news.
    expect(first.locator(".news")).to_contain_text("(revision 3)")
    expect(first.get_by_role("heading", level=1)).to_have_text("Renamed by the second")


def conflicting_edits(console):
    flow_id, first, second = open_in_two_browsers(console)
    for page, volume in ((first, "0.1"), (second, "0.9")):
        replace(page, '"volume": 0.5', f'"volume": {volume}')
    save(first)
    expect_saved(first, "Saved as revision 2")
    save(second)
    conflict = second.locator(".conflict")
    conflict.get_by_role("button", name="Merge both").click()
    expect(conflict.get_by_role("alert")).to_contain_text("The two versions cannot be merged")
    row = conflict.get_by_role("row").filter(has_text="$.elements[1].properties.volume")
    expect(row.get_by_role("cell")).to_have_text(["0.5", "0.9", "0.1"])
    expect(conflict.get_by_role("button", name="Merge both")).to_have_count(0)
    return flow_id, second, conflict


def volume(console, flow_id):
    return stored(console, flow_id)[0]["elements"][1]["properties"]["volume"]


def test_keep_mine_saves_over_a_conflicting_revision(console):
    flow_id, page, conflict = conflicting_edits(console)
    conflict.get_by_role("button", name="Keep mine").click()
    expect_saved(page, "Your text was saved as revision 3. Revision 2 stays in the history")
    assert volume(console, flow_id) == 0.9


def test_take_theirs_sets_my_text_aside(console):
    flow_id, page, conflict = conflicting_edits(console)
    conflict.get_by_role("button", name="Take theirs").click()
    expect(text_of(page)).to_have_value(re.compile('"volume": 0.1'))
    expect(page.get_by_text("Your text was set aside")).to_be_visible()
    assert volume(console, flow_id) == 0.1
    page.get_by_role("button", name="Bring it back").click()
    expect(text_of(page)).to_have_value(re.compile('"volume": 0.9'))
    save(page)
    expect(page.locator(".conflict")).to_be_visible()
    page.get_by_role("button", name="Back to my text").click()
    expect(text_of(page)).to_have_value(re.compile('"volume": 0.9'))


def test_keep_mine_does_not_overwrite_a_third_revision(console):
    flow_id, page, conflict = conflicting_edits(console)
    third = stored(console, flow_id)[0]
    third["elements"].append(element("third"))
    put(console, third)
    conflict.get_by_role("button", name="Keep mine").click()
    expect(conflict).to_contain_text("saved revision 3")
    expect(conflict).to_contain_text("element `third` (identity) was added")
    assert newest(console, flow_id) == 3


def test_a_flow_deleted_during_an_edit_is_restored_with_my_text(console):
    flow = studio()
    page = editing(console, make(console, flow))
    page.get_by_label("Name").fill("Mine")
    console.call("DELETE", f"/api/flows/{flow['id']}")
    expect(page.get_by_text("deleted this flow")).to_be_visible()
    save(page)
    notice = page.get_by_role("region", name="This flow was deleted while you were editing")
    expect(notice.get_by_role("alert")).to_contain_text("deleted it just now (revision 2). Your text is not saved yet, and it is not lost.")
    notice.get_by_role("button", name="Bring it back with my text").click()
    expect_saved(page, "The flow was restored with your text as revision 3")
    assert stored(console, flow["id"])[0] == flow | {"name": "Mine"}


def test_leaving_unsaved_text_asks_and_keeps_the_draft(console):
    flow = studio()
    page = editing(console, make(console, flow))
    page.get_by_label("Name").fill("Not saved yet")
    page.get_by_role("link", name="Graph").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("not saved")
    question.get_by_role("button", name="Stay").click()
    expect(page.get_by_label("Name")).to_have_value("Not saved yet")
    assert page.url.endswith("/edit")
    page.get_by_role("link", name="History").click()
    question.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", name="Revisions")).to_be_visible()
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_text("This is your unsaved text")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Not saved yet")

    # For closing and reloading, the browser itself asks.
    page.once("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.get_by_label("Name")).to_have_value("Not saved yet")
    page.get_by_role("button", name="Discard it").click()
    expect(page.get_by_label("Name")).to_have_value(flow["name"])
    page.get_by_role("link", name="Graph").click()
    expect(page.get_by_role("application")).to_be_visible()


def test_a_draft_keeps_its_base_revision(console):
    flow = studio()
    page = editing(console, make(console, flow))
    page.get_by_label("Name").fill("A draft")
    page.once("dialog", lambda dialog: dialog.accept())
    put(console, flow | {"name": "Saved by another"})
    page.reload()
    expect(page.get_by_label("Name")).to_have_value("A draft")
    save(page)
    expect(page.locator(".conflict")).to_contain_text("while you were editing revision 1")
    assert stored(console, flow["id"])[0]["name"] == "Saved by another"
