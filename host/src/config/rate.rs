//! How much a provider allows: windows for the pacer, a quota for the plan.

use std::fmt;
use std::time::Duration;

use super::duration::{format_duration, parse_duration};
use super::leaf::{Leaf, quoted};
use super::reader::Item;

/// At most `count` calls in any stretch of `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Calls; at least 1.
    pub count: u32,
    /// Length of the window; never zero.
    pub per: Duration,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = format_duration(self.per);
        // "5/1s" is written "5/s".
        let per = match per.strip_prefix('1') {
            Some(unit) if unit.bytes().all(|byte| byte.is_ascii_alphabetic()) => unit,
            _ => &per,
        };
        write!(f, "{}/{per}", self.count)
    }
}

/// Why a text is no window or quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount per time")]
pub struct ParseRateError(String);

impl std::str::FromStr for Window {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseRateError(text.to_owned());
        let (count, per) = text.split_once('/').ok_or_else(bad)?;
        let (count, per) = (count.trim(), per.trim());
        let per = if per.starts_with(|first: char| first.is_ascii_digit()) {
            parse_duration(per)
        } else {
            parse_duration(&format!("1{per}"))
        };
        match (count.parse(), per) {
            (Ok(count), Ok(per)) if count > 0 && !per.is_zero() => Ok(Self { count, per }),
            _ => Err(bad()),
        }
    }
}

impl Leaf for Window {
    fn read(item: &Item<'_>) -> Option<Self> {
        match item.text().map(str::parse) {
            Some(Ok(window)) => Some(window),
            _ => item.expected("a limit like \"30/s\", \"700/h\" or \"10000/5m\""),
        }
    }

    fn shown(&self) -> String {
        quoted(&self.to_string())
    }
}

/// The span after which a quota starts anew, by the calendar in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaPeriod {
    /// At midnight.
    Day,
    /// On the first of the month.
    Month,
}

/// What a plan or a key allows in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Calls; at least 1.
    pub count: u32,
    /// Until when.
    pub period: QuotaPeriod,
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = match self.period {
            QuotaPeriod::Day => "day",
            QuotaPeriod::Month => "month",
        };
        write!(f, "{}/{period}", self.count)
    }
}

impl std::str::FromStr for Quota {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseRateError(text.to_owned());
        let (count, period) = text.split_once('/').ok_or_else(bad)?;
        let period = match period.trim() {
            "day" | "d" => QuotaPeriod::Day,
            "month" => QuotaPeriod::Month,
            _ => return Err(bad()),
        };
        match count.trim().parse() {
            Ok(count) if count > 0 => Ok(Self { count, period }),
            _ => Err(bad()),
        }
    }
}

impl Leaf for Quota {
    fn read(item: &Item<'_>) -> Option<Self> {
        match item.text().map(str::parse) {
            Some(Ok(quota)) => Some(quota),
            _ => item.expected("a quota like \"100000/day\" or \"500000/month\""),
        }
    }

    fn shown(&self) -> String {
        quoted(&self.to_string())
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio(pub(super) f64);

impl Leaf for Ratio {
    fn read(item: &Item<'_>) -> Option<Self> {
        let typed = item.typed();
        let ratio = match typed.to_num() {
            Some(num) => num.to_f64().or_else(|| num.to_i128().map(|_| whole(num))),
            None => None,
        };
        match ratio {
            Some(ratio) if (0.0..=1.0).contains(&ratio) => Some(Self(ratio)),
            _ => item.expected("a ratio from 0 to 1, like 0.5"),
        }
    }

    fn shown(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// A whole number is a ratio only when it is 0 or 1.
fn whole(num: figment::value::Num) -> f64 {
    match num.to_i128() {
        Some(0) => 0.0,
        Some(1) => 1.0,
        _ => f64::NAN,
    }
}

/// A share in percent, written `"0.5%"`: the sign keeps it from being taken for a ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percent(pub(super) f64);

impl Leaf for Percent {
    fn read(item: &Item<'_>) -> Option<Self> {
        let number = item.text().and_then(|text| text.strip_suffix('%'));
        let number = number.and_then(|number| number.trim().parse::<f64>().ok());
        match number {
            Some(number) if (0.0..=100.0).contains(&number) => Some(Self(number)),
            _ => item.expected("a share like \"1%\""),
        }
    }

    fn shown(&self) -> String {
        quoted(&format!("{}%", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_read_and_print_alike() {
        let check = |text: &str, count, secs, printed: &str| {
            let window: Window = text.parse().unwrap();
            assert_eq!(
                (window.count, window.per),
                (count, Duration::from_secs(secs))
            );
            assert_eq!(window.to_string(), printed);
        };
        check("30/s", 30, 1, "30/s");
        check("700/h", 700, 3_600, "700/h");
        check("10000/5m", 10_000, 300, "10000/5m");
        check("40/10s", 40, 10, "40/10s");
        check("5 / 1s", 5, 1, "5/s");
        check("2/d", 2, 86_400, "2/d");
    }

    #[test]
    fn a_window_is_a_count_per_time() {
        for bad in [
            "", "30", "30/", "/s", "0/s", "5/0s", "-1/s", "5/x", "5/s/s", "1.5/s",
        ] {
            assert!(
                bad.parse::<Window>().is_err(),
                "{bad:?} was taken for a limit"
            );
        }
    }

    #[test]
    fn quotas_follow_the_calendar() {
        let quota: Quota = "500000/month".parse().unwrap();
        assert_eq!(quota.to_string(), "500000/month");
        assert_eq!("7/d".parse::<Quota>().unwrap().period, QuotaPeriod::Day);
        assert!("7/h".parse::<Quota>().is_err());
    }
}
