//! Search for a text in names.

use super::invalid_query::InvalidQuery;

/// A text that a name must contain, case-insensitively.
///
/// Case is that of Latin, Greek, Cyrillic and Armenian letters, one letter for one letter, independent of the server's
/// locale. PostgreSQL's `lower()` and `ILIKE` depend on the collation of the database, so two databases would return
/// different flows. The column `name_folded` contains the same mapping in SQL.
///
/// ```
/// use strom_store::repository::NamePart;
///
/// assert!(NamePart::parse("STRÖM")?.matches("Bildström 1"));
/// assert!(!NamePart::parse("a b")?.matches("ab"));
/// # Ok::<(), strom_store::repository::InvalidQuery>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePart(String);

impl NamePart {
    /// Returns the search for this text. Surrounding spaces are significant.
    ///
    /// # Errors
    /// [`InvalidQuery::NulInName`] for U+0000, which no name contains.
    pub fn parse(text: &str) -> Result<Self, InvalidQuery> {
        if text.contains('\0') {
            return Err(InvalidQuery::NulInName);
        }
        Ok(Self(fold(text)))
    }

    /// Returns the text in lower case.
    pub fn folded(&self) -> &str {
        &self.0
    }

    /// Returns whether the name contains the text, case-insensitively.
    pub fn matches(&self, name: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::NamePart;

    #[test]
    fn matching_ignores_case_in_four_alphabets() {
        let part = |text| NamePart::parse(text).unwrap();
        assert!(part("σΤΎΔΙΟ").matches("ΣΤΎΔΙΟ"));
        assert!(part("студия").matches("СТУДИЯ 2"));
        assert!(part("").matches("anything"));
        assert!(!part("i").matches("İ"), "one letter for one letter");
    }
}
