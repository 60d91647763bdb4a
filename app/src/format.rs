//! How numbers, times and sizes are written for people. No locales: the server and the browser write the same text.

use domain::time::Micros;

/// `1234567` → `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1234567` → `1.2M`: three significant places at most, cut rather than rounded up.
#[must_use]
pub fn short(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "T"),
        (1_000_000_000, "B"),
        (1_000_000, "M"),
        (1_000, "K"),
    ];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| number >= *unit) else {
        return number.to_string();
    };
    let whole = number / unit;
    let tenth = number % unit / (unit / 10);
    if whole >= 100 || tenth == 0 {
        format!("{whole}{name}")
    } else {
        format!("{whole}.{tenth}{name}")
    }
}

/// A context length as vendors write it: `128K` for both 128,000 and 131,072.
#[must_use]
pub fn context(tokens: u64) -> String {
    if tokens < 1_000_000 && tokens.is_multiple_of(1024) && !tokens.is_multiple_of(1000) {
        format!("{}K", tokens / 1024)
    } else {
        short(tokens)
    }
}

/// `2026-11-23 08:05`, in UTC.
#[must_use]
pub fn minute(time: Micros) -> String {
    let text = time.rfc3339();
    format!(
        "{} {}",
        text.get(..10).unwrap_or_default(),
        text.get(11..16).unwrap_or_default()
    )
}

/// Microseconds as `840 ms` or `12.3 s`.
#[must_use]
pub fn duration(micros: i64) -> String {
    let millis = micros.max(0) / 1_000;
    if millis < 1_000 {
        format!("{millis} ms")
    } else {
        format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
    }
}

/// Tokens per second with one place, or `None` when no time passed.
#[must_use]
pub fn speed(tokens: u64, micros: i64) -> Option<String> {
    let micros = u64::try_from(micros).ok().filter(|micros| *micros > 0)?;
    let tenths = u128::from(tokens) * 10_000_000 / u128::from(micros);
    Some(format!("{}.{} tok/s", tenths / 10, tenths % 10))
}

/// A share of `whole` in percent with one place: `12.5%`.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// `1 model`, `2 models`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [grouped(7), grouped(1_000), grouped(1_234_567)],
            ["7", "1,000", "1,234,567"]
        );
        assert_eq!(
            [short(999), short(1_250), short(128_000), short(2_000_000)],
            ["999", "1.2K", "128K", "2M"]
        );
        assert_eq!(
            [context(131_072), context(128_000), context(256_000), context(1_048_576)],
            ["128K", "128K", "256K", "1M"]
        );
        assert_eq!([percent(1, 8), percent(0, 0)], ["12.5%", "0.0%"]);
        assert_eq!([count(1, "model"), count(2, "model")], ["1 model", "2 models"]);
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(minute(Micros::new(1_795_421_106_999_999)), "2026-11-23 08:05");
        assert_eq!([duration(840_000), duration(12_345_678)], ["840 ms", "12.3 s"]);
        assert_eq!(speed(100, 2_000_000).as_deref(), Some("50.0 tok/s"));
        assert_eq!(speed(100, 0), None);
    }
}
