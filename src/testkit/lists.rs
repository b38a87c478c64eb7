//! Lists have one order, the same in every backend.

use std::sync::Arc;

use super::orders::{SORTS, compare, sort};
use super::samples::{change, create_all, flow, flow_with, id, numbers, stamp};
use crate::repository::{Change, FlowRepository, ListQuery};

/// The default order is by name, then by id.
pub async fn the_default_order_is_by_name_and_id(repository: Arc<dyn FlowRepository>) {
    assert_eq!(numbers(&*repository, &ListQuery::default()).await, [0; 0], "the repository is empty");
    let flows = [flow(5, "b"), flow(3, "a"), flow(4, "a"), flow(1, "c"), flow(2, "a")];
    create_all(&*repository, flows).await;
    assert_eq!(numbers(&*repository, &ListQuery::default()).await, [2, 3, 4, 5, 1]);
    change(&*repository, Change::replace(flow(5, "A")), stamp(1)).await;
    change(&*repository, Change::delete(id(3)), stamp(2)).await;
    assert_eq!(numbers(&*repository, &ListQuery::default()).await, [5, 2, 4, 1]);
}

/// Names compare by bytes, independently of the locale.
pub async fn names_compare_by_bytes(repository: Arc<dyn FlowRepository>) {
    let names =
        [" z", "10", "9", "A b", "A-b", "AB", "B", "Z", "_", "a", "a ", "aa", "b", "z", "Ä", "ä", "я", "ｚ", "😀"];
    create_all(&*repository, (0..names.len() as u32).zip(names).rev().map(|(number, name)| flow(number, name))).await;
    let expected: Vec<u32> = (0..names.len() as u32).collect();
    assert_eq!(numbers(&*repository, &ListQuery::default()).await, expected);
}

/// Each order sorts by its keys in their directions, then by id in the direction of the last key.
pub async fn every_order_is_total(repository: Arc<dyn FlowRepository>) {
    populate(&*repository).await;
    for text in SORTS {
        let sort = sort(text);
        let mut expected = repository.list(&ListQuery::default()).await.expect("list works").items;
        expected.sort_by(|a, b| compare(text, a, b));
        let expected: Vec<u32> = expected.iter().map(|stored| super::samples::number(stored.item.id())).collect();
        assert_eq!(numbers(&*repository, &ListQuery { sort, ..ListQuery::default() }).await, expected, "{text}");
    }
}

/// Summaries contain the heads and versions of the same list.
pub async fn summaries_agree_with_lists(repository: Arc<dyn FlowRepository>) {
    populate(&*repository).await;
    for text in SORTS {
        let query = ListQuery { sort: sort(text), limit: Some(7), count: true, ..ListQuery::default() };
        let list = repository.list(&query).await.expect("list works");
        let summaries = repository.summaries(&query).await.expect("summaries work");
        assert_eq!((summaries.next, summaries.total), (list.next, list.total), "{text}");
        let expected: Vec<_> = list.items.iter().map(|stored| (stored.item.head(), &stored.version)).collect();
        let found: Vec<_> = summaries.items.iter().map(|stored| (&stored.item, &stored.version)).collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// Creates flows with many equal names and times.
pub(super) async fn populate(repository: &dyn FlowRepository) {
    for number in 0..24 {
        let scattered = number * 7 % 24;
        let name = ["a", "B", "ä", "a b"][scattered as usize % 4];
        change(repository, Change::create(flow(scattered, name)), stamp(i64::from(number) / 5)).await;
    }
    for number in (0..24).step_by(3) {
        let name = ["B", "ä"][number as usize % 2];
        let edited = flow_with(number, name, r#""edited":true"#);
        change(repository, Change::replace(edited), stamp(100 + i64::from(number) / 9)).await;
    }
}
