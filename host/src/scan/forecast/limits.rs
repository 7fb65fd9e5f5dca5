//! Limits on paper: when the next request may be sent.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::tz::TimeZone;

use super::{Limit, Limits, Spent};
use crate::config::QuotaPeriod;

/// Limits from this length on are not waited for within a call.
const LONG: Duration = Duration::from_secs(60 * 60);

/// The requests under one [`Limits`], in the order in which they may be sent.
///
/// Times are nanoseconds from the start of the forecast.
#[derive(Debug)]
pub(super) struct Pacer<'a> {
    limits: &'a Limits,
    start_unix_ms: i64,
    /// By window: the newest requests, as many as it allows.
    logs: Vec<VecDeque<u64>>,
    /// By quota: what is left of the period.
    left: Vec<Left>,
    last_ns: u64,
    requests: u64,
    /// By window, then by quota: how long it made requests wait.
    held_ns: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    requests: u64,
    until_ns: u64,
}

impl<'a> Pacer<'a> {
    pub(super) fn new(limits: &'a Limits, start_unix_ms: i64) -> Self {
        let left = limits.quotas.iter().map(|quota| Left {
            requests: u64::from(quota.quota.count).saturating_sub(quota.used),
            until_ns: period_end_ns(quota.quota.period, start_unix_ms, 0),
        });
        Self {
            limits,
            start_unix_ms,
            logs: vec![VecDeque::new(); limits.windows.len()],
            left: left.collect(),
            last_ns: 0,
            requests: 0,
            held_ns: vec![0; limits.windows.len() + limits.quotas.len()],
        }
    }

    /// When the next request may be sent, not before `now_ns`.
    pub(super) fn next_ns(&self, now_ns: u64) -> u64 {
        let windows = (0..self.logs.len()).map(|index| self.window_opens_ns(index));
        let paced_ns = windows.fold(now_ns.max(self.last_ns), u64::max);
        let quotas = self.left.iter();
        quotas.fold(paced_ns, |at_ns, left| match left.requests {
            0 => at_ns.max(left.until_ns),
            _ => at_ns,
        })
    }

    /// Sends the next request at [`next_ns`](Self::next_ns), and tells when that is.
    pub(super) fn send(&mut self, now_ns: u64) -> u64 {
        let at_ns = self.next_ns(now_ns);
        self.note_what_held(at_ns);
        for (log, window) in self.logs.iter_mut().zip(&self.limits.windows) {
            log.push_back(at_ns);
            if log.len() > window.count as usize {
                log.pop_front();
            }
        }
        for (left, quota) in self.left.iter_mut().zip(&self.limits.quotas) {
            if at_ns >= left.until_ns {
                *left = Left {
                    requests: quota.quota.count.into(),
                    until_ns: period_end_ns(quota.quota.period, self.start_unix_ms, at_ns),
                };
            }
            left.requests = left.requests.saturating_sub(1);
        }
        self.last_ns = at_ns;
        self.requests += 1;
        at_ns
    }

    /// How many requests the limits of an hour and longer still allow at `now_ns`.
    pub(super) fn room(&self, now_ns: u64) -> u64 {
        let windows = self.logs.iter().zip(&self.limits.windows);
        let windows = windows.filter(|(_, window)| window.per >= LONG);
        let windows = windows.map(|(log, window)| {
            let per_ns = nanos(window.per);
            let over = log.partition_point(|at_ns| at_ns.saturating_add(per_ns) <= now_ns);
            u64::from(window.count).saturating_sub((log.len() - over) as u64)
        });
        let quotas = self.left.iter().zip(&self.limits.quotas);
        let quotas = quotas.map(|(left, quota)| {
            if now_ns >= left.until_ns {
                quota.quota.count.into()
            } else {
                left.requests
            }
        });
        windows.chain(quotas).min().unwrap_or(u64::MAX)
    }

    pub(super) fn spent(&self) -> Spent {
        let windows = self.limits.windows.iter().copied().map(Limit::Window);
        let quotas = self.limits.quotas.iter();
        let limits = windows.chain(quotas.map(|quota| Limit::Quota(quota.quota)));
        let held = limits
            .zip(&self.held_ns)
            .filter(|(_, held_ns)| **held_ns > 0);
        let tightest = held.max_by_key(|(_, held_ns)| **held_ns);
        Spent {
            requests: self.requests,
            tightest: tightest.map(|(limit, held_ns)| (limit, Duration::from_nanos(*held_ns))),
        }
    }

    /// When the window has room again; 0 while it has.
    fn window_opens_ns(&self, index: usize) -> u64 {
        let window = &self.limits.windows[index];
        let log = &self.logs[index];
        match log.front() {
            Some(oldest_ns) if log.len() >= window.count as usize => {
                oldest_ns.saturating_add(nanos(window.per))
            }
            _ => 0,
        }
    }

    /// The wait between the last request and this one is held against what opened last.
    fn note_what_held(&mut self, at_ns: u64) {
        let windows = (0..self.logs.len()).map(|index| self.window_opens_ns(index));
        let quotas = self.left.iter().map(|left| match left.requests {
            0 => left.until_ns,
            _ => 0,
        });
        let opens = windows.chain(quotas).enumerate();
        if let Some((index, opens_ns)) = opens.max_by_key(|(_, opens_ns)| *opens_ns) {
            let held_ns = opens_ns.min(at_ns).saturating_sub(self.last_ns);
            self.held_ns[index] = self.held_ns[index].saturating_add(held_ns);
        }
    }
}

