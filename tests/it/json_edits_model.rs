//! Random saves, reports, crashes and edits of random earlier versions of the file, compared with a model.
//!
//! Clients change the member `a`, editors the member `b`, and engines `block_health`. So every change has one owner, and
//! none may be undone.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use strom_store::FlowRepository;
use strom_store::internals::Chance;
use strom_store::internals::samples::{change, everything, found, id, parse, stamp};
use strom_store::repository::Change;

use strom_test_support::eventually::eventually;
use strom_test_support::json::{File, faults, hasty};

/// The expected values of `a`, `b` and `block_health`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Expected {
    a: u64,
    b: u64,
    report: u64,
}

#[derive(Clone)]
struct Text {
    text: Value,
    /// The flows that the editor has removed.
    removed: Vec<(u32, Expected)>,
    is_edited: bool,
    /// The last value when the text was read.
    last: u64,
}

struct Run {
    chance: Chance,
    file: File,
    store: Arc<dyn FlowRepository>,
    flows: BTreeMap<u32, Expected>,
    /// Texts that editors have read or written.
    texts: Vec<Text>,
    /// Every change of what people write: its value, and the flow.
    log: Vec<(u64, u32)>,
    /// The last value and the last id.
    last: u64,
    last_id: u32,
}

fn document(number: u32, expected: Expected) -> Value {
    let Expected { a, b, report } = expected;
    json!({ "id": id(number).to_string(), "name": format!("flow {number}"), "a": a, "b": b, "block_health": [report] })
}

