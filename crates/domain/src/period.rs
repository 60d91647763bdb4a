//! Periods after which a key's limit starts anew: UTC, weeks from Monday.

use crate::time::Micros;
use chrono::{Datelike, Days, NaiveDate};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    Daily,
    Weekly,
    Monthly,
}

impl Period {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Daily, Self::Weekly, Self::Monthly]
            .into_iter()
            .find(|period| period.name() == text)
    }

    /// The start of the period that `now` lies in.
    #[must_use]
    pub fn start(self, now: Micros) -> Micros {
        Micros::start_of(self.start_date(now))
    }

    /// The start of the next period: when the limit starts anew.
    #[must_use]
    pub fn next(self, now: Micros) -> Micros {
        let start = self.start_date(now);
        let days = match self {
            Self::Daily => 1,
            Self::Weekly => 7,
            Self::Monthly => return Micros::start_of(first_of_next_month(start)),
        };
        Micros::start_of(start.checked_add_days(Days::new(days)).unwrap_or(start))
    }

    fn start_date(self, now: Micros) -> NaiveDate {
        let today = now.datetime().date_naive();
        match self {
            Self::Daily => today,
            Self::Weekly => {
                let since_monday = u64::from(today.weekday().num_days_from_monday());
                today.checked_sub_days(Days::new(since_monday)).unwrap_or(today)
            }
            Self::Monthly => today.with_day(1).unwrap_or(today),
        }
    }
}

fn first_of_next_month(first: NaiveDate) -> NaiveDate {
    first.checked_add_months(chrono::Months::new(1)).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(period: Period, now: &str, start: &str, next: &str) {
        let now = Micros::from_datetime(now.parse().unwrap());
        assert_eq!(
            (
                period.start(now).rfc3339().as_str(),
                period.next(now).rfc3339().as_str()
            ),
            (start, next)
        );
    }

    #[test]
    fn periods_start_at_midnight_utc_and_weeks_on_monday() {
        let now = "2026-11-22T23:59:59Z";
        check(Period::Daily, now, "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
        check(Period::Weekly, now, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
        check(
            Period::Weekly,
            "2026-11-23T00:00:00Z",
            "2026-11-23T00:00:00Z",
            "2026-11-30T00:00:00Z",
        );
        check(
            Period::Monthly,
            "2026-12-31T12:00:00Z",
            "2026-12-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        );
    }
}