/// The end of the calendar period, in UTC, that `at_ns` lies in.
fn period_end_ns(period: QuotaPeriod, start_unix_ms: i64, at_ns: u64) -> u64 {
    let end = || {
        let start = Timestamp::from_millisecond(start_unix_ms).ok()?;
        let at = start.checked_add(Duration::from_nanos(at_ns)).ok()?;
        let day = at.to_zoned(TimeZone::UTC).date();
        let next = match period {
            QuotaPeriod::Day => day.tomorrow().ok()?,
            QuotaPeriod::Month => day.first_of_month().checked_add(1.month()).ok()?,
        };
        let end = next.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let until = end.duration_since(start);
        u64::try_from(until.as_nanos()).ok()
    };
    // Beyond what the calendar holds no period ends.
    end().unwrap_or(u64::MAX)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Quota, Window};
    use crate::scan::forecast::QuotaLeft;

    /// 2026-11-21, midnight.
    const MIDNIGHT_MS: i64 = 1_795_219_200_000;

    fn windows(texts: &[&str]) -> Limits {
        let windows = texts.iter().map(|text| text.parse::<Window>().unwrap());
        Limits {
            windows: windows.collect(),
            quotas: Vec::new(),
        }
    }

    fn sent_ns(limits: &Limits, start_unix_ms: i64, requests: usize) -> (Vec<u64>, Spent) {
        let mut pacer = Pacer::new(limits, start_unix_ms);
        let sent = (0..requests).map(|_| pacer.send(0)).collect();
        (sent, pacer.spent())
    }

    /// When the last of `requests` is sent, in milliseconds, and what made them wait longest.
    #[track_caller]
    fn check(limits: &[&str], requests: usize, ends_ms: u64, tightest: Option<&str>) {
        let (sent_ns, spent) = sent_ns(&windows(limits), MIDNIGHT_MS, requests);
        assert_eq!(sent_ns[requests - 1] / 1_000_000, ends_ms);
        let told = spent.tightest.map(|(limit, _)| match limit {
            Limit::Window(window) => window.to_string(),
            Limit::Quota(quota) => quota.to_string(),
        });
        assert_eq!(told.as_deref(), tightest);
    }

    #[test]
    fn requests_wait_for_every_window() {
        check(&[], 1_000_000, 0, None);
        check(&["5/s"], 5, 0, None);
        check(&["5/s"], 6, 1_000, Some("5/s"));
        check(&["5/s"], 5_000, 999_000, Some("5/s"));
        check(&["5/s", "700/h"], 700, 139_000, Some("5/s"));
        check(&["5/s", "700/h"], 701, 3_600_000, Some("700/h"));
        check(&["5/s", "700/h"], 1_400, 3_739_000, Some("700/h"));
        check(
            &["700/h", "5/s"],
            5_003,
            7 * 3_600_000 + 20_000,
            Some("700/h"),
        );
        check(&["30/s", "10000/5m"], 10_000, 333_000, Some("30/s"));
        check(&["40/10s"], 401, 100_000, Some("40/10s"));
    }

    #[test]
    fn no_window_is_exceeded_and_none_is_waited_for_in_vain() {
        for texts in [
            &["5/s", "7/3s"][..],
            &["10/m", "4/10s", "1/s"],
            &["3/s", "100/30s", "150/m"],
        ] {
            let limits = windows(texts);
            let (sent_ns, _) = sent_ns(&limits, MIDNIGHT_MS, 500);
            for index in 1..sent_ns.len() {
                let opens = limits.windows.iter().map(|window| {
                    let oldest = index.checked_sub(window.count as usize);
                    oldest.map_or(0, |oldest| sent_ns[oldest] + nanos(window.per))
                });
                let opens_ns = opens.max().unwrap().max(sent_ns[index - 1]);
                assert_eq!(sent_ns[index], opens_ns, "{texts:?}, request {index}");
            }
        }
    }

    #[test]
    fn quotas_begin_anew_by_the_calendar() {
        const HOUR_NS: u64 = 3_600_000_000_000;
        let check = |quota: &str, used, start_unix_ms, requests, ends_ns| {
            let quota: Quota = quota.parse().unwrap();
            let limits = Limits {
                windows: Vec::new(),
                quotas: vec![QuotaLeft { quota, used }],
            };
            let (sent_ns, spent) = sent_ns(&limits, start_unix_ms, requests);
            assert_eq!(sent_ns[requests - 1], ends_ns);
            assert_eq!(spent.tightest.is_some(), ends_ns > 0);
        };
        let six_ms = MIDNIGHT_MS + 6 * 3_600_000;
        check("100/day", 0, six_ms, 100, 0);
        check("100/day", 0, six_ms, 101, 18 * HOUR_NS);
        check("100/day", 100, six_ms, 1, 18 * HOUR_NS);
        check("100/day", 40, six_ms, 161, 42 * HOUR_NS);
        check("100/day", 40, six_ms, 160, 18 * HOUR_NS);
        // From the 21st: November has 10 days left, December 31.
        check("100/month", 0, MIDNIGHT_MS, 101, 10 * 24 * HOUR_NS);
        check("100/month", 0, MIDNIGHT_MS, 201, 41 * 24 * HOUR_NS);
    }
}
