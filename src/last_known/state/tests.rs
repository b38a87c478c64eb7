use super::State;
use crate::flow::Flow;
use crate::last_known::acknowledged::Acknowledgement;
use crate::last_known::selection::Selection;
use crate::last_known::view::{Coverage, Moment};
use crate::repository::{
    Applied, Author, Change, FeedCursor, Operation, Outcome, Precondition, Record, Revision, Stamp, Stored, Version,
};

const ID: &str = "6f1d3c5e-0000-4000-8000-000000000001";

fn flow(name: &str) -> Flow {
    Flow::parse(&format!(r#"{{"id":"{ID}","name":"{name}"}}"#)).unwrap()
}

fn stamp(second: i64) -> Stamp {
    Stamp::new(chrono::DateTime::from_timestamp(second, 0).unwrap(), Author::new("tester"))
}

fn version(revision: u64) -> Version {
    let Stamp { at, author } = stamp(0);
    Version { revision: Revision::new(revision), created_at: at, updated_at: at, author }
}

fn cursor(number: u64) -> FeedCursor {
    FeedCursor::new(1, 0, number)
}

/// A record by another writer, or of the change with this stamp.
fn record(operation: Operation, name: &str, revision: u64, second: i64) -> Record<Flow> {
    let Stamp { at, author } = stamp(second);
    Record::new(cursor(1), operation, flow(name), Revision::new(revision), at, author)
}

fn selection(name: &str, revision: u64) -> Selection {
    let mut selection = Selection::new(1 << 20);
    selection.put(Stored { item: flow(name), version: version(revision) });
    selection
}

/// Returns a state whose copy contains the flow at revision 5.
fn followed() -> State {
    let mut state = State::new(1 << 20, None);
    state.replace(selection("five", 5), 0, Moment::now());
    state
}

fn acknowledge(state: &mut State, change: Change, outcome: Outcome, revision: u64, second: i64) {
    let applied = Applied::new(change.id(), outcome, Some(version(revision)));
    let acknowledgement = Acknowledgement::of(&change, &applied, &stamp(second)).unwrap();
    state.acknowledge(change.id(), acknowledgement);
}

fn save(state: &mut State, name: &str, revision: u64) {
    acknowledge(state, Change::replace(flow(name)), Outcome::Replaced, revision, 1);
}

fn report(state: &mut State, name: &str, revision: u64, second: i64) {
    acknowledge(state, Change::replace(flow(name)), Outcome::Unchanged, revision, second);
}

fn delete(state: &mut State, revision: u64) {
    acknowledge(state, Change::Delete(flow("x").id(), Precondition::Any), Outcome::Deleted, revision, 1);
}

/// Returns what readers see, before and after the follower publishes.
fn seen(state: &mut State) -> Option<(String, u64)> {
    let view = |state: &State| {
        let stored = state.view().unwrap().flows.get(&flow("x").id()).cloned();
        stored.map(|stored| (stored.item.head().name.clone(), stored.version.revision.number()))
    };
    let now = view(state);
    state.publish(Moment::now());
    assert_eq!(view(state), now, "readers see an acknowledged change at once, and keep seeing it");
    now
}

fn shown(name: &str, revision: u64) -> Option<(String, u64)> {
    Some((name.to_owned(), revision))
}

#[test]
fn older_records_do_not_undo_an_acknowledged_save() {
    let mut state = followed();
    save(&mut state, "seven", 7);
    assert_eq!(seen(&mut state), shown("seven", 7));
    for (name, revision) in [("five", 5), ("six", 6)] {
        assert_eq!(state.take(record(Operation::Update, name, revision, 9)), None);
        assert_eq!(seen(&mut state), shown("seven", 7));
    }
    assert_eq!(state.take(record(Operation::Update, "seven", 7, 1)), None);
    state.take(record(Operation::State, "seven, reported", 7, 9));
    state.publish(Moment::now());
    assert_eq!(seen(&mut state), shown("seven, reported", 7));
    state.take(record(Operation::Update, "eight", 8, 9));
    state.publish(Moment::now());
    assert_eq!(seen(&mut state), shown("eight", 8));
}

#[test]
fn older_records_do_not_bring_a_deleted_flow_back() {
    let mut state = followed();
    save(&mut state, "six", 6);
    delete(&mut state, 7);
    assert_eq!(seen(&mut state), None);
    assert_eq!(state.take(record(Operation::Update, "six", 6, 1)), None, "the flow is not read again");
    assert_eq!(seen(&mut state), None);
    state.take(record(Operation::Delete, "six", 7, 1));
    let id = state.take(record(Operation::Create, "eight", 8, 9)).expect("the flow is read for its creation time");
    state.put_read(id, Some(Stored { item: flow("eight"), version: version(8) }));
    state.publish(Moment::now());
    assert_eq!(seen(&mut state), shown("eight", 8));
}

/// Acknowledgements of one flow can arrive in another order than the changes were made.
#[test]
fn late_acknowledgements_do_not_undo_newer_changes() {
    let mut state = followed();
    save(&mut state, "seven", 7);
    save(&mut state, "six", 6);
    assert_eq!(seen(&mut state), shown("seven", 7));
    report(&mut state, "seven, reported", 7, 2);
    save(&mut state, "seven", 7);
    assert_eq!(seen(&mut state), shown("seven, reported", 7));

    let mut state = followed();
    delete(&mut state, 7);
    save(&mut state, "six", 6);
    report(&mut state, "six, reported", 6, 2);
    assert_eq!(seen(&mut state), None);

    let mut state = followed();
    state.take(record(Operation::Update, "seven", 7, 9));
    save(&mut state, "six", 6);
    assert_eq!(seen(&mut state), shown("seven", 7), "another writer has replaced the flow since then");
    state.take(record(Operation::Delete, "seven", 8, 9));
    state.publish(Moment::now());
    save(&mut state, "seven", 7);
    assert_eq!(seen(&mut state), None, "another writer has deleted the flow since then");
}

#[test]
fn reports_survive_older_records_of_the_same_revision() {
    let mut state = followed();
    save(&mut state, "six", 6);
    report(&mut state, "six, reported", 6, 2);
    for record in [record(Operation::Update, "six", 6, 1), record(Operation::State, "six, by another engine", 6, 9)] {
        state.take(record);
        assert_eq!(seen(&mut state), shown("six, reported", 6));
    }
    state.take(record(Operation::State, "six, reported", 6, 2));
    state.take(record(Operation::State, "six, reported later", 6, 9));
    state.publish(Moment::now());
    assert_eq!(seen(&mut state), shown("six, reported later", 6));
}

/// The feed contains only the newest report of a flow, so the record of an earlier one may never arrive.
#[test]
fn a_change_without_a_record_is_read_again() {
    let mut state = followed();
    report(&mut state, "five, reported", 5, 2);
    let asked = state.acknowledged();
    assert!(state.overdue(cursor(1), cursor(3), asked).is_empty(), "the feed may still deliver the record");
    state.take(record(Operation::State, "five, by another engine", 5, 9));
    report(&mut state, "five, reported again", 5, 3);
    assert!(state.overdue(cursor(3), cursor(4), asked).is_empty(), "another report was acknowledged");
    let overdue = state.overdue(cursor(4), cursor(4), state.acknowledged());
    let [(id, number)] = overdue[..] else { panic!("{overdue:?}") };
    let current = Stored { item: flow("five, by another engine"), version: version(5) };
    report(&mut state, "five, in the meantime", 5, 4);
    state.settle(id, number, Some(current.clone()));
    assert_eq!(seen(&mut state), shown("five, in the meantime", 5));
    let overdue = state.overdue(cursor(5), cursor(5), state.acknowledged());
    state.settle(id, overdue[0].1, Some(current));
    state.publish(Moment::now());
    assert_eq!(seen(&mut state), shown("five, by another engine", 5));
    assert!(state.overdue(cursor(6), cursor(6), state.acknowledged()).is_empty());
}

#[test]
fn a_new_read_of_all_flows_does_not_undo_changes_that_were_acknowledged_during_the_read() {
    let mut state = followed();
    save(&mut state, "six", 6);
    let asked = state.acknowledged();
    report(&mut state, "six, reported", 6, 2);
    state.replace(selection("six", 6), asked, Moment::now());
    assert_eq!(seen(&mut state), shown("six, reported", 6));
    delete(&mut state, 7);
    state.replace(selection("six", 6), asked, Moment::now());
    assert_eq!(seen(&mut state), None);
    state.replace(selection("eight", 8), asked, Moment::now());
    assert_eq!(seen(&mut state), shown("eight", 8));
    let asked = state.acknowledged();
    state.replace(Selection::new(1 << 20), asked, Moment::now());
    assert_eq!(seen(&mut state), None, "another writer has deleted the flow");
}

#[test]
fn a_copy_that_has_not_read_the_storage_contains_acknowledged_changes() {
    let mut state = State::new(1 << 20, None);
    save(&mut state, "six", 6);
    let view = state.view().unwrap();
    assert_eq!((view.coverage, view.flows.size()), (Coverage::Changes, 1));
    state.replace(selection("five", 5), 0, Moment::now());
    assert_eq!((seen(&mut state), state.view().unwrap().coverage), (shown("six", 6), Coverage::Complete));
}

#[test]
fn a_flow_that_does_not_fit_makes_the_copy_incomplete() {
    let mut state = State::new(100, None);
    state.replace(Selection::new(100), 0, Moment::now());
    assert_eq!(state.view().unwrap().coverage, Coverage::Complete);
    save(&mut state, &"x".repeat(200), 1);
    assert_eq!((seen(&mut state), state.view().unwrap().coverage), (None, Coverage::Limited));
    let id = flow("x").id();
    assert!(state.is_unsaved() && state.take_unsaved().contains(&id));
}
