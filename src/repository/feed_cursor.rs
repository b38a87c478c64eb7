//! Positions in the change feed.

use std::fmt;
use std::str::FromStr;

/// A position in the change feed of one store. Cursors compare in the order of the feed.
///
/// Clients treat a cursor as opaque: it prints as URL-safe text and parses from it. Only the backend that returned it
/// interprets its parts.
///
/// ```
/// use strom_store::repository::FeedCursor;
///
/// let cursor: FeedCursor = "7.0.42".parse()?;
/// assert_eq!(cursor.to_string(), "7.0.42");
/// assert!(cursor < FeedCursor::new(7, 0, 43));
/// # Ok::<(), strom_store::repository::InvalidFeedCursor>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedCursor {
    pub(crate) log: u64,
    /// In PostgreSQL, the horizon of the transaction (migrations/0004); 0 in a file.
    pub(crate) transaction: u64,
    pub(crate) number: u64,
}

impl FeedCursor {
    /// The position of a record that is not in a feed, such as a record of an archive. Every store rejects it.
    pub const NOWHERE: Self = Self { log: u64::MAX, transaction: u64::MAX, number: u64::MAX };

    /// Returns a cursor, for backends. Cursors compare by `log`, then `transaction`, then `number`. None of them may
    /// exceed `i64::MAX`. A store without transaction ids uses 0 for `transaction`.
    pub const fn new(log: u64, transaction: u64, number: u64) -> Self {
        Self { log, transaction, number }
    }

    /// Returns the id of the log. A store that loses its log starts another one with another id.
    pub const fn log(self) -> u64 {
        self.log
    }

    /// Returns the position of the transaction in the log.
    pub const fn transaction(self) -> u64 {
        self.transaction
    }

    /// Returns the position of the change in the transaction.
    pub const fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.log, self.transaction, self.number)
    }
}

/// Parses the text that `Display` prints.
impl FromStr for FeedCursor {
    type Err = InvalidFeedCursor;

    fn from_str(text: &str) -> Result<Self, InvalidFeedCursor> {
        let number = |part: &str| {
            // PostgreSQL counts in signed numbers. `parse` would accept a sign, which `Display` never prints.
            let number = part.parse().ok().filter(|number| i64::try_from(*number).is_ok());
            number.filter(|_| part.bytes().all(|byte| byte.is_ascii_digit())).ok_or(InvalidFeedCursor)
        };
        match *text.split('.').collect::<Vec<_>>() {
            [log, transaction, position] => {
                Ok(Self { log: number(log)?, transaction: number(transaction)?, number: number(position)? })
            }
            _ => Err(InvalidFeedCursor),
        }
    }
}

/// A text that is not a cursor of a change feed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of the change feed; start with `0` or without a cursor")]
pub struct InvalidFeedCursor;

#[cfg(test)]
mod tests {
    use super::{FeedCursor, InvalidFeedCursor};

    #[test]
    fn only_printed_cursors_parse() {
        let cursor = FeedCursor { log: 7, transaction: 0, number: i64::MAX as u64 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "0", "1.2", "1.2.3.4", "1.+2.3", "1.2.", "-1.2.3", "1.2.9223372036854775808"] {
            assert_eq!(text.parse::<FeedCursor>(), Err(InvalidFeedCursor), "{text}");
        }
    }
}
