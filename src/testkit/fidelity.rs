//! Documents are returned unchanged.

use std::sync::Arc;

use super::samples::{canonical, change, create_all, everything, flow, flow_with, stamp, stored};
use crate::flow::{Flow, GstState, Head, MAX_DEPTH};
use crate::repository::{Change, FlowRepository, ListQuery};

/// Every member and every number survives, known or not, also in a replacement.
pub async fn documents_are_returned_unchanged(repository: Arc<dyn FlowRepository>) {
    let flows: Vec<Flow> = (0..).zip(DOCUMENTS).map(|(number, members)| flow_with(number, "doc", members)).collect();
    create_all(&*repository, flows.iter().cloned()).await;
    for (number, flow) in (0..).zip(&flows) {
        assert_eq!(canonical(&stored(&*repository, number).await.item), canonical(flow));
    }
    for (number, members) in (0..).zip(DOCUMENTS.iter().rev()) {
        let flow = flow_with(number, "replaced", members);
        change(&*repository, Change::replace(flow.clone()), stamp(1)).await;
        assert_eq!(canonical(&stored(&*repository, number).await.item), canonical(&flow));
    }
}

const DOCUMENTS: [&str; 12] = [
    "",
    r#""unknown":{"members":[true,false,null,{"nested":[]}]},"another":{}"#,
    r#""n":[9007199254740993,-9007199254740993,18446744073709551617,-18446744073709551617]"#,
    r#""n":[1.10,0.1,1e400,-1.5e-400,123456789012345678901234567890.123456789012345678901234567890]"#,
    r#""n":[0,-0.0,0e5,1E2,1e-7,1.0,100,5e-324,1.7976931348623157e308]"#,
    r#""escapes":"\" \\ \/ \b \f \n \r \t \u0001 \u001f \u007f \u2028","\"quoted\\":1"#,
    r#""emoji":"😀 \ud83d\ude00","ключ":"значение","ﬁ":"é e\u0301""#,
    r#""":{"":[{"":""}]}," ":" ""#,
    r#""gst_state":"Playing","running":true,"block_health":[{"id":"b","ok":false}]"#,
    r#""properties":{"auto_restart":true,"clock_type":"ptp","ptp_domain":255,"future":{"x":1}}"#,
    r#""elements":[{"id":"e","element_type":"videotestsrc","position":null}],"links":[{"from":"x","to":"y"}]"#,
    r#""gst_state":null,"state":17,"elements":"none","blocks":{},"links":null,"properties":[]"#,
];

/// Names keep white space, case and every character, up to the maximum length.
pub async fn names_are_returned_exactly(repository: Arc<dyn FlowRepository>) {
    let longest = "ö".repeat(127) + "x";
    let names = ["  blanks around \t", "Case", "case", "'\"\\%_", "名前 😀", "\u{1}\u{7f}", &longest];
    create_all(&*repository, (0..).zip(names).map(|(number, name)| flow(number, name))).await;
    for (number, name) in (0..).zip(names) {
        assert_eq!(stored(&*repository, number).await.item.head().name, name);
    }
}

/// A document with the maximum nesting can be stored.
pub async fn document_with_maximum_nesting_is_stored(repository: Arc<dyn FlowRepository>) {
    let depth = MAX_DEPTH - 1;
    let deepest = flow_with(1, "deep", &format!(r#""deep":{}{}"#, "[".repeat(depth), "]".repeat(depth)));
    create_all(&*repository, [deepest.clone()]).await;
    assert_eq!(canonical(&stored(&*repository, 1).await.item), canonical(&deepest));
}

/// The head of a flow agrees with its document in every call, including size and counts.
pub async fn heads_agree_with_documents(repository: Arc<dyn FlowRepository>) {
    let more = [
        (r#""state":"Paused""#, GstState::Paused, false),
        (r#""state":"Paused","gst_state":null"#, GstState::Null, false),
        (r#""gst_state":"Ready","state":"Playing""#, GstState::Ready, false),
        (r#""gst_state":"Unknown","properties":{"auto_restart":"yes"}"#, GstState::Null, false),
        (r#""properties":{"auto_restart":true},"elements":[1,2],"blocks":[{}],"links":[]"#, GstState::Null, true),
    ];
    let documents = DOCUMENTS.iter().copied().chain(more.map(|(members, ..)| members));
    let flows: Vec<Flow> = (0..).zip(documents).map(|(number, members)| flow_with(number, "head", members)).collect();
    for ((_, state, auto_restart), flow) in more.iter().rev().zip(flows.iter().rev()) {
        assert_eq!((flow.head().state, flow.head().auto_restart), (*state, *auto_restart));
    }
    create_all(&*repository, flows.iter().cloned()).await;
    let expected: Vec<&Head> = flows.iter().map(Flow::head).collect();
    let listed = repository.list(&ListQuery::default()).await.expect("list works").items;
    let summaries = repository.summaries(&ListQuery::default()).await.expect("summaries work").items;
    let everything = everything(&*repository).await;
    assert_eq!(listed.iter().map(|stored| stored.item.head()).collect::<Vec<_>>(), expected);
    assert_eq!(summaries.iter().map(|stored| &stored.item).collect::<Vec<_>>(), expected);
    assert_eq!(everything.iter().map(|stored| stored.item.head()).collect::<Vec<_>>(), expected);
    for (number, head) in (0..).zip(expected) {
        assert_eq!(stored(&*repository, number).await.item.head(), head);
    }
}
