//! Reports of engines and saves of editors do not undo each other.

use std::sync::Arc;

use super::samples::{flow, flow_with, id, stamp, violations};
use crate::flow::{Flow, GstState};
use crate::repository::{
    Applied, Change, FlowRepository, FlowRepositoryExt as _, Precondition, RepositoryError, Result, Revision, Stored,
    Violation, ViolationKind,
};

type Repository = Arc<dyn FlowRepository>;

async fn read(repository: &Repository, number: u32) -> Stored<Flow> {
    repository.get(id(number)).await.unwrap().expect("the flow exists")
}

async fn put(repository: &Repository, flow: Flow, precondition: Precondition) -> Result<Applied> {
    repository.apply_one(Change::Put(flow, precondition), stamp(1)).await
}

async fn report(repository: &Repository, number: u32, state: GstState) {
    let reported = read(repository, number).await.item.with_state(state).unwrap();
    put(repository, reported, Precondition::Present).await.unwrap();
}

/// Changes a part of a flow until no other writer interferes.
async fn edit(repository: &Repository, number: u32, change: impl Fn(&Flow) -> Flow) {
    loop {
        let current = read(repository, number).await;
        match put(repository, change(&current.item), Precondition::exactly(&current)).await {
            Err(RepositoryError::Conflict(_)) => {}
            result => break drop(result.unwrap()),
        }
    }
}

/// A change that requires the exact document fails after a report, which creates no revision.
pub async fn exact_preconditions_fail_after_a_report(repository: Arc<dyn FlowRepository>) {
    put(&repository, flow(1, "a"), Precondition::Absent).await.unwrap();
    let seen = read(&repository, 1).await;
    report(&repository, 1, GstState::Playing).await;
    let current = read(&repository, 1).await;
    assert_eq!(current.version.revision, Revision::FIRST);
    for change in [
        Change::Put(flow(1, "b"), Precondition::exactly(&seen)),
        Change::Restore(flow(1, "b"), Precondition::exactly(&seen)),
        Change::Delete(id(1), Precondition::exactly(&seen)),
    ] {
        let found = violations(&*repository, vec![change]).await;
        let [violation] = &found[..] else { panic!("one violation") };
        let ViolationKind::Stale { expected, current } = &violation.kind else { panic!("{violation:?}") };
        assert_eq!((*expected, current.version.revision), (Revision::FIRST, Revision::FIRST));
        assert_eq!(current.item.head().state, GstState::Playing);
    }
    let other = Precondition::Exactly(Revision::new(2), current.item.text_hash());
    put(&repository, flow(1, "b"), other).await.unwrap_err();
    assert_eq!(read(&repository, 1).await.item.head().name, "a");
    let both = vec![
        Change::Put(flow(1, "b"), Precondition::exactly(&current)),
        Change::Put(flow(2, "c"), Precondition::Exactly(Revision::FIRST, [0; 32])),
    ];
    assert_eq!(violations(&*repository, both).await.len(), 1, "the other flow is missing");
    put(&repository, flow(1, "b"), Precondition::exactly(&current)).await.unwrap();
    let deletion = Change::Delete(id(1), Precondition::exactly(&read(&repository, 1).await));
    repository.apply_one(deletion, stamp(3)).await.unwrap();
}

