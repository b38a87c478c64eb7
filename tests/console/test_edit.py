"""A flow is edited as text, and two who edit one lose nothing."""

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
    """What somebody does who selects a piece of the text and types another."""
    text = text_of(page).input_value()
    assert text.count(old) == 1, (old, text)
    text_of(page).fill(text.replace(old, new))


def save(page):
    page.get_by_role("button", name="Save").click()


def has_saved(page, words):
    expect(page.locator(".notice.good")).to_contain_text(words)


def test_what_nobody_touched_stays_to_the_letter(console):
    flow, text = with_exact_numbers()
    page = editing(console, make(console, text))
    page.get_by_label("Name").fill('Studio "A"')
    page.get_by_label("Description").fill("Evenings\ntoo")
    save(page)
    has_saved(page, "Saved as revision 2")
    after, written = stored(console, flow["id"])
    assert all(number in written for number in EXACT)
    expected = json.loads(text) | {"name": 'Studio "A"'}
    expected["properties"]["description"] = "Evenings\ntoo"
    assert after == expected
    expect(page.get_by_role("heading", level=1)).to_have_text('Studio "A"')


def test_the_text_is_edited_with_the_keyboard_alone(console):
    flow = studio()
    page = editing(console, make(console, flow))
    text_of(page).focus()
    page.keyboard.press("Control+Home")
    page.keyboard.type(" ")
    page.keyboard.press("Control+z")
    expect(page.get_by_text("Nothing changed")).to_be_visible()
    page.keyboard.type(" ")
    page.keyboard.press("Control+s")
    has_saved(page, "Saved as revision 1")  # A space is no change of the flow.
    assert newest(console, flow["id"]) == 1


def selection(page):
    return text_of(page).evaluate("area => [area.value.slice(0, area.selectionStart).split('\\n').length, area.value.slice(area.selectionStart, area.selectionEnd)]")


def test_a_text_that_is_no_json_is_marked_at_the_place(console):
    page = editing(console, make(console, studio()))
    replace(page, '"element_type": "alsasrc"', '"element_type" "alsasrc"')
    line = text_of(page).input_value().split('"element_type" ')[0].count("\n") + 1
    save(page)
    expect(page.get_by_role("alert").filter(has_text="Line")).to_contain_text(f"Line {line}, column 22: expected `:`, but found")
    expect(page.locator(".numbers .marked")).to_have_text(str(line))
    expect(text_of(page)).to_be_focused()
    assert selection(page)[0] == line
    expect(page.get_by_label("Name")).to_be_disabled()
    # Whoever goes on writing is not told of the old mistake.
    text_of(page).press("Space")
    expect(page.locator(".numbers .marked")).to_have_count(0)


@pytest.mark.parametrize("old, new, words, marked", [
    ('"name": "Studio', '"name": 5, "was": "Studio', "expected a string", "5"),
    ('"alsasrc"', '"als\\u0000asrc"', "U+0000", '"als\\u0000asrc"'),
    ('"volume": 0.5', '"volume": 1e999999', "number", "1e999999"),
])
def test_what_the_server_refuses_is_marked_at_the_place(console, old, new, words, marked):
    flow = studio()
    page = editing(console, make(console, flow))
    replace(page, old, new)
    save(page)
    expect(page.get_by_role("alert").filter(has_text="Line")).to_contain_text(words)
    expect(text_of(page)).to_be_focused()
    assert selection(page)[1] == marked
    assert newest(console, flow["id"]) == 1


def test_a_name_that_is_too_long_is_marked(console):
    page = editing(console, make(console, studio()))
    page.get_by_label("Name").fill(" ")
    save(page)
    expect(page.get_by_role("alert").filter(has_text="Line 3")).to_contain_text("name")


def both_edit(console, **flow):
    """Two browsers with one flow, of which the second is not the first to save."""
    flow = studio(**flow)
    flow_id = make(console, flow)
    first, second = editing(console, flow_id), editing(console, flow_id)
    return flow_id, first, second


