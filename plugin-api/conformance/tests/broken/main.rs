//! The checks find what they are there for: a provider in good order passes all of them, and each
//! way in which it can be broken fails the check that names it.

mod lab;

use std::process::Command;
use std::sync::Arc;

use lab::{BROKEN, Lab, MANIFEST, service};
use scanhost_conformance::{Builtin, CHECKS, Sample, Verdict, check, child};

/// Tells the child in which way its provider is broken.
const BROKEN_VARIABLE: &str = "LAB_BROKEN";

fn sample() -> Sample {
    let mut sample = Sample::new("mainnet");
    sample.identity = Some("lab-1".to_owned());
    sample.addresses = ["zoe", "alice", "bob"].map(str::to_owned).into();
    sample.invalid = ["no one", "a1", "far too long"].map(str::to_owned).into();
    sample.upstream = Some(Arc::new(service));
    sample.more_addresses(|number| {
        let letter = |index: usize| char::from(b'a' + u8::try_from(index % 26).unwrap_or(0));
        format!("x{}{}", letter(number / 26), letter(number))
    });
    sample
}

fn subject() -> Builtin {
    Builtin {
        manifest: MANIFEST.as_bytes(),
        open: Lab::open,
    }
}

fn verdict(id: &str, broken: &str) -> Verdict {
    BROKEN.set(broken.to_owned());
    let check = check(id).expect("it exists");
    check.run(&subject(), &sample())
}

#[test]
fn a_provider_in_good_order_passes_every_check() {
    for check in &scanhost_conformance::CHECKS {
        let verdict = check.run(&subject(), &sample());
        match check.id {
            // There is no file to look at.
            "C18" => assert!(matches!(verdict, Verdict::Skipped(_)), "{verdict:?}"),
            id => assert!(matches!(verdict, Verdict::Passed(_)), "{id}: {verdict:?}"),
        }
    }
}

#[test]
fn every_break_fails_the_check_that_is_there_for_it() {
    let table = [
        ("C01", "does not open", "it will not"),
        ("C01", "panics in open", "panic in open: no way"),
        ("C01", "takes no cell", "`cells_per_call_max` is 0"),
        ("C02", "describes too much", "`tokens`"),
        ("C04", "takes any option", "it opens with"),
        ("C04", "refuses without a word", "has no message"),
        ("C05", "keeps the host", "holds on the host's services"),
        ("C06", "panics without a cell", "panic in balances"),
        (
            "C07",
            "leaves the last out",
            "is not known while all is well: no reading",
        ),
        ("C07", "panics above its most", "too many"),
        ("C07", "answers twice", "cell 0 has two readings"),
        (
            "C07",
            "invents a cell",
            "names cell 1000, but 1 were asked for",
        ),
        ("C07", "gives no reason", "no reason is told"),
        (
            "C07",
            "waits for nobody",
            "waits for something that is not the host's",
        ),
        ("C08", "answers by position", "with entries reversed"),
        ("C09", "takes any address", "has 0 bytes"),
        ("C09", "has no canonical form", "has another one"),
        (
            "C09",
            "blames the service for addresses",
            "not as invalid_address",
        ),
        ("C09", "takes a refusal for zero", "is told as the amount"),
        ("C10", "takes 429 for an outage", "429 is server_error"),
        ("C10", "loses the delay", "the 7 s are lost"),
        ("C11", "takes 5xx for a refusal", "`500` is refused"),
        ("C11", "hides what broke", "not timeout"),
        ("C12", "panics on nonsense", "a service answers JSON"),
        (
            "C12",
            "takes nothing for zero",
            "an amount that nobody gave",
        ),
        ("C10", "reads whatever the status", "429 is malformed"),
        ("C13", "takes the last of two", "contradicted after it"),
        (
            "C13",
            "takes what is left out for zero",
            "the first entry left out",
        ),
        (
            "C14",
            "takes nonsense for zero",
            "-1 at `/balances/0/amount`",
        ),
        ("C14", "rounds numbers", "1.5 at `/balances/0/amount`"),
        ("C14", "runs over", "at `/balances/0/amount`"),
        ("C15", "holds on to requests", "are still held"),
        ("C15", "fails the second time", "the whole call fails"),
        ("C16", "counts its calls", "ran at once differ"),
        ("C17", "blocks", "a poll takes 6"),
        ("C20", "waits too long", "may take 60 s"),
        ("C20", "sleeps", "it sleeps for"),
        ("C21", "sends the key", "sets `apikey=`"),
        ("C21", "sets a cookie", "the header `cookie`"),
        ("C21", "leaves the endpoint", "no path below the endpoint"),
        ("C21", "quotes whole bodies", "characters of a body"),
        ("C21", "tells headers", "a header of an answer"),
        ("C23", "panics on nonsense", "a service answers JSON"),
    ];
    let wrong: Vec<_> = table
        .iter()
        .filter_map(|(id, broken, why)| match verdict(id, broken) {
            Verdict::Failed(told) if told.contains(why) => None,
            other => Some(format!("{id}, {broken}: {other:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No test of its own: what the next one runs in a process of its own.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the child is told by its environment"
)]
fn the_child() {
    let Some(check) = CHECKS.iter().find(|check| child::is_child_for(check.id)) else {
        return;
    };
    let broken = std::env::var(BROKEN_VARIABLE).unwrap();
    child::tell(|| verdict(check.id, &broken)).unwrap();
}

#[test]
fn a_crash_and_stray_words_are_verdicts() {
    let verdict = |id: &str, broken: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["the_child", "--exact", "--nocapture"])
            .env(BROKEN_VARIABLE, broken);
        child::run(command, id, child::LIMIT)
    };
    for id in ["C01", "C07", "C19"] {
        let passed = verdict(id, "");
        assert!(matches!(passed, Verdict::Passed(_)), "{id}: {passed:?}");
    }
    let why = |id: &str, broken: &str| match verdict(id, broken) {
        Verdict::Failed(why) => why,
        other => panic!("{broken}: {other:?}"),
    };
    let crash = why("C07", "crashes");
    assert!(crash.contains("signal 6 (SIGABRT)"), "{crash}");
    let printed = why("C19", "writes to its output");
    assert!(
        printed.contains("standard output: \"debugging"),
        "{printed}"
    );
    let wrong = why("C07", "leaves the last out");
    assert!(wrong.contains("is not known"), "{wrong}");
}
