//! A list contains the flows that match every condition.

use std::sync::Arc;

use super::samples::{create_all, flow, flow_with, numbers};
use crate::flow::GstState;
use crate::repository::{Containment, Filter, FlowRepository, ListQuery, NamePart};

/// Filters by state, automatic restart, part of the name and containment work alone and together.
pub async fn filters_work_alone_and_together(repository: Arc<dyn FlowRepository>) {
    create_all(
        &*repository,
        [
            flow_with(0, "0 studio", r#""gst_state":"Playing","properties":{"auto_restart":true}"#),
            flow_with(1, "1 Studio", r#""gst_state":"Playing","properties":{"auto_restart":false}"#),
            flow_with(2, "2 STUDIO", r#""state":"Playing""#),
            flow_with(3, "3 stage", r#""gst_state":"Null","properties":{"auto_restart":true,"x":1}"#),
            flow_with(4, "4 stage", r#""gst_state":"Weird""#),
            flow_with(5, "5 stage", r#""gst_state":null,"state":"Playing","properties":{"auto_restart":1}"#),
        ],
    )
    .await;
    let state = |state| Filter { state: Some(state), ..Filter::default() };
    let auto_restart = |auto_restart| Filter { auto_restart: Some(auto_restart), ..Filter::default() };
    let cases = [
        (Filter::default(), vec![0, 1, 2, 3, 4, 5]),
        (state(GstState::Playing), vec![0, 1, 2]),
        (state(GstState::Null), vec![3, 4, 5]),
        (state(GstState::Paused), vec![]),
        (auto_restart(true), vec![0, 3]),
        (auto_restart(false), vec![1, 2, 4, 5]),
        (Filter { auto_restart: Some(true), ..state(GstState::Playing) }, vec![0]),
        (Filter { name: Some(part("stUDio")), ..Filter::default() }, vec![0, 1, 2]),
        (Filter { name: Some(part("stud")), ..auto_restart(false) }, vec![1, 2]),
        (Filter { contains: Some(containment(r#"{"properties":{"x":1}}"#)), ..Filter::default() }, vec![3]),
        (Filter { contains: Some(containment(r#"{"properties":{}}"#)), ..auto_restart(true) }, vec![0, 3]),
        (
            Filter {
                name: Some(part("S")),
                contains: Some(containment(r#"{"gst_state":"Playing"}"#)),
                auto_restart: Some(false),
                state: Some(GstState::Playing),
            },
            vec![1],
        ),
        (Filter { name: Some(part("nowhere")), ..state(GstState::Playing) }, vec![]),
    ];
    for (filter, expected) in cases {
        let case = format!("{filter:?}");
        let query = ListQuery { filter, count: true, ..ListQuery::default() };
        assert_eq!(numbers(&*repository, &query).await, expected, "{case}");
        let summaries = repository.summaries(&query).await.expect("summaries work");
        assert_eq!((summaries.items.len(), summaries.total), (expected.len(), Some(expected.len() as u64)), "{case}");
    }
}

/// A part of a name is case-insensitive. White space counts, and there are no wildcards.
pub async fn name_parts_are_case_insensitive_and_literal(repository: Arc<dyn FlowRepository>) {
    let names = ["50% off", "50 off", "a_b", "axb", r"c\d", "cd", "Größe ÄÖ", "СТУДИЯ", " x ", "ΑΣ", "İ"];
    create_all(&*repository, (0..).zip(names).map(|(number, name)| flow(number, name))).await;
    let cases = [
        ("%", vec![0]),
        ("0% O", vec![0]),
        ("_", vec![2]),
        ("A_B", vec![2]),
        (r"\", vec![4]),
        (r"C\D", vec![4]),
        ("GRÖß", vec![6]),
        ("äö", vec![6]),
        ("студия", vec![7]),
        (" X ", vec![8]),
        ("ας", vec![]),
        ("ασ", vec![9]),
        ("i", vec![]),
        ("İ", vec![10]),
    ];
    for (text, expected) in cases {
        let filter = Filter { name: Some(part(text)), ..Filter::default() };
        let mut found = numbers(&*repository, &ListQuery { filter, ..ListQuery::default() }).await;
        found.sort_unstable();
        assert_eq!(found, expected, "{text:?}");
    }
    let every = Filter { name: Some(part("")), ..Filter::default() };
    assert_eq!(numbers(&*repository, &ListQuery { filter: every, ..ListQuery::default() }).await.len(), names.len());
}

/// Containment has the semantics of PostgreSQL's `@>`.
pub async fn containment_has_jsonb_semantics(repository: Arc<dyn FlowRepository>) {
    let documents = [
        r#""v":1"#,
        r#""v":1.0,"w":null"#,
        r#""v":[1,2,[3]]"#,
        r#""v":{"a":[{"b":1,"c":2},{"b":3}]}"#,
        r#""v":9007199254740993"#,
        r#""v":"x""#,
        r#""v":[{"b":1},{"c":2}]"#,
        r#""v":[]"#,
        r#""v":{}"#,
    ];
    create_all(&*repository, (0..).zip(documents).map(|(number, members)| flow_with(number, "c", members))).await;
    let cases = [
        ("{}", (0..9).collect()),
        ("[]", vec![]),
        ("1", vec![]),
        ("null", vec![]),
        (r#""c""#, vec![]),
        (r#"[{"name":"c"}]"#, vec![]),
        (r#"{"v":1}"#, vec![0, 1]),
        (r#"{"v":100e-2}"#, vec![0, 1]),
        (r#"{"w":null}"#, vec![1]),
        (r#"{"v":null}"#, vec![]),
        (r#"{"v":[]}"#, vec![2, 6, 7]),
        (r#"{"v":{}}"#, vec![3, 8]),
        (r#"{"v":[2,2,1]}"#, vec![2]),
        (r#"{"v":[3]}"#, vec![]),
        (r#"{"v":[[]]}"#, vec![2]),
        (r#"{"v":[[3],1]}"#, vec![2]),
        (r#"{"v":[{}]}"#, vec![6]),
        (r#"{"v":{"a":[{"c":2},{"b":1}]}}"#, vec![3]),
        (r#"{"v":{"a":[{"b":1,"c":2,"d":3}]}}"#, vec![]),
        (r#"{"v":[{"b":1,"c":2}]}"#, vec![]),
        (r#"{"v":9007199254740993}"#, vec![4]),
        (r#"{"v":9007199254740992}"#, vec![]),
        (r#"{"v":"\u0078","name":"c"}"#, vec![5]),
        (r#"{"v":"X"}"#, vec![]),
    ];
    for (template, expected) in cases {
        let filter = Filter { contains: Some(containment(template)), ..Filter::default() };
        let found = numbers(&*repository, &ListQuery { filter, ..ListQuery::default() }).await;
        assert_eq!(found, expected, "{template}");
    }
}

fn part(text: &str) -> NamePart {
    NamePart::parse(text).expect("a part of a name")
}

fn containment(text: &str) -> Containment {
    Containment::parse(text).expect("a containment")
}