def test_two_edit_different_things_and_merge(console):
    flow_id, first, second = both_edit(console)
    replace(first, '"volume": 0.5', '"volume": 0.75')
    second.get_by_label("Name").fill("Renamed by the second")
    save(first)
    has_saved(first, "Saved as revision 2")
    expect(second.get_by_text("Your text is untouched; when you save, you will see both.")).to_be_visible()
    save(second)
    conflict = second.get_by_role("region", name="Somebody else has changed this flow meanwhile")
    expect(conflict).to_contain_text(re.compile(r"saved revision 2 just now, while you were editing revision 1"))
    expect(conflict).to_contain_text("`properties.volume` was changed from 0.5 to 0.75")
    expect(conflict).to_contain_text('to "Renamed by the second"')
    sides = conflict.get_by_role("region", name="Both documents side by side")
    expect(sides.locator(".mine").filter(has_text='"name": "Renamed by the second"')).to_be_visible()
    expect(sides.locator(".theirs").filter(has_text='"volume": 0.75')).to_be_visible()
    assert newest(console, flow_id) == 2, "nothing is written before somebody decides"
    conflict.get_by_role("button", name="Merge both").click()
    has_saved(second, "Merged and saved as revision 3: your edit of revision 1 (1 change) was merged with revision 2")
    flow, _ = stored(console, flow_id)
    assert (flow["name"], flow["elements"][1]["properties"]["volume"]) == ("Renamed by the second", 0.75)
    # The first looks at the flow, and is told.
    expect(first.locator(".news")).to_contain_text("(revision 3)")
    expect(first.get_by_role("heading", level=1)).to_have_text("Renamed by the second")


def collide(console):
    flow_id, first, second = both_edit(console)
    for page, volume in ((first, "0.1"), (second, "0.9")):
        replace(page, '"volume": 0.5', f'"volume": {volume}')
    save(first)
    has_saved(first, "Saved as revision 2")
    save(second)
    conflict = second.locator(".conflict")
    conflict.get_by_role("button", name="Merge both").click()
    expect(conflict.get_by_role("alert")).to_contain_text("The two cannot be merged")
    row = conflict.get_by_role("row").filter(has_text="$.elements[1].properties.volume")
    expect(row.get_by_role("cell")).to_have_text(["0.5", "0.9", "0.1"])
    expect(conflict.get_by_role("button", name="Merge both")).to_have_count(0)
    return flow_id, second, conflict


def volume(console, flow_id):
    return stored(console, flow_id)[0]["elements"][1]["properties"]["volume"]


def test_of_two_who_change_one_thing_mine_is_kept_on_purpose(console):
    flow_id, page, conflict = collide(console)
    conflict.get_by_role("button", name="Keep mine").click()
    has_saved(page, "Yours was saved as revision 3, over revision 2, which stays in the history")
    assert volume(console, flow_id) == 0.9


def test_of_two_who_change_one_thing_theirs_is_taken_and_mine_put_aside(console):
    flow_id, page, conflict = collide(console)
    conflict.get_by_role("button", name="Take theirs").click()
    expect(text_of(page)).to_have_value(re.compile('"volume": 0.1'))
    expect(page.get_by_text("Your text was put aside")).to_be_visible()
    assert volume(console, flow_id) == 0.1
    page.get_by_role("button", name="Bring it back").click()
    expect(text_of(page)).to_have_value(re.compile('"volume": 0.9'))
    save(page)
    expect(page.locator(".conflict")).to_be_visible()
    page.get_by_role("button", name="Back to my text").click()
    expect(text_of(page)).to_have_value(re.compile('"volume": 0.9'))


def test_mine_is_not_saved_over_what_came_after_the_question(console):
    flow_id, page, conflict = collide(console)
    third = stored(console, flow_id)[0]
    third["elements"].append(element("third"))
    put(console, third)
    conflict.get_by_role("button", name="Keep mine").click()
    expect(conflict).to_contain_text("saved revision 3")
    expect(conflict).to_contain_text("element `third` (identity) was added")
    assert newest(console, flow_id) == 3


def test_a_flow_deleted_meanwhile_comes_back_with_my_text(console):
    flow = studio()
    page = editing(console, make(console, flow))
    page.get_by_label("Name").fill("Mine")
    console.call("DELETE", f"/api/flows/{flow['id']}")
    expect(page.get_by_text("deleted this flow")).to_be_visible()
    save(page)
    gone = page.get_by_role("region", name="This flow was deleted meanwhile")
    expect(gone.get_by_role("alert")).to_contain_text("deleted it just now (revision 2). Your text has not been saved, and is not lost.")
    gone.get_by_role("button", name="Bring it back with my text").click()
    has_saved(page, "The flow is back with your text, as revision 3")
    assert stored(console, flow["id"])[0] == flow | {"name": "Mine"}


def test_leaving_with_unsaved_text_asks_and_the_draft_stays(console):
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

    # Closing and reloading ask as only a browser can.
    page.once("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.get_by_label("Name")).to_have_value("Not saved yet")
    page.get_by_role("button", name="Discard it").click()
    expect(page.get_by_label("Name")).to_have_value(flow["name"])
    page.get_by_role("link", name="Graph").click()
    expect(page.get_by_role("application")).to_be_visible()


def test_a_draft_is_saved_under_the_revision_that_it_began_with(console):
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
