//! Memory and storage form one list.

use std::sync::Arc;

use super::{ephemeral, over, persistent};
use crate::repository::{
    Change, Containment, Cursor, Filter, FlowRepository, ListQuery, NamePart, Precondition, Stored, Version,
};
use crate::testkit::orders::{SORTS, compare, sort};
use crate::testkit::samples::{change, id, number, stamp, stored};
use crate::{Flow, Head};

/// In every order, filter and page size, a list contains the flows of both once, in one order, with the right total.
/// Summaries agree.
pub async fn memory_and_storage_form_one_list(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    let mut all = Vec::new();
    for flow in 0..24 {
        let scattered = flow * 7 % 24;
        let name = ["a", "B", "ä", "a b"][scattered as usize % 4];
        let flow =
            if flow % 3 == 0 { persistent(scattered, name, flow % 2) } else { ephemeral(scattered, name, flow % 2) };
        change(&*both, Change::create(flow), stamp(i64::from(scattered) / 5)).await;
        all.push(stored(&*both, scattered).await);
    }
    let containment = Containment::parse(r#"{"edit":1.0}"#).expect("valid JSON");
    let filters = [
        Filter::default(),
        Filter { name: NamePart::parse("B").ok(), ..Filter::default() },
        Filter { contains: Some(containment), ..Filter::default() },
    ];
    let passes: [fn(&Stored<Flow>) -> bool; 3] = [
        |_| true,
        |stored| stored.item.head().name.to_lowercase().contains('b'),
        |stored| stored.item.document().get().replace(' ', "").contains("\"edit\":1"),
    ];
    for (text, (filter, passes)) in
        SORTS.into_iter().flat_map(|text| filters.iter().zip(passes).map(move |it| (text, it)))
    {
        let mut expected: Vec<_> = all.iter().filter(|stored| passes(stored)).collect();
        expected.sort_by(|a, b| compare(text, a, b));
        let expected: Vec<_> =
            expected.iter().map(|stored| (number(stored.item.id()), stored.version.clone())).collect();
        for limit in [None, Some(3), Some(expected.len() as u32)] {
            let query =
                ListQuery { filter: filter.clone(), sort: sort(text), limit, count: true, ..ListQuery::default() };
            assert_eq!(pages(&*both, query).await, expected, "{text} by {limit:?}");
        }
    }
}

/// Returns the flows of all pages.
async fn pages(repository: &dyn FlowRepository, mut query: ListQuery) -> Vec<(u32, Version)> {
    let mut found = Vec::new();
    loop {
        let page = repository.list(&query).await.unwrap_or_else(|error| panic!("list failed: {error:?}"));
        let summaries =
            repository.summaries(&query).await.unwrap_or_else(|error| panic!("summaries failed: {error:?}"));
        assert_eq!((&summaries.next, summaries.total), (&page.next, page.total));
        let heads: Vec<(Head, Version)> =
            page.items.iter().map(|stored| (stored.item.head().clone(), stored.version.clone())).collect();
        assert_eq!(summaries.items.into_iter().map(|it| (it.item, it.version)).collect::<Vec<_>>(), heads);
        assert!(query.limit.is_none_or(|limit| page.items.len() <= limit as usize));
        assert!(page.next.is_none() || Some(page.items.len() as u32) == query.limit, "only the last page is short");
        found.extend(heads.into_iter().map(|(head, version)| (number(head.id), version)));
        let Some(next) = page.next else {
            assert_eq!(page.total, query.count.then_some(found.len() as u64));
            return found;
        };
        query.after = Some(next.to_string().parse::<Cursor>().expect("a cursor can be parsed"));
    }
}

/// A flow that another writer stores under the id of an ephemeral one is hidden. Pages are full, and totals are right.
pub async fn stored_flow_with_the_id_of_an_ephemeral_flow_is_hidden(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    for number in 0..12 {
        let flow = if number % 2 == 0 { ephemeral(number, "ours", 0) } else { persistent(number, "stored", 0) };
        change(&*both, Change::create(flow), stamp(0)).await;
    }
    for number in [0, 2, 4, 6] {
        change(&*store, Change::create(persistent(number, "foreign", 0)), stamp(1)).await;
    }
    let ours = stored(&*both, 2).await;
    assert_eq!(ours.item.head().name, "ours");
    for (name, expected) in [("", 12), ("foreign", 0), ("ours", 6)] {
        let filter = Filter { name: NamePart::parse(name).ok(), ..Filter::default() };
        for limit in [None, Some(1), Some(2), Some(3), Some(4), Some(7)] {
            let query = ListQuery { filter: filter.clone(), limit, count: true, ..ListQuery::default() };
            assert_eq!(pages(&*both, query).await.len(), expected, "{name} by {limit:?}");
        }
    }
    // It appears when the ephemeral flow is deleted, and is replaced when the ephemeral flow is stored.
    change(&*both, Change::delete(id(2)), stamp(2)).await;
    assert_eq!(stored(&*both, 2).await.item.head().name, "foreign");
    let at = Precondition::At(stored(&*both, 4).await.version.revision);
    change(&*both, Change::Put(persistent(4, "ours, stored", 1), at), stamp(2)).await;
    assert_eq!(stored(&*both, 4).await.item.head().name, "ours, stored");
    assert_eq!(
        stored(&*store, 4).await.version.revision.number(),
        2,
        "the history contains the foreign flow as revision 1"
    );
}
