//! Limits of rate: no stretch of time has more requests than the window allows, and hardly fewer.

use scanhost_tests::upstream::{Fault, Kind, LogEntry, RetryAfter};

use crate::lab::{Lab, Plugin, Setup};
use crate::running::Running;

/// At most `count` requests in any stretch of `per_ms`.
#[derive(Clone, Copy, Debug)]
struct Window {
    count: usize,
    per_ms: i64,
}

const PATIENT: &str = "scan = { budget = \"60s\" }\n";

/// Requests leave in time and may arrive a little later than the ones before them.
const JITTER_MS: i64 = 20;

/// Fails if any stretch has more than the windows allow.
#[track_caller]
fn check(log: &[LogEntry], windows: &[Window]) {
    for window in windows {
        let stretches = log.windows(window.count + 1);
        for stretch in stretches {
            let took = stretch[window.count].at_ms - stretch[0].at_ms;
            let told = format!("{window:?}: {} requests in {took} ms", window.count + 1);
            assert!(took + JITTER_MS >= window.per_ms, "{told}");
        }
    }
}

/// A lab of one origin: both providers are the first host.
fn lab(count: usize, pool: &[&'static str], limits: &str, chain: &str) -> Lab {
    let lab = Lab::new(Plugin::Blockstream, count);
    set_up(&lab, pool, limits, chain);
    lab
}

fn set_up(lab: &Lab, pool: &[&'static str], limits: &str, chain: &str) {
    let text = lab.config(&Setup::of(pool).chain(chain)).text();
    let [first, second] = ["first", "second"].map(|host| lab.upstream.endpoint(host));
    let text = text.replace(&second, &first);
    let plugin = "plugin = \"blockstream\"\n";
    let text = text.replace(plugin, &format!("{plugin}{limits}"));
    lab.product.write("scanhost.toml", text);
}

#[test]
fn no_stretch_has_more_requests_than_a_window_allows_and_hardly_fewer() {
    let limits = "limits = [\"20/s\", \"60/5s\"]\nconnections = 8\n";
    let lab = lab(120, &["first"], limits, PATIENT);
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    let log = lab.upstream.log();
    let short = Window {
        count: 20,
        per_ms: 1_000,
    };
    let long = Window {
        count: 60,
        per_ms: 5_000,
    };
    check(&log, &[short, long]);
    // The long window allows 12 a second.
    let took = log.last().expect("it asked").at_ms - log[0].at_ms;
    let asked = i64::try_from(log.len()).expect("a few");
    let rate = asked * 1_000 * 100 / (took.max(1) * 12);
    assert!(
        rate >= 90,
        "{asked} requests in {took} ms: {rate} % of what is allowed"
    );
}

#[test]
fn two_providers_of_one_origin_share_its_window() {
    let spread = format!("strategy = \"spread\"\n{PATIENT}");
    let pool = ["first", "second"];
    let lab = lab(60, &pool, "limits = [\"10/s\"]\n", &spread);
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    check(
        &lab.upstream.log(),
        &[Window {
            count: 10,
            per_ms: 1_000,
        }],
    );
}

#[test]
fn what_was_spent_of_a_long_window_outlives_a_kill() {
    const LIMIT: usize = 40;
    let limits = "limits = [\"40/h\"]\n";
    let lab = lab(100, &["first"], limits, PATIENT);
    let scan = Running::scan(&lab.product);
    lab.wait_until(|| lab.upstream.log().len() >= LIMIT / 2);
    scan.kill();
    let _ = scan.end();
    // Nobody waits the hour.
    let impatient =
        "breaker = { failures = 3, cooldown = \"300ms\" }\nscan = { budget = \"3s\" }\n";
    set_up(&lab, &["first"], limits, impatient);
    let run = lab.scan(&[]).expect(3);
    let _ = lab.expect_honest(&run, &lab.truth(), None);
    let spent = lab.upstream.log().len();
    assert!(spent <= LIMIT, "{spent} requests");
    // A kill may cost what was reserved and not yet written down.
    assert!(spent * 10 >= LIMIT * 8, "{spent} requests");
    let _ = lab.scan(&[]).expect(3);
    assert!(lab.upstream.log().len() <= LIMIT);
}

#[test]
fn all_providers_of_an_origin_wait_when_one_is_told_to() {
    let lab = lab(15, &["first", "second"], "connections = 1\n", PATIENT);
    let retry_after = RetryAfter::Seconds(2);
    lab.fault(
        Fault::at("first", Kind::RateLimit { retry_after })
            .native()
            .nth(5..=5),
    );
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    let log = lab.upstream.log();
    let told = log
        .iter()
        .position(|it| it.status == 429)
        .expect("it was told");
    let next = log.get(told + 1).expect("it goes on");
    let apart = next.at_ms - log[told].at_ms;
    assert!(apart >= 2_000, "{apart} ms");
}
