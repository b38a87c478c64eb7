//! Memory and storage answer one list.

use std::sync::Arc;

use super::{kept, over, scratch};
use crate::repository::{
    Change, Containment, Cursor, Filter, FlowRepository, ListQuery, NamePart, Precondition, Stored, Version,
};
use crate::testkit::lists::{SORTS, compare, sort};
use crate::testkit::samples::{change, id, number, stamp, stored};
use crate::{Flow, Head};

/// In every order, under every filter and in pages of every size a list has the flows of both, each once, in the one order
/// there is, and counts them; summaries agree.
pub async fn both_answer_one_list(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    let mut all = Vec::new();
    for flow in 0..24 {
        let scattered = flow * 7 % 24;
        let name = ["a", "B", "ä", "a b"][scattered as usize % 4];
        let flow = if flow % 3 == 0 { kept(scattered, name, flow % 2) } else { scratch(scattered, name, flow % 2) };
        change(&*both, Change::create(flow), stamp(i64::from(scattered) / 5)).await;
        all.push(stored(&*both, scattered).await);
    }
    let containment = Containment::parse(r#"{"edit":1.0}"#).expect("it is JSON");
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

/// What all pages make up.
async fn pages(repository: &dyn FlowRepository, mut query: ListQuery) -> Vec<(u32, Version)> {
    let mut found = Vec::new();
    loop {
        let page = repository.list(&query).await.unwrap_or_else(|error| panic!("list failed: {error:?}"));
        let summaries = repository.summaries(&query).await.unwrap_or_else(|error| panic!("they failed: {error:?}"));
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
        query.after = Some(next.to_string().parse::<Cursor>().expect("a cursor reads back"));
    }
}

/// What somebody else stores under the ids of ephemeral flows is not shown: pages are as full as they can be, totals right.
pub async fn what_others_store_under_their_ids_is_hidden(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    for number in 0..12 {
        let flow = if number % 2 == 0 { scratch(number, "ours", 0) } else { kept(number, "stored", 0) };
        change(&*both, Change::create(flow), stamp(0)).await;
    }
    for number in [0, 2, 4, 6] {
        change(&*store, Change::create(kept(number, "a stranger", 0)), stamp(1)).await;
    }
    let ours = stored(&*both, 2).await;
    assert_eq!(ours.item.head().name, "ours");
    for (name, expected) in [("", 12), ("stranger", 0), ("ours", 6)] {
        let filter = Filter { name: NamePart::parse(name).ok(), ..Filter::default() };
        for limit in [None, Some(1), Some(2), Some(3), Some(4), Some(7)] {
            let query = ListQuery { filter: filter.clone(), limit, count: true, ..ListQuery::default() };
            assert_eq!(pages(&*both, query).await.len(), expected, "{name} by {limit:?}");
        }
    }
    // It shows again when ours goes, and gives way when ours is stored.
    change(&*both, Change::delete(id(2)), stamp(2)).await;
    assert_eq!(stored(&*both, 2).await.item.head().name, "a stranger");
    let at = Precondition::At(stored(&*both, 4).await.version.revision);
    change(&*both, Change::Put(kept(4, "ours, stored", 1), at), stamp(2)).await;
    assert_eq!(stored(&*both, 4).await.item.head().name, "ours, stored");
    assert_eq!(stored(&*store, 4).await.version.revision.number(), 2, "the history has the other");
}
