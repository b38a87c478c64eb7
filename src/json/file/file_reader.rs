//! Reads a file of flows, one part at a time.
//!
//! The exact reader uses serde_json and reports what is wrong. It is slow. A regular file takes a tenth of the time: a splitter
//! cuts it into values, and several threads parse them.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::thread;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::splitter::{Splitter, Unexpected};
use crate::envelope::{self, Part};
use crate::flow::{Flow, Refusal};
use crate::json::journal::Hash;

/// Approximate size of the text that one thread parses at a time, in bytes.
const BATCH_BYTES: usize = 1 << 19;

/// A part of the file, in the order of the text.
pub(super) enum FilePart<'a> {
    /// An item of `flows`: its text, and the flow or why it cannot be stored.
    Flow(&'a str, Result<(Flow, Hash), Refusal>),
    /// The member `flows`, before its items.
    Flows,
    /// Another member: its name and the text of its value.
    Member(&'a str, &'a str),
}

/// Passes every part to `take`, in order, until `take` returns false. Then it returns an error without a meaning.
pub(super) fn read(file: impl Read, take: impl FnMut(FilePart<'_>) -> bool) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_reader(file);
    json.deserialize_map(Top(take))?;
    json.end()
}

struct Top<F>(F);

impl<'de, F: FnMut(FilePart<'_>) -> bool> Visitor<'de> for Top<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `version` and `flows`")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        envelope::read_members(map, |part| {
            let is_continued = (self.0)(match part {
                Part::Flows => FilePart::Flows,
                Part::Flow(text) => FilePart::Flow(text, parse(text)),
                Part::Member(name, value) => FilePart::Member(name, value),
            });
            if is_continued { Ok(()) } else { Err("stopped".to_owned()) }
        })
    }
}

fn parse(text: &str) -> Result<(Flow, Hash), Refusal> {
    Flow::parse(text)?.checked()
}

/// As [`read`], for a regular file only. After an error, the parts that were passed have no meaning.
pub(super) fn read_quickly(file: impl Read, mut take: impl FnMut(FilePart<'_>) -> bool) -> Result<(), Unexpected> {
    let mut splitter = Splitter::new(file);
    splitter.skip_mark()?;
    splitter.expect(b'{')?;
    loop {
        let name: String = serde_json::from_str(splitter.value()?).map_err(|_| Unexpected)?;
        splitter.expect(b':')?;
        let going = if name == "flows" {
            take(FilePart::Flows) && read_flows(&mut splitter, &mut take)?
        } else {
            let value = splitter.value()?;
            is_json(value) && take(FilePart::Member(&name, value))
        };
        if !going {
            return Err(Unexpected);
        }
        if !splitter.take(b',')? {
            break;
        }
    }
    splitter.expect(b'}')?;
    if splitter.peek()?.is_none() { Ok(()) } else { Err(Unexpected) }
}

fn read_flows(
    splitter: &mut Splitter<impl Read>,
    take: &mut impl FnMut(FilePart<'_>) -> bool,
) -> Result<bool, Unexpected> {
    splitter.expect(b'[')?;
    if splitter.take(b']')? {
        return Ok(true);
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let mut parsing = VecDeque::new();
        let mut show = |batch: thread::ScopedJoinHandle<'_, Option<Vec<Parsed>>>| {
            let batch = batch.join().ok().flatten().ok_or(Unexpected)?;
            Ok::<_, Unexpected>(batch.into_iter().all(|(text, read)| take(FilePart::Flow(&text, read))))
        };
        let mut is_last = false;
        while !is_last {
            let batch;
            (batch, is_last) = next_batch(splitter)?;
            if parsing.len() == threads
                && let Some(first) = parsing.pop_front()
                && !show(first)?
            {
                return Ok(false);
            }
            parsing.push_back(scope.spawn(move || parse_all(batch)));
        }
        for batch in parsing {
            if !show(batch)? {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

type Parsed = (Box<str>, Result<(Flow, Hash), Refusal>);

/// Takes the next batch of flows. Also returns whether it is the last batch.
fn next_batch(splitter: &mut Splitter<impl Read>) -> Result<(Vec<Box<str>>, bool), Unexpected> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES {
        let text = splitter.value()?;
        bytes += text.len();
        batch.push(text.into());
        if !splitter.take(b',')? {
            splitter.expect(b']')?;
            return Ok((batch, true));
        }
    }
    Ok((batch, false))
}

/// Parses a batch. Returns `None` if a text is not JSON: then the store rejects the file instead of quarantining the flow.
fn parse_all(batch: Vec<Box<str>>) -> Option<Vec<Parsed>> {
    let parsed = batch.into_iter().map(|text| {
        let read = parse(&text);
        (read.is_ok() || is_json(&text)).then_some((text, read))
    });
    parsed.collect()
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}
