//! `Retry-After`: how long a provider asks to be left alone.

use std::time::{Duration, UNIX_EPOCH};

/// The longest wait that a provider can ask for; more is cut to this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// The wait that a `Retry-After` value asks for, counted from `now_unix` (seconds since 1970).
///
/// Both forms of RFC 9110 are read: seconds and an HTTP date. A value that is zero, negative, in
/// the past or no value at all is `None`; a longer one than [`RETRY_AFTER_MAX`] is cut.
#[must_use]
pub fn parse(value: &str, now_unix: i64) -> Option<Duration> {
    let value = value.trim();
    let wait_secs = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only digits: what does not fit is merely very long.
        value.parse().unwrap_or(u64::MAX)
    } else {
        let at = httpdate::parse_http_date(value).ok()?;
        let at_unix = at.duration_since(UNIX_EPOCH).ok()?.as_secs();
        // A date before the clock's "now" has no wait left.
        at_unix.checked_sub(u64::try_from(now_unix).ok()?)?
    };
    let wait = Duration::from_secs(wait_secs).min(RETRY_AFTER_MAX);
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_clamped() {
        // 1994-11-06 08:49:37 UTC, the date of RFC 9110's examples.
        const NOW: i64 = 784_111_777;
        #[track_caller]
        fn check(value: &str, expected_secs: Option<u64>) {
            let expected = expected_secs.map(Duration::from_secs);
            assert_eq!(parse(value, NOW), expected, "{value:?}");
        }
        check("7", Some(7));
        check(" 7 ", Some(7));
        check("007", Some(7));
        check("3600", Some(3600));
        check("3601", Some(3600));
        check("99999999999999999999999999", Some(3600));
        check("0", None);
        check("-1", None);
        check("+7", None);
        check("1.5", None);
        check("7s", None);
        check("7 8", None);
        check("7, 8", None);
        check("0x7", None);
        check("\u{667}", None);
        check("\t7\t", Some(7));
        check("  ", None);
        check(&"9".repeat(1000), Some(3600));
        check(&"0".repeat(1000), None);
        check("-99999999999999999999999999", None);
        check("", None);
        check("soon", None);
        check("Sun, 06 Nov 1994 08:49:37 GMT", None);
        check("Sun, 06 Nov 1994 08:49:36 GMT", None);
        check("Sun, 06 Nov 1994 08:49:38 GMT", Some(1));
        check("Sun, 06 Nov 1994 08:51:17 GMT", Some(100));
        check("Sunday, 06-Nov-94 08:51:17 GMT", Some(100));
        check("Sun Nov  6 08:51:17 1994", Some(100));
        check("Mon, 07 Nov 1994 08:49:37 GMT", Some(3600));
        check("Sun, 06 Nov 1994 08:51:17", None);
        check("Sun, 06 Nov 1994 08:51:17 PST", None);
        check("06 Nov 1994 08:51:17 GMT", None);
        check("1994-11-06T08:51:17Z", None);
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600));
        check("Sun, 06 Nov 0094 08:51:17 GMT", None);
        check("Thu, 01 Jan 1970 00:00:00 GMT", None);
    }

    #[test]
    fn a_clock_before_1970_gives_no_wait_from_a_date() {
        assert_eq!(parse("Sun, 06 Nov 1994 08:51:17 GMT", -1), None);
        assert_eq!(parse("7", -1), Some(Duration::from_secs(7)));
    }
}
