//! Points in time as microseconds since the Unix epoch, the unit of every time in the store.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(i64);

impl Micros {
    pub const SECOND: i64 = 1_000_000;
    pub const MINUTE: i64 = 60 * Self::SECOND;
    pub const HOUR: i64 = 60 * Self::MINUTE;
    pub const DAY: i64 = 24 * Self::HOUR;

    #[must_use]
    pub const fn new(micros: i64) -> Self {
        Self(micros)
    }

    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(Self::SECOND)
    }

    #[must_use]
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to `self`, zero when the clock went backwards.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }

    #[must_use]
    pub fn from_datetime(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }

    #[must_use]
    pub fn datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// RFC 3339 with whole seconds in UTC: `2026-11-23T08:05:06Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.datetime().to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// The UTC day, as `YYYY-MM-DD`: the key of daily rollups.
    #[must_use]
    pub fn day(self) -> String {
        self.datetime().date_naive().to_string()
    }

    /// Midnight UTC at the start of `date`.
    #[must_use]
    pub fn start_of(date: NaiveDate) -> Self {
        Self::from_datetime(date.and_time(chrono::NaiveTime::MIN).and_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_knows_its_day_and_second() {
        let time = Micros::new(1_795_421_106_999_999);
        assert_eq!(time.rfc3339(), "2026-11-23T08:05:06Z");
        assert_eq!(time.day(), "2026-11-23");
        assert_eq!(time.seconds(), 1_795_421_106);
        assert_eq!(time.since(time.plus(5)), 0);
    }
}
