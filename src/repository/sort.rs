//! The order of a list.

use std::str::FromStr;

use super::invalid_query::InvalidQuery;

/// The order of a list. The default is by name.
///
/// Flows are compared by the first key, then by the next. Flows that are equal in all keys are ordered by id, in the
/// direction of the last key. So the reverse of an order is its exact mirror image, and one index serves both.
///
/// ```
/// use strom_store::repository::{Sort, SortField};
///
/// let sort: Sort = "name,-updated_at".parse()?;
/// assert_eq!(sort.keys()[1].field, SortField::UpdatedAt);
/// assert!(sort.ends_descending());
/// # Ok::<(), strom_store::repository::InvalidQuery>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort(Vec<SortKey>);

impl Sort {
    /// Returns the keys: at least one, at most three, each field once.
    pub fn keys(&self) -> &[SortKey] {
        &self.0
    }

    /// Returns the direction of the last key, in which flows with equal keys are ordered by id.
    pub fn ends_descending(&self) -> bool {
        self.0.last().is_some_and(|key| key.descending)
    }
}

impl Default for Sort {
    fn default() -> Self {
        Self(vec![SortKey { field: SortField::Name, descending: false }])
    }
}

/// Parses `name`, `created_at` and `updated_at`, separated by commas. A `-` before a key reverses it.
impl FromStr for Sort {
    type Err = InvalidQuery;

    fn from_str(text: &str) -> Result<Self, InvalidQuery> {
        let mut keys: Vec<SortKey> = Vec::new();
        for key in text.split(',') {
            let name = key.strip_prefix('-').unwrap_or(key);
            let field = SortField::ALL.into_iter().find(|field| field.as_str() == name);
            let field = field.ok_or_else(|| InvalidQuery::UnknownSortKey(name.chars().take(64).collect()))?;
            if keys.iter().any(|key| key.field == field) {
                return Err(InvalidQuery::RepeatedSortKey(field.as_str()));
            }
            keys.push(SortKey { field, descending: key.starts_with('-') });
        }
        Ok(Self(keys))
    }
}

/// One key of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SortKey {
    /// The compared field.
    pub field: SortField,
    /// Whether the largest value comes first.
    pub descending: bool,
}

impl SortKey {
    /// Returns the key as in `sort=`: the field, with a `-` before it if the order is descending.
    pub(crate) fn as_str(self) -> &'static str {
        match (self.field, self.descending) {
            (SortField::Name, true) => "-name",
            (SortField::CreatedAt, true) => "-created_at",
            (SortField::UpdatedAt, true) => "-updated_at",
            (field, false) => field.as_str(),
        }
    }
}

/// A field by which a list can be sorted.
///
/// Exhaustive on purpose: a backend must support every field, so another one is a breaking change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortField {
    /// The name, by its bytes.
    Name,
    /// The time of the creation.
    CreatedAt,
    /// The time of the last revision.
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

#[cfg(test)]
mod tests {
    use super::{InvalidQuery, Sort};

    #[test]
    fn unknown_and_repeated_sort_keys_are_errors() {
        assert_eq!("name,-updated_at".parse::<Sort>().unwrap().keys()[1].as_str(), "-updated_at");
        assert_eq!("".parse::<Sort>().unwrap_err(), InvalidQuery::UnknownSortKey(String::new()));
        let twice = "name,-name".parse::<Sort>().unwrap_err();
        assert_eq!(twice.to_string(), "the sort key `name` occurs twice");
    }
}
