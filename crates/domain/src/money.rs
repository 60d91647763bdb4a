//! Money as integers: nano-dollars in the ledger, pico-dollars in price lists.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Nano-dollars (1e-9 USD): the unit of every balance, hold and charge. The range of `i64` is ±9.2 billion dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(i64);

/// Pico-dollars (1e-12 USD) for one unit (a token, a request, an image): the unit of every price.
/// One pico-dollar per token is one micro-dollar per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PicoUsd(i64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseMoneyError {
    #[error("write an amount like 12.50")]
    NotANumber,
    #[error("at most {0} digits after the point")]
    TooFine(usize),
    #[error("the amount is too large")]
    TooLarge,
}

impl NanoUsd {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(i64::MAX);
    const DIGITS: usize = 9;

    #[must_use]
    pub const fn new(nano: i64) -> Self {
        Self(nano)
    }

    /// Whole cents, as payment processors count.
    #[must_use]
    pub fn from_cents(cents: i64) -> Option<Self> {
        cents.checked_mul(10_000_000).map(Self)
    }

    /// Whole cents, or `None` when the amount is not a whole number of cents.
    #[must_use]
    pub fn to_cents(self) -> Option<i64> {
        (self.0.checked_rem(10_000_000) == Some(0))
            .then(|| self.0.checked_div(10_000_000))
            .flatten()
    }

    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    #[must_use]
    pub fn negated(self) -> Self {
        Self(self.0.saturating_neg())
    }

    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Parses dollars written in decimal, such as `12.5` or `0.000000001`; no floats are involved.
    pub fn parse_usd(text: &str) -> Result<Self, ParseMoneyError> {
        parse_decimal(text, Self::DIGITS).map(Self)
    }

    /// Dollars in decimal without trailing zeros (`0.00001275`): exact, and valid as a JSON number.
    #[must_use]
    pub fn to_decimal(self) -> String {
        format_decimal(self.0, Self::DIGITS, 0)
    }

    /// Dollars for people: a dollar sign, two digits, and more only where they are not zero.
    #[must_use]
    pub fn to_dollars(self) -> String {
        let text = format_decimal(self.0, Self::DIGITS, 2);
        match text.strip_prefix('-') {
            Some(positive) => format!("−${positive}"),
            None => format!("${text}"),
        }
    }
}

impl PicoUsd {
    pub const ZERO: Self = Self(0);
    const DIGITS: usize = 12;

    #[must_use]
    pub const fn new(pico: i64) -> Self {
        Self(pico)
    }

    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Parses dollars per unit, such as `0.0000015`.
    pub fn parse_usd(text: &str) -> Result<Self, ParseMoneyError> {
        parse_decimal(text, Self::DIGITS).map(Self)
    }

    /// Dollars per unit in decimal without trailing zeros: the form of price strings in the API.
    #[must_use]
    pub fn to_decimal(self) -> String {
        format_decimal(self.0, Self::DIGITS, 0)
    }

    /// Dollars per million units, for people: `$0.135`.
    #[must_use]
    pub fn per_million(self) -> String {
        format!("${}", format_decimal(self.0, 6, 2))
    }
}

impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_dollars())
    }
}

impl std::iter::Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Self::saturating_add)
    }
}

fn parse_decimal(text: &str, digits: usize) -> Result<i64, ParseMoneyError> {
    let text = text.trim();
    let text = text.strip_prefix('$').unwrap_or(text);
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return Err(ParseMoneyError::NotANumber);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > digits {
        return Err(ParseMoneyError::TooFine(digits));
    }
    format!("{sign}{whole}{fraction:0<digits$}")
        .parse()
        .map_err(|_| ParseMoneyError::TooLarge)
}

fn format_decimal(value: i64, digits: usize, digits_min: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let magnitude = value.unsigned_abs().to_string();
    let padded = format!("{magnitude:0>width$}", width = digits.saturating_add(1));
    let (whole, fraction) = padded.split_at(padded.len().saturating_sub(digits));
    let fraction = fraction.trim_end_matches('0');
    let fraction = format!("{fraction:0<digits_min$}");
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_parse(text: &str, nano: &Result<i64, ParseMoneyError>) {
        assert_eq!(&NanoUsd::parse_usd(text).map(NanoUsd::get), nano, "{text}");
    }

    #[test]
    fn dollars_are_parsed_without_floats() {
        check_parse("12.5", &Ok(12_500_000_000));
        check_parse("$0.000000001", &Ok(1));
        check_parse("-3", &Ok(-3_000_000_000));
        check_parse("5.10000000000000", &Ok(5_100_000_000));
        check_parse("", &Err(ParseMoneyError::NotANumber));
        check_parse(".", &Err(ParseMoneyError::NotANumber));
        check_parse("1e3", &Err(ParseMoneyError::NotANumber));
        check_parse("0.0000000001", &Err(ParseMoneyError::TooFine(9)));
        check_parse("99999999999999", &Err(ParseMoneyError::TooLarge));
    }

    #[test]
    fn amounts_are_written_exactly() {
        assert_eq!(NanoUsd::new(12_750).to_decimal(), "0.00001275");
        assert_eq!(NanoUsd::new(5_000_000_000).to_dollars(), "$5.00");
        assert_eq!(NanoUsd::new(-1_234_500_000).to_dollars(), "−$1.2345");
        assert_eq!(PicoUsd::new(135_000).per_million(), "$0.135");
        assert_eq!(PicoUsd::new(135_000).to_decimal(), "0.000000135");
    }

    proptest! {
        #[test]
        fn decimal_round_trips(nano in any::<i64>()) {
            prop_assume!(nano != i64::MIN);
            prop_assert_eq!(NanoUsd::parse_usd(&NanoUsd::new(nano).to_decimal()), Ok(NanoUsd::new(nano)));
        }
    }
}
