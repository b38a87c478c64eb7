//! The range of times that every part of the system can represent.

use chrono::{DateTime, Utc};

/// The earliest and the latest time: the years 1 to 9999, which RFC 3339 and PostgreSQL can both write.
///
/// A row of a database can contain another time, such as `infinity`. A backend then returns the nearest of these two, so
/// that the flow stays usable, and `strom check` reports the flow.
pub const TIME_LIMITS: [DateTime<Utc>; 2] = [at(-62_135_596_800, 0), at(253_402_300_799, 999_999_000)];

/// Returns whether a stored time is at or beyond the [`TIME_LIMITS`], so that it cannot be the time of a change.
pub fn is_beyond_limits(time: DateTime<Utc>) -> bool {
    time <= TIME_LIMITS[0] || time >= TIME_LIMITS[1]
}

/// Returns the time, or the nearest of the [`TIME_LIMITS`].
pub(crate) fn limited(time: DateTime<Utc>) -> DateTime<Utc> {
    time.clamp(TIME_LIMITS[0], TIME_LIMITS[1])
}

const fn at(seconds: i64, nanoseconds: u32) -> DateTime<Utc> {
    match DateTime::from_timestamp(seconds, nanoseconds) {
        Some(time) => time,
        None => panic!("the limits are valid times"),
    }
}

#[cfg(test)]
mod tests {
    use super::{TIME_LIMITS, is_beyond_limits};

    #[test]
    fn limits_are_the_years_1_to_9999() {
        let [first, last] = TIME_LIMITS.map(|time| time.to_rfc3339());
        assert_eq!([first.as_str(), &last], ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"]);
        assert!(TIME_LIMITS.into_iter().all(is_beyond_limits));
        assert!(!is_beyond_limits(chrono::DateTime::UNIX_EPOCH));
    }
}
