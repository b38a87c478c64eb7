//! Pages make up the list, and a cursor stays valid while flows are created and deleted.

use std::sync::Arc;

use super::lists::populate;
use super::orders::{SORTS, sort};
use super::samples::{change, change_all, create_all, flow, id, number, numbers, stamp};
use crate::repository::{Change, Cursor, Filter, FlowRepository, ListQuery, NamePart, Precondition};

/// In every order and page size, the pages make up the list. Only the last page has no next cursor.
pub async fn pages_add_up_to_the_whole_list(repository: Arc<dyn FlowRepository>) {
    populate(&*repository).await;
    let filters = [Filter::default(), Filter { name: NamePart::parse("b").ok(), ..Filter::default() }];
    for text in SORTS {
        for filter in &filters {
            let query = ListQuery { filter: filter.clone(), sort: sort(text), ..ListQuery::default() };
            let whole = numbers(&*repository, &query).await;
            for limit in (1..=whole.len() as u32 + 1).filter(|limit| limit % 4 != 2 || *limit == 2) {
                let pages = pages(&*repository, &ListQuery { limit: Some(limit), ..query.clone() }).await;
                assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit as usize), "{text} by {limit}");
                assert_eq!(pages.concat(), whole, "{text} by {limit}");
            }
        }
    }
}

async fn pages(repository: &dyn FlowRepository, query: &ListQuery) -> Vec<Vec<u32>> {
    let mut query = query.clone();
    let mut pages = Vec::new();
    loop {
        let page = repository.list(&query).await.unwrap_or_else(|error| panic!("list failed: {error:?}"));
        pages.push(page.items.iter().map(|stored| number(stored.item.id())).collect());
        let Some(next) = page.next else { return pages };
        assert!(next.belongs_to(&query.sort));
        // The cursor as a client sends it back.
        query.after = Some(next.to_string().parse::<Cursor>().expect("a cursor can be parsed"));
    }
}

/// Flows that are created or deleted before, at or after the cursor neither repeat nor hide another flow.
pub async fn list_cursors_stay_valid_while_flows_are_created_and_deleted(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, (0..10).map(|number| flow(number * 10, &format!("{number}")))).await;
    let mut query = ListQuery { limit: Some(3), ..ListQuery::default() };
    let first = repository.list(&query).await.expect("list works");
    assert_eq!(first.items.iter().map(|stored| number(stored.item.id())).collect::<Vec<_>>(), [0, 10, 20]);
    query.after = first.next;
    let changes = vec![
        Change::delete(id(0)),
        Change::delete(id(20)),
        Change::delete(id(30)),
        Change::create(flow(1, "05")),
        Change::create(flow(25, "2")),
        Change::create(flow(19, "2")),
        Change::create(flow(45, "45")),
        Change::replace(flow(90, "35")),
    ];
    change_all(&*repository, changes, stamp(1)).await;
    let second = repository.list(&query).await.expect("list works");
    let found: Vec<u32> = second.items.iter().map(|stored| number(stored.item.id())).collect();
    assert_eq!(found, [25, 90, 40], "19 and 1 are before the cursor, 25 is after it");
    query.after = second.next;
    for number in [50, 60, 70, 80] {
        change(&*repository, Change::Delete(id(number), Precondition::Any), stamp(2)).await;
    }
    let last = repository.list(&query).await.expect("list works");
    assert_eq!(last.items.iter().map(|stored| number(stored.item.id())).collect::<Vec<_>>(), [45]);
    assert!(last.next.is_none());
}

/// If requested, the total counts the matching flows of all pages.
pub async fn totals_count_the_flows_of_all_pages(repository: Arc<dyn FlowRepository>) {
    let empty = repository.list(&ListQuery { count: true, ..ListQuery::default() }).await.expect("list works");
    assert_eq!((empty.total, empty.items.len()), (Some(0), 0));
    create_all(&*repository, (0..7).map(|number| flow(number, if number < 5 { "yes" } else { "no" }))).await;
    let filter = Filter { name: NamePart::parse("YES").ok(), ..Filter::default() };
    let mut query = ListQuery { filter, limit: Some(2), count: true, ..ListQuery::default() };
    for expected in [2, 2, 1] {
        let page = repository.list(&query).await.expect("list works");
        let summaries = repository.summaries(&query).await.expect("summaries work");
        assert_eq!((page.items.len(), page.total, summaries.total), (expected, Some(5), Some(5)));
        query.after = page.next;
    }
    assert!(query.after.is_none());
    query.count = false;
    assert_eq!(repository.list(&query).await.expect("list works").total, None);
}
