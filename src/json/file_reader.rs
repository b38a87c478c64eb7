//! Walks through a file of flows, one part at a time.
//!
//! A document may be nested as deep as our own reader allows, and in the file it is two levels deeper; so the top is
//! read by serde_json, which does not descend into raw values.

use std::fmt;
use std::io::Read;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What the file holds at this place.
pub(super) enum Part<'a> {
    /// An element of `flows`.
    Flow(&'a RawValue),
    /// The member `flows`, before its elements.
    Flows,
    /// Another member.
    Member(&'a str, &'a RawValue),
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
                go_on((self.0)(Part::Member(&name, &value)))?;
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
            go_on((self.0)(Part::Flow(&flow)))?;
        }
        Ok(())
    }
}

fn go_on<E: Error>(going: bool) -> Result<(), E> {
    if going { Ok(()) } else { Err(E::custom("stopped")) }
}
