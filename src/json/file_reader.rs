//! Walks through a file of flows, one part at a time.
//!
//! A document may be nested as deep as our own reader allows, and in the file it is two levels deeper; so the top is
//! read by serde_json, which does not descend into raw values. It is exact in what it refuses, and slow; a file that is as it
//! should be is read by a splitter and several threads, in a tenth of the time.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::thread;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::splitter::{Splitter, Unexpected};
use super::state::Hash;
use crate::flow::{Flow, Refusal};

/// How much text a thread parses at a time, about.
const BATCH_BYTES: usize = 1 << 19;

/// What the file holds at this place.
pub(super) enum Part<'a> {
    /// An element of `flows`: its text, and what was read there.
    Flow(&'a str, Result<(Flow, Hash), Refusal>),
    /// The member `flows`, before its elements.
    Flows,
    /// Another member.
    Member(&'a str, &'a str),
}

/// Shows every part in its order, until `take` says no. The error of a walk that was stopped means nothing.
pub(super) fn read(file: impl Read, take: impl FnMut(Part<'_>) -> bool) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_reader(file);
    json.deserialize_map(Top(take))?;
    json.end()
}

struct Top<F>(F);

impl<'de, F: FnMut(Part<'_>) -> bool> Visitor<'de> for Top<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `version` and `flows`")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "flows" {
                go_on((self.0)(Part::Flows))?;
                map.next_value_seed(Flows(&mut self.0))?;
            } else {
                let value: Box<RawValue> = map.next_value()?;
                go_on((self.0)(Part::Member(&name, value.get())))?;
            }
        }
        Ok(())
    }
}

struct Flows<'f, F>(&'f mut F);

impl<'de, F: FnMut(Part<'_>) -> bool> DeserializeSeed<'de> for Flows<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Part<'_>) -> bool> Visitor<'de> for Flows<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`$.flows` to be an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut flows: A) -> Result<(), A::Error> {
        while let Some(flow) = flows.next_element::<Box<RawValue>>()? {
            go_on((self.0)(Part::Flow(flow.get(), parse(flow.get()))))?;
        }
        Ok(())
    }
}

fn go_on<E: Error>(going: bool) -> Result<(), E> {
    if going { Ok(()) } else { Err(E::custom("stopped")) }
}

fn parse(text: &str) -> Result<(Flow, Hash), Refusal> {
    Flow::parse(text)?.checked()
}

/// As [`read`], for a file that is as it should be. After an error everything that was shown means nothing.
pub(super) fn read_quickly(file: impl Read, mut take: impl FnMut(Part<'_>) -> bool) -> Result<(), Unexpected> {
    let mut splitter = Splitter::new(file);
    splitter.skip_mark()?;
    splitter.expect(b'{')?;
    loop {
        let name: String = serde_json::from_str(splitter.value()?).map_err(|_| Unexpected)?;
        splitter.expect(b':')?;
        let going = if name == "flows" {
            take(Part::Flows) && read_flows(&mut splitter, &mut take)?
        } else {
            let value = splitter.value()?;
            is_json(value) && take(Part::Member(&name, value))
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

fn read_flows(splitter: &mut Splitter<impl Read>, take: &mut impl FnMut(Part<'_>) -> bool) -> Result<bool, Unexpected> {
    splitter.expect(b'[')?;
    if splitter.take(b']')? {
        return Ok(true);
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let mut parsing = VecDeque::new();
        let mut show = |batch: thread::ScopedJoinHandle<'_, Option<Vec<Parsed>>>| {
            let batch = batch.join().ok().flatten().ok_or(Unexpected)?;
            Ok::<_, Unexpected>(batch.into_iter().all(|(text, read)| take(Part::Flow(&text, read))))
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

/// The next flows, and whether they are the last ones.
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

/// `None` where a text is no JSON, which is no reason to put the flow aside but one to refuse the file.
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
