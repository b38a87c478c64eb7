//! Many flows in one call: reads by id, and changes from a list that is not in memory.

use std::io;
use std::sync::Arc;

use futures::TryStreamExt;

use super::samples::{change, create_all, flow, found, id, moment, number, stamp};
use crate::flow::FlowId;
use crate::repository::{
    Change, ChangeList, FlowRepository, Outcome, Precondition, RepositoryError, Revision, ViolationKind,
};

/// A list that creates or replaces flows, each built on demand.
#[derive(Debug)]
struct Many {
    flows: u32,
    precondition: fn(u32) -> Precondition,
    /// The index from which on the list cannot be read.
    damaged_from: u32,
}

impl Many {
    fn new(flows: u32, precondition: fn(u32) -> Precondition) -> Self {
        Self { flows, precondition, damaged_from: u32::MAX }
    }
}

impl ChangeList for Many {
    fn len(&self) -> usize {
        self.flows as usize
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        (id(index as u32), (self.precondition)(index as u32))
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        let number = index as u32;
        if number >= self.damaged_from {
            return Err(io::Error::other("an unreadable block"));
        }
        Ok(Change::Put(flow(number, &format!("one of {}", self.flows)), (self.precondition)(number)))
    }
}

/// Existing flows are returned once each, as stored. Missing ones are omitted.
pub async fn get_each_returns_existing_flows_once(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, (0..20).map(|number| flow(number, "a"))).await;
    change(&*repository, Change::replace(flow(3, "changed")), stamp(1)).await;
    change(&*repository, Change::delete(id(4)), stamp(2)).await;
    let requested = [9, 3, 4, 1_000, 0].map(id).to_vec();
    let mut flows: Vec<_> = repository.get_each(requested).try_collect().await.unwrap();
    flows.sort_by_key(|stored| stored.item.id());
    assert_eq!(flows.iter().map(|stored| number(stored.item.id())).collect::<Vec<_>>(), [0, 3, 9]);
    for stored in flows {
        let single = found(&*repository, number(stored.item.id())).await.unwrap();
        assert_eq!(stored.version, single.version);
        assert_eq!(stored.item.document().get(), single.item.document().get());
    }
    assert!(repository.get_each(Vec::new()).try_collect::<Vec<_>>().await.unwrap().is_empty());
}

/// A lazy list has the same effect and results as a list in memory.
pub async fn lazy_list_has_the_effect_of_a_list_in_memory(repository: Arc<dyn FlowRepository>) {
    const FLOWS: u32 = 2_500;
    let applied = repository.apply(Arc::new(Many::new(FLOWS, |_| Precondition::Absent)), stamp(0)).await.unwrap();
    let applied_numbers: Vec<u32> = applied.iter().map(|applied| number(applied.id)).collect();
    assert_eq!(applied_numbers, (0..FLOWS).collect::<Vec<_>>());
    assert!(applied.iter().all(|applied| applied.outcome == Outcome::Created));
    let again = Many::new(FLOWS, |_| Precondition::At(Revision::FIRST));
    let applied = repository.apply(Arc::new(again), stamp(1)).await.unwrap();
    assert!(applied.iter().all(|applied| applied.outcome == Outcome::Unchanged));
    assert_eq!(moment(&*repository).await.len(), FLOWS as usize);
}

/// Violations are reported with their indexes and prevent every change.
pub async fn violations_in_a_lazy_list_prevent_every_change(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(7, "a"), flow(2_200, "b")]).await;
    let before = moment(&*repository).await;
    let list = Many::new(2_500, |_| Precondition::Absent);
    let error = repository.apply(Arc::new(list), stamp(1)).await.unwrap_err();
    let RepositoryError::Conflict(violations) = error else { panic!("{error:?}") };
    let indexes: Vec<_> = violations.iter().map(|violation| (violation.index, number(violation.id))).collect();
    assert_eq!(indexes, [(7, 7), (2_200, 2_200)]);
    assert!(violations.iter().all(|violation| matches!(violation.kind, ViolationKind::AlreadyExists)));
    assert_eq!(moment(&*repository).await, before);
}

/// If the list cannot be read to its end, none of it is applied.
pub async fn unreadable_list_changes_nothing(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    let before = moment(&*repository).await;
    for damaged_from in [0, 1_500] {
        let list = Many { damaged_from, ..Many::new(2_500, |_| Precondition::Any) };
        let error = repository.apply(Arc::new(list), stamp(1)).await.unwrap_err();
        assert!(matches!(error, RepositoryError::Failed(_)), "{error:?}");
        assert_eq!(moment(&*repository).await, before);
        change(&*repository, Change::replace(flow(1, "a")), stamp(1)).await;
    }
}
