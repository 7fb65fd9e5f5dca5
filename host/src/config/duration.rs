//! Lengths of time: a whole number and a unit, so that nobody takes seconds for milliseconds.

use std::time::Duration;

use super::leaf::{Leaf, quoted};
use super::reader::Item;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// The duration that `text` spells: `250ms`, `30s`, `10m`, `2h`, `7d`.
///
/// # Errors
///
/// What is wrong with it, to be put behind the text.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("starts with no number");
    }
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err("has no unit (ms, s, m, h, d)");
    }
    let Some((_, ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err("has an unknown unit (known are ms, s, m, h, d)");
    };
    let total = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*ms))
        .filter(|total| *total <= 100 * 366 * 86_400_000);
    match total {
        Some(total) => Ok(Duration::from_millis(total)),
        None => Err("is longer than 100 years"),
    }
}

/// `duration` in the largest unit that keeps it whole.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (name, unit) = UNITS
        .iter()
        .rev()
        .find(|(_, unit)| ms >= *unit && ms.is_multiple_of(*unit))
        .unwrap_or(&UNITS[1]);
    format!("{}{name}", ms / unit)
}

impl Leaf for Duration {
    fn read(item: &Item<'_>) -> Option<Self> {
        let Some(text) = item.text() else {
            return item.expected("a duration like \"30s\"");
        };
        match parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(wrong) => item.wrong(format_args!(
                "expected a duration like \"30s\", but {text:?} {wrong}"
            )),
        }
    }

    fn shown(&self) -> String {
        quoted(&format_duration(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_alike() {
        let check = |text: &str, ms: u64, printed: &str| {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
            assert_eq!(format_duration(Duration::from_millis(ms)), printed);
        };
        check("0s", 0, "0s");
        check("250ms", 250, "250ms");
        check("90s", 90_000, "90s");
        check("60s", 60_000, "1m");
        check("10 m", 600_000, "10m");
        check("2h", 7_200_000, "2h");
        check("48h", 172_800_000, "2d");
        check("7d", 604_800_000, "7d");
    }

    #[test]
    fn a_duration_needs_a_number_and_a_unit() {
        for bad in [
            "",
            "s",
            "30",
            "1.5s",
            "-1s",
            "5 minutes",
            "1h30m",
            "99999999999d",
        ] {
            assert!(
                parse_duration(bad).is_err(),
                "{bad:?} was taken for a duration"
            );
        }
    }
}
