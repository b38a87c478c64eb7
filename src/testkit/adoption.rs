//! Flows that are moved from another store keep their version.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use chrono::TimeDelta;

use super::history_reader::{history, operations};
use super::samples::{
    canonical, change, change_all, create_all, flow, flow_with, found, id, moment, stamp, stored, time,
};
use super::samples::{revision, violations};
use crate::repository::{
    Author, Change, FlowRepository, Operation, Outcome, RepositoryError, Revision, Stored, Version, ViolationKind,
};

/// Returns the version of a flow that was edited elsewhere, some seconds after its creation.
fn version(revision: u64) -> Version {
    let created_at = time(-1_000_000) + TimeDelta::microseconds(123_456);
    let updated_at = created_at + TimeDelta::seconds(revision.min(1_000) as i64);
    Version { revision: Revision::new(revision), created_at, updated_at, author: Author::new("éditeur \"x\"") }
}

fn adopt(number: u32, members: &str, revision: u64) -> Change {
    Change::Adopt(Stored { item: flow_with(number, "from elsewhere", members), version: version(revision) })
}

/// An adopted flow keeps its revision, times and author. The next edit has the next revision.
pub async fn adopted_flow_keeps_its_version(repository: Arc<dyn FlowRepository>) {
    let members = r#""n":[18446744073709551617,1.10],"gst_state":"Playing","unknown":{"":"😀"}"#;
    let applied = change(&*repository, adopt(1, members, 7), stamp(0)).await;
    assert_eq!((applied.id, applied.outcome, applied.version), (id(1), Outcome::Created, Some(version(7))));
    let adopted = stored(&*repository, 1).await;
    assert_eq!(canonical(&adopted.item), canonical(&flow_with(1, "from elsewhere", members)));
    assert_eq!(adopted.version, version(7));
    let records = history(&*repository, 1).await;
    assert_eq!(operations(&records), [(Operation::Create, 7)]);
    assert_eq!((records[0].at, &records[0].author), (version(7).updated_at, &version(7).author));
    assert!(
        revision(&*repository, 1, 7).await.is_some_and(|record| canonical(&record.item) == canonical(&adopted.item))
    );

    let edited = change(&*repository, Change::replace_at(flow(1, "edited"), Revision::new(7)), stamp(1)).await;
    let expected = Version {
        revision: Revision::new(8),
        created_at: version(7).created_at,
        updated_at: time(1),
        author: Author::new("tester"),
    };
    assert_eq!(edited.version, Some(expected));
    change(&*repository, Change::delete(id(1)), stamp(2)).await;
    use Operation::{Create, Delete, Update};
    assert_eq!(operations(&history(&*repository, 1).await), [(Delete, 9), (Update, 8), (Create, 7)]);
}

/// A revision that the id has had in this store is not used again. An adopted flow with an older revision continues
/// the count, and a flow with a higher revision keeps its revision.
pub async fn adoption_does_not_reuse_revisions(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    change_all(&*repository, vec![Change::delete(id(1)), Change::delete(id(2))], stamp(1)).await;
    for (number, revision, expected) in [(1, 2, 3), (2, 9, 9)] {
        let applied = change(&*repository, adopt(number, "", revision), stamp(2)).await;
        let expected = Version { revision: Revision::new(expected), ..version(revision) };
        assert_eq!(applied.version, Some(expected.clone()));
        assert_eq!(stored(&*repository, number).await.version, expected);
        use Operation::{Create, Delete};
        let recorded = operations(&history(&*repository, number).await);
        assert_eq!(recorded, [(Create, expected.revision.number()), (Delete, 2), (Create, 1)]);
    }
}

/// Adopting a flow over an existing one is rejected, and no change of the call is applied.
pub async fn adoption_over_an_existing_flow_is_rejected(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(2, "b")]).await;
    let before = moment(&*repository).await;
    let rejected = violations(&*repository, vec![adopt(1, "", 3), adopt(2, "", 3), adopt(3, "", 3)]).await;
    assert_eq!((rejected.len(), rejected[0].index, rejected[0].id), (1, 1, id(2)));
    assert!(matches!(rejected[0].kind, ViolationKind::AlreadyExists), "{rejected:?}");
    assert_eq!(moment(&*repository).await, before);
    assert!(history(&*repository, 1).await.is_empty(), "the rejected call leaves no record");
}

/// Other changes in the same call have the time and author of the stamp.
pub async fn adoptions_and_other_changes_share_a_call(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "deleted"), flow(2, "replaced")]).await;
    let changes = vec![
        Change::delete(id(1)),
        adopt(4, "", 5),
        Change::replace(flow(2, "new")),
        Change::create(flow(3, "created")),
        adopt(5, "", 6),
    ];
    let applied = change_all(&*repository, changes, stamp(9)).await;
    let outcomes: Vec<_> = applied.iter().map(|applied| (applied.id, applied.outcome)).collect();
    use Outcome::{Created, Deleted, Replaced};
    let expected = [(1, Deleted), (4, Created), (2, Replaced), (3, Created), (5, Created)];
    assert_eq!(outcomes, expected.map(|(number, outcome)| (id(number), outcome)));
    for number in 1..=3 {
        let record = &history(&*repository, number).await[0];
        assert_eq!((record.at, record.author.as_str()), (time(9), "tester"), "flow {number}");
    }
    for (number, revision) in [(4, 5), (5, 6)] {
        let record = &history(&*repository, number).await[0];
        let Version { updated_at, author, .. } = version(revision);
        assert_eq!((record.at, &record.author), (updated_at, &author), "flow {number}");
    }
}

/// A revision that no flow can have is rejected, and nothing is written.
pub async fn adoption_with_an_invalid_revision_is_rejected(repository: Arc<dyn FlowRepository>) {
    for revision in [0, Revision::HIGHEST_ADOPTED.number() + 1, u64::MAX] {
        let version = Version { revision: Revision::new(revision), ..version(1) };
        let flow = Stored { item: flow(1, "a"), version };
        let answer = repository.apply_all(vec![Change::Adopt(flow)], stamp(0)).await;
        assert!(matches!(answer, Err(RepositoryError::Failed(_))), "{revision}: {answer:?}");
        assert!(found(&*repository, 1).await.is_none(), "{revision}");
    }
    change(&*repository, adopt(1, "", Revision::HIGHEST_ADOPTED.number()), stamp(0)).await;
    let edited = change(&*repository, Change::replace(flow(1, "b")), stamp(1)).await;
    assert!(
        edited.version.is_some_and(|version| version.revision == Revision::HIGHEST_ADOPTED.next()),
        "a flow with the highest adopted revision can be edited"
    );
}
