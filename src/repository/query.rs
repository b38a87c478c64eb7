//! Which flows, in which order, how many.

use std::str::FromStr;

use serde_json::value::RawValue;

use super::Cursor;
use crate::flow::{GstState, Node, Refusal};

/// Which flows to list, in which order, how many. The default is all of them by name.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Which flows.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// At most this many; `None` gives all.
    pub limit: Option<u32>,
    /// Only those behind this one, of an earlier page of the same order.
    pub after: Option<Cursor>,
    /// Whether to count all flows that pass the filter, on whatever page.
    pub count: bool,
}

/// Which flows to list: those that pass every condition.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those in this state.
    pub state: Option<GstState>,
    /// Those that do, or do not, start by themselves.
    pub auto_restart: Option<bool>,
    /// Those whose name contains this.
    pub name: Option<NamePart>,
    /// Those whose document contains this.
    pub contains: Option<Containment>,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
    /// How many pass the filter in all, when that was asked.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// The same page with another view of what is on it.
    pub fn map<U>(self, view: impl FnMut(T) -> U) -> Page<U> {
        let Self { items, next, total } = self;
        Page { items: items.into_iter().map(view).collect(), next, total }
    }
}

/// A part of a name, in any case.
///
/// Case is that of Latin, Greek, Cyrillic and Armenian letters, one letter for one letter, whatever the locale of the
/// server. PostgreSQL's `lower()` and `ILIKE` depend on the database's collation, so two databases would give two
/// answers. The column `name_folded` is the same mapping in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePart(String);

impl NamePart {
    /// The part to look for; surrounding blanks count.
    ///
    /// # Errors
    /// [`InvalidQuery`] for U+0000, which no name holds.
    pub fn parse(text: &str) -> Result<Self, InvalidQuery> {
        if text.contains('\0') {
            return Err(InvalidQuery::NulInName);
        }
        Ok(Self(fold(text)))
    }

    /// The part, folded to lower case.
    pub(crate) fn folded(&self) -> &str {
        &self.0
    }

    /// Whether the name contains it.
    pub(crate) fn matches(&self, name: &str) -> bool {
        fold(name).contains(&self.0)
    }
}

fn fold(text: &str) -> String {
    let fold_char = |c: char| {
        let mut lower = c.to_lowercase();
        match (c, lower.next(), lower.next()) {
            ('\0'..='\u{58f}' | '\u{1e00}'..='\u{1eff}', Some(lower), None) => lower,
            _ => c,
        }
    };
    text.chars().map(fold_char).collect()
}

/// A JSON value that documents must contain, by the rules of PostgreSQL's `@>`.
/// Source: <https://www.postgresql.org/docs/current/datatype-json.html#JSON-CONTAINMENT>.
#[derive(Debug, Clone)]
pub struct Containment(Box<RawValue>);

impl Containment {
    /// Reads the value.
    ///
    /// # Errors
    /// A [`Refusal`] when it is no JSON or holds what no document can hold.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let compact = Node::parse(text)?.to_compact();
        Ok(Self(RawValue::from_string(compact).expect("the printer writes JSON")))
    }

    pub(crate) fn as_raw(&self) -> &RawValue {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.get()
    }
}

/// The order of a list: by one key, then the next; flows that are equal in all of them by id, in the direction of the
/// last key, so that an order and its reverse are each other's mirror image and one index serves both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort(Vec<SortKey>);

impl Sort {
    /// Its keys: at least one, at most three, none twice.
    pub fn keys(&self) -> &[SortKey] {
        &self.0
    }

    /// The direction of the last key, which is that of the id behind it.
    pub(crate) fn ends_descending(&self) -> bool {
        self.0.last().is_some_and(|key| key.descending)
    }
}

/// By name.
impl Default for Sort {
    fn default() -> Self {
        Self(vec![SortKey { field: SortField::Name, descending: false }])
    }
}

/// Takes `name`, `created_at` and `updated_at`, joined by commas; a `-` before one turns it round.
impl FromStr for Sort {
    type Err = InvalidQuery;

    fn from_str(text: &str) -> Result<Self, InvalidQuery> {
        let mut keys: Vec<SortKey> = Vec::new();
        for key in text.split(',') {
            let name = key.strip_prefix('-').unwrap_or(key);
            let field = SortField::ALL.into_iter().find(|field| field.as_str() == name);
            let field = field.ok_or_else(|| InvalidQuery::UnknownSortKey(name.chars().take(64).collect()))?;
            if keys.iter().any(|key| key.field == field) {
                return Err(InvalidQuery::RepeatedSortKey(field));
            }
            keys.push(SortKey { field, descending: key.starts_with('-') });
        }
        Ok(Self(keys))
    }
}

/// One key of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// What to compare.
    pub field: SortField,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl SortKey {
    /// As in `sort=`: the field, with a `-` before it when descending.
    pub(crate) fn as_str(self) -> &'static str {
        match (self.field, self.descending) {
            (SortField::Name, true) => "-name",
            (SortField::CreatedAt, true) => "-created_at",
            (SortField::UpdatedAt, true) => "-updated_at",
            (field, false) => field.as_str(),
        }
    }
}

/// What a list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortField {
    /// The name, by its bytes.
    Name,
    /// The time of creation.
    CreatedAt,
    /// The time of the last change.
    UpdatedAt,
}

impl SortField {
    const ALL: [Self; 3] = [Self::Name, Self::CreatedAt, Self::UpdatedAt];

    fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }
}

/// A query that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQuery {
    /// A sort key we do not know.
    #[error("flows are sorted by `name`, `created_at` or `updated_at`, not by `{0}`")]
    UnknownSortKey(String),
    /// The same sort key twice.
    #[error("the sort key `{}` is given twice", .0.as_str())]
    RepeatedSortKey(SortField),
    /// U+0000 in a part of a name.
    #[error("no name holds the character U+0000")]
    NulInName,
}

#[cfg(test)]
mod tests {
    use super::{InvalidQuery, NamePart, Sort};

    #[test]
    fn case_does_not_matter_in_four_alphabets() {
        let part = |text| NamePart::parse(text).unwrap();
        assert!(part("STRÖM").matches("Bildström 1"));
        assert!(part("σΤΎΔΙΟ").matches("ΣΤΎΔΙΟ"));
        assert!(part("студия").matches("СТУДИЯ 2"));
        assert!(part("").matches("anything"));
        assert!(!part("a b").matches("ab"));
        assert!(!part("i").matches("İ"), "one letter for one letter");
    }

    #[test]
    fn sort_keys_are_checked() {
        assert_eq!("name,-updated_at".parse::<Sort>().unwrap().keys()[1].as_str(), "-updated_at");
        assert_eq!("".parse::<Sort>().unwrap_err(), InvalidQuery::UnknownSortKey(String::new()));
        let twice = "name,-name".parse::<Sort>().unwrap_err();
        assert_eq!(twice.to_string(), "the sort key `name` is given twice");
    }
}
