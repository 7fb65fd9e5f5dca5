//! What a running scan shows: a bar on a terminal, and now and then what it waits for.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::context::say;
use crate::gate::{Call, Why};
use crate::pool::Pool;
use crate::scan::engine::Progress;

/// A bar on a terminal, none elsewhere.
pub(super) fn progress_bar(cells: u64) -> ProgressBar {
    let bar = ProgressBar::new(cells);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style =
        ProgressStyle::with_template("{bar:32} {pos}/{len} cells, {per_sec}, {eta} left {msg}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Moves the bar, and says now and then what is waited for when nothing moves.
pub(super) async fn watch(chain: &str, pool: &Pool, progress: &Progress, bar: &ProgressBar) {
    const TICK: Duration = Duration::from_millis(200);
    const QUIET: Duration = Duration::from_secs(10);
    let mut told = 0;
    let mut quiet = Duration::ZERO;
    let mut say_at = QUIET;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let settled = progress.settled.load(Ordering::Relaxed);
        bar.inc(settled - told);
        if settled > told {
            (told, quiet, say_at) = (settled, Duration::ZERO, QUIET);
            continue;
        }
        quiet += TICK;
        if quiet >= say_at {
            say_at += QUIET;
            let line = standstill(chain, quiet.as_secs(), pool, progress);
            bar.suspend(|| say(&line));
        }
    }
}

/// Why the bar has not moved for so long.
fn standstill(chain: &str, seconds: u64, pool: &Pool, progress: &Progress) -> String {
    if progress.comparing.load(Ordering::Relaxed) {
        let compared = progress.sampled.load(Ordering::Relaxed);
        let samples = progress.samples.load(Ordering::Relaxed);
        return format!(
            "{chain}: every cell is settled; {compared} of {samples} samples are compared so far"
        );
    }
    format!("{chain}: no answer for {seconds} s; {}", waits(pool))
}

/// What each provider that gets no work says, briefly.
fn waits(pool: &Pool) -> String {
    const BRIEF: usize = 100;
    let shut = pool.members.iter().filter_map(|member| {
        let why = member.shut_reason()?;
        let brief: String = why.message.chars().take(BRIEF).collect();
        let is_cut = why.message.chars().nth(BRIEF).is_some();
        let more = if is_cut { "…" } else { "" };
        // Where a circuit is open its reason is the last failure, which has no end.
        let again = match member.gate.refusal(Call::Work) {
            Some((Why::CircuitOpen, Some(until))) => {
                let wait = until.saturating_duration_since(member.gate.clock().now());
                format!(", asked again in {} s", wait.as_secs() + 1)
            }
            _ => String::new(),
        };
        Some(format!(
            "{}: {}: {brief}{more}{again}",
            why.provider, why.class
        ))
    });
    let shut: Vec<String> = shut.collect();
    match shut.as_slice() {
        [] => "waiting for answers".to_owned(),
        shut => shut.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_compares_is_not_said_to_wait_for_an_answer() {
        let pool = Pool::empty("btc".into());
        let progress = Progress::default();
        let line = standstill("btc", 10, &pool, &progress);
        assert_eq!(line, "btc: no answer for 10 s; waiting for answers");
        progress.samples.store(40, Ordering::Relaxed);
        progress.sampled.store(7, Ordering::Relaxed);
        progress.comparing.store(true, Ordering::Relaxed);
        let line = standstill("btc", 10, &pool, &progress);
        assert_eq!(
            line,
            "btc: every cell is settled; 7 of 40 samples are compared so far"
        );
    }
}
