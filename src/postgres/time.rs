//! Times of the database that chrono cannot represent.

use chrono::{DateTime, Utc};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

use crate::repository::{TIME_LIMITS, limited};

/// The start of the year 2000, from which PostgreSQL counts, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

/// A `timestamptz`: microseconds since 2000. `infinity` and `-infinity` are the greatest and the smallest number.
///
/// sqlx decodes a column to `DateTime<Utc>` and panics if chrono cannot represent the time, such as `infinity` or the year
/// 294276. Every statement that reads a time therefore reads this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(i64);

/// Returns the time, or the nearest of the [`TIME_LIMITS`].
impl From<Time> for DateTime<Utc> {
    fn from(Time(number): Time) -> Self {
        let [earliest, latest] = TIME_LIMITS;
        let nearest = if number < 0 { earliest } else { latest };
        number.checked_add(EPOCH).and_then(DateTime::from_timestamp_micros).map_or(nearest, limited)
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(limited(time).timestamp_micros() - EPOCH)
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for Time {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => <i64 as Decode<Postgres>>::decode(value).map(Self),
            PgValueFormat::Text => Err("a time in the text format, which no prepared statement returns".into()),
        }
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode(self.0, buffer)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::Time;
    use crate::repository::TIME_LIMITS;

    #[test]
    fn every_time_of_the_database_has_a_nearest_time() {
        let [earliest, latest] = TIME_LIMITS;
        for (number, expected) in [
            (i64::MIN, earliest),
            (-211_813_488_000_000_000, earliest),
            (0, DateTime::from_timestamp(946_684_800, 0).unwrap()),
            // The last microsecond of the year 294276.
            (9_223_371_331_199_999_999, latest),
            (i64::MAX, latest),
        ] {
            assert_eq!(DateTime::<Utc>::from(Time(number)), expected, "{number}");
        }
        for time in TIME_LIMITS {
            assert_eq!(DateTime::from(Time::from(time)), time);
        }
    }
}