/// A replacement without a read fails after a report. Otherwise it succeeds, or fails because the store does not know about reports.
pub async fn replacements_without_a_read_undo_no_report(repository: Arc<dyn FlowRepository>) {
    let (any, first, second) = (
        Precondition::Unreported(None),
        Precondition::Unreported(Some(Revision::FIRST)),
        Precondition::Unreported(Some(Revision::new(2))),
    );
    let replace = |name: &str, precondition| vec![Change::Put(flow(1, name), precondition)];
    for precondition in [any, first] {
        let found = violations(&*repository, replace("a", precondition)).await;
        assert!(matches!(found[..], [Violation { kind: ViolationKind::NotFound, .. }]), "{found:?}");
    }
    put(&repository, flow(1, "a"), Precondition::Absent).await.unwrap();
    for (precondition, name, revision) in [(any, "b", 2), (second, "c", 3)] {
        match put(&repository, flow(1, name), precondition).await {
            Ok(applied) => assert_eq!(applied.version.unwrap().revision, Revision::new(revision)),
            Err(RepositoryError::Conflict(_)) => {
                put(&repository, flow(1, name), Precondition::Any).await.map(drop).unwrap()
            }
            Err(error) => panic!("{error}"),
        }
    }
    let third = Precondition::Unreported(Some(Revision::new(3)));
    assert_eq!(violations(&*repository, replace("d", second)).await.len(), 1, "another revision");
    report(&repository, 1, GstState::Playing).await;
    for precondition in [any, third] {
        let mut both = replace("d", precondition);
        both.push(Change::create(flow(2, "d")));
        let found = violations(&*repository, both).await;
        let [Violation { kind: ViolationKind::Stale { current, .. }, .. }] = &found[..] else { panic!("{found:?}") };
        assert_eq!((current.item.head().state, current.version.revision), (GstState::Playing, Revision::new(3)));
    }
    assert_eq!(read(&repository, 1).await.item.head().name, "c");
    assert!(repository.get(id(2)).await.unwrap().is_none(), "nothing is written");
}

/// An edit and a report of one flow at the same time are both stored.
pub async fn concurrent_edits_and_reports_are_both_stored(repository: Arc<dyn FlowRepository>) {
    put(&repository, flow(1, "0"), Precondition::Absent).await.unwrap();
    for round in 1..=30 {
        let name = round.to_string();
        let state = if round % 2 == 0 { GstState::Playing } else { GstState::Paused };
        let health = format!(r#"{{"block_health":[{round}]}}"#);
        tokio::join!(
            edit(&repository, 1, |flow| flow.merge_patched(&format!(r#"{{"name":"{name}"}}"#)).unwrap()),
            edit(&repository, 1, |flow| flow.with_state(state).unwrap()),
            edit(&repository, 1, |flow| flow.merge_patched(&health).unwrap()),
        );
        let stored = read(&repository, 1).await;
        assert_eq!((stored.item.head().name.as_str(), stored.item.head().state), (name.as_str(), state));
        assert!(stored.item.document().get().replace(' ', "").contains(&format!(r#""block_health":[{round}]"#)));
        assert_eq!(stored.version.revision, Revision::new(round + 1));
    }
}

/// A document that an editor has read before a report and saves after it changes what people write, and keeps the report.
pub async fn saved_documents_keep_reports(repository: Arc<dyn FlowRepository>) {
    let playing = r#""gst_state":"Playing","running":true"#;
    let save = async |flow: &Flow, precondition| {
        let saved = repository.save(flow.clone(), precondition, stamp(2)).await.unwrap();
        let stored = read(&repository, 1).await;
        assert!(stored.item.same_as(&saved.flow).unwrap(), "a save returns the stored document");
        let head = stored.item.head();
        (head.name.clone(), head.state, stored.version.revision.number())
    };
    let state = |name: &str, state, revision| (name.to_owned(), state, revision);

    assert_eq!(save(&flow(1, "a"), Precondition::Any).await, state("a", GstState::Null, 1));
    // No report is undone, so the document is stored as it is.
    let edited = flow_with(1, "b", playing);
    assert_eq!(save(&edited, Precondition::Present).await, state("b", GstState::Playing, 2));
    report(&repository, 1, GstState::Paused).await;
    // The editor has read the document before the report.
    let edited = flow_with(1, "c", playing);
    assert_eq!(save(&edited, Precondition::At(Revision::new(2))).await, state("c", GstState::Paused, 3));
    // The same content: a report.
    assert_eq!(save(&edited, Precondition::Present).await, state("c", GstState::Playing, 3));

    report(&repository, 1, GstState::Ready).await;
    let restored =
        repository.restore_document(id(1), Revision::FIRST, Precondition::Any, stamp(3)).await.unwrap().unwrap();
    let stored = read(&repository, 1).await;
    assert!(stored.item.same_as(&restored.flow).unwrap(), "a restore returns the stored document");
    assert_eq!((stored.item.head().name.as_str(), stored.item.head().state), ("a", GstState::Ready));
}