fn number_of(flow: &Value) -> u32 {
    flow["name"].as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

fn values(flow: &Value) -> Expected {
    let value = |value: &Value| value.as_u64().unwrap();
    Expected { a: value(&flow["a"]), b: value(&flow["b"]), report: value(&flow["block_health"][0]) }
}

impl Run {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    fn any_flow(&mut self) -> Option<u32> {
        let count = self.flows.len() as u64;
        (count > 0).then(|| *self.flows.keys().nth(self.chance.below(count) as usize).unwrap())
    }

    /// A client creates, saves or deletes a flow, or an engine reports it.
    async fn call(&mut self) {
        let value = self.next();
        let kind = self.chance.below(10);
        let existing = self.any_flow().filter(|_| kind > 0);
        let Some(number) = existing else {
            let number = self.next_id();
            let expected = Expected { a: value, b: value, report: value };
            self.flows.insert(number, expected);
            self.log.push((value, number));
            change(&*self.store, Change::create(parse(&document(number, expected).to_string())), stamp(1)).await;
            return;
        };
        if kind == 1 {
            self.flows.remove(&number);
            self.log.push((value, number));
            change(&*self.store, Change::delete(id(number)), stamp(1)).await;
            return;
        }
        let expected = self.flows.get_mut(&number).unwrap();
        match kind % 2 {
            0 => {
                expected.a = value;
                self.log.push((value, number));
            }
            _ => expected.report = value,
        }
        let flow = parse(&document(number, *expected).to_string());
        change(&*self.store, Change::replace(flow), stamp(1)).await;
    }

    /// Waits until the file contains all flows. An editor reads it.
    async fn read(&mut self) {
        let expected: Vec<_> = self.flows.iter().map(|(number, expected)| document(*number, *expected)).collect();
        let mut text = Value::Null;
        eventually("the file is written", async || {
            let Ok(read) = std::fs::read_to_string(&self.file.path) else { return expected.is_empty() };
            text = serde_json::from_str(&read).unwrap();
            let mut flows = text["flows"].as_array().unwrap().clone();
            flows.sort_by_key(number_of);
            flows == expected
        })
        .await;
        if !text.is_null() {
            self.texts.push(Text { text, removed: Vec::new(), is_edited: false, last: self.last });
        }
    }

    /// Returns the flow of the first change after this value.
    fn next_changed(&self, value: u64) -> Option<u32> {
        self.log.iter().find(|(changed, _)| *changed > value).map(|(_, number)| *number)
    }

    /// Edits a text that an editor has read: changes a flow, may remove another one, and adds one.
    fn edited(&mut self) -> Option<(Value, Edit)> {
        let recent = self.texts.len().min(12) as u64;
        let age = if recent > 0 { self.chance.below(recent) as usize } else { return None };
        let Text { mut text, removed, last, .. } = self.texts[self.texts.len() - 1 - age].clone();
        let flows = text["flows"].as_array_mut().unwrap();
        let mut edit = Edit { changed: None, removed, added: self.last_id + 1, value: self.last + 1, last };
        (self.last_id, self.last) = (edit.added, edit.value);
        if !flows.is_empty() {
            let index = self.chance.below(flows.len() as u64) as usize;
            flows[index]["b"] = edit.value.into();
            edit.changed = Some(number_of(&flows[index]));
        }
        if flows.len() > 3 && self.chance.below(3) == 0 {
            let index = self.chance.below(flows.len() as u64) as usize;
            if Some(number_of(&flows[index])) != edit.changed {
                let removed = flows.remove(index);
                edit.removed.push((number_of(&removed), values(&removed)));
            }
        }
        let expected = Expected { a: edit.value, b: edit.value, report: edit.value };
        flows.push(document(edit.added, expected));
        self.flows.insert(edit.added, expected);
        // The editor may continue to edit this text.
        self.log.extend(edit.changed.iter().chain([&edit.added]).map(|number| (edit.value, *number)));
        let removed = edit.removed.clone();
        self.texts.push(Text { text: text.clone(), removed, is_edited: true, last: edit.value });
        Some((text, edit))
    }

    /// Checks the result of an edit. Both may be: an edit of the same member since then, and a flow that was created or
    /// saved shortly before it was removed. If nothing else changed in between, the text without it does not show whether
    /// its editor has seen that change.
    async fn check(&mut self, edit: &Edit) {
        let reported = faults(&*self.store).await;
        if let Some(number) = edit.changed {
            match self.flows.get_mut(&number) {
                Some(expected) => {
                    let now = self.store.get(id(number)).await.unwrap().unwrap();
                    let now = values(&serde_json::from_str(now.item.document().get()).unwrap());
                    assert!(now.b == edit.value || reported.contains("was edited"), "the edit of {number}: {reported}");
                    expected.b = now.b;
                }
                None => assert!(reported.contains("remains deleted"), "the edit of {number}: {reported}"),
            }
        }
        for (number, read) in &edit.removed {
            if let Some(expected) = self.flows.get(number)
                && ((expected.a, expected.b) == (read.a, read.b) || self.next_changed(edit.last) == Some(*number))
                && found(&*self.store, *number).await.is_none()
            {
                self.flows.remove(number);
            }
        }
        // If a client has deleted the flow that the editor has removed, the editor may as well have removed this one instead.
        if let Some(number) = self.next_changed(edit.last).filter(|number| self.flows.contains_key(number))
            && edit.removed.iter().any(|(removed, _)| !self.flows.contains_key(removed))
            && found(&*self.store, number).await.is_none()
        {
            self.flows.remove(&number);
        }
        let mut now = BTreeMap::new();
        for stored in everything(&*self.store).await {
            let flow: Value = serde_json::from_str(stored.item.document().get()).unwrap();
            now.insert(number_of(&flow), values(&flow));
        }
        assert_eq!(now, self.flows, "{edit:?}, {reported}");
    }
}

#[derive(Debug)]
struct Edit {
    last: u64,
    changed: Option<u32>,
    removed: Vec<(u32, Expected)>,
    added: u32,
    value: u64,
}

async fn run(seed: u64) {
    let file = File::new();
    // A copy of the files during a rotation is not what a crash leaves.
    let has_crashes = seed.is_multiple_of(2);
    let settings = if has_crashes { hasty().with_journal_bytes(u64::MAX) } else { hasty() };
    let store = file.open_with(settings.clone()).await;
    let (flows, texts) = (BTreeMap::new(), Vec::new());
    let mut run = Run { chance: Chance::new(seed), file, store, flows, texts, log: Vec::new(), last: 0, last_id: 0 };
    for _ in 0..30 {
        let is_crash = has_crashes && run.chance.below(4) == 0;
        for _ in 0..=run.chance.below(4) {
            run.call().await;
        }
        run.read().await;
        // These calls may not be in the file yet.
        for _ in 0..run.chance.below(3) {
            run.call().await;
        }
        if is_crash {
            // After a crash, the store knows only the texts that it has written, and the last one.
            run.texts.retain(|text| !text.is_edited);
        }
        let Some((text, edit)) = run.edited() else { continue };
        if is_crash {
            let image = run.file.as_after_a_crash();
            image.write(text.to_string());
            run.store = image.open_with(settings.clone()).await;
            run.file = image;
        } else {
            let temporary = run.file.directory().join("edited");
            std::fs::write(&temporary, text.to_string()).unwrap();
            std::fs::rename(temporary, &run.file.path).unwrap();
            eventually("the edit is adopted", async || found(&*run.store, edit.added).await.is_some()).await;
        }
        run.check(&edit).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_random_edit_undoes_another_change() {
    let seeds = std::env::var("STROM_EDIT_SEEDS").map_or(4, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        println!("seed {seed}");
        run(seed).await;
    }
}
