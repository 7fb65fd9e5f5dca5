//! Split before judging: what is asked again, what each cell becomes, what the gate hears.

use super::*;
use crate::gate::{Call, Totals};
use crate::scan::call::{Heights, Question, call};
use crate::scan::queue::{Asked, Item};
use crate::scan::reconcile::CellOutcome;

/// One call of cells named `a0`, `a1`, …
struct Judged {
    /// Per cell in their order: `k` known, `.` to be asked again at once, else what `letter` says.
    cells: String,
    /// What the gate counted.
    verdict: &'static str,
    calls: usize,
    member: Arc<Member>,
    /// Per cell: how often its next chunk is halved.
    suspect: Vec<u8>,
}

/// A letter for every class that a provider's failure can have.
fn letter(class: Class) -> char {
    match class {
        Class::Timeout => 't',
        Class::Transport => 'c',
        Class::ServerError => 's',
        Class::RateLimited => 'q',
        Class::Quota => '$',
        Class::Unauthorized => 'u',
        Class::Malformed => 'x',
        Class::Missing => 'm',
        Class::Refused => 'r',
        Class::TooLarge => 'l',
        Class::Unsupported => 'n',
        Class::WrongChain => 'w',
        Class::PluginFault => 'p',
        _ => '?',
    }
}

/// What the gate heard, told by the one count that is not zero.
fn verdict_of(totals: Totals) -> &'static str {
    let counts = [
        (totals.successes, "success"),
        (totals.failures, "failure"),
        (totals.neutral, "neutral"),
        (totals.rate_limited, "rate"),
        (totals.holds, "hold"),
        (totals.plugin_faults, "plugin"),
    ];
    let mut heard = counts.iter().filter(|(count, _)| *count > 0);
    let (count, word) = heard.next().expect("every call has a verdict");
    assert_eq!((*count, heard.next()), (1, None), "one verdict per call");
    word
}

async fn judge<S>(cells: usize, script: S) -> Judged
where
    S: Fn(&BalancesRequest, Duration) -> Result<Vec<Answer>, CallError> + Send + Sync + 'static,
{
    judge_of(&Bench::new(false).await.with(1_000, script), cells).await
}

/// One call of the bench's provider.
async fn judge_of(bench: &Bench, cells: usize) -> Judged {
    let member = bench.pool.members[0].clone();
    let item = |index: usize| {
        let item = Item {
            address: format!("a{index}").into(),
            asset: 0,
            suspect: 0,
            counted: false,
            errors: Vec::new(),
        };
        (item, Asked::default())
    };
    let question = Question {
        assets: bench.assets.as_slice().into(),
        commitment: Commitment::Latest,
        heights: Heights::default(),
    };
    let permit = member.gate.ask(Call::Work).pass().expect("it is open");
    let called = call(&member, permit, &question, (0..cells).map(item).collect()).await;
    let word = |outcome: &CellOutcome| match outcome {
        CellOutcome::Known(_) => 'k',
        CellOutcome::Unknown(error) => letter(error.class),
        CellOutcome::Invalid(_) => 'i',
    };
    let settled = called.settled.iter();
    let settled = settled.map(|(item, _, outcome)| (item, word(outcome)));
    let again = called.again.iter().map(|(item, _)| (item, '.'));
    let mut all: Vec<_> = settled.chain(again).collect();
    all.sort_by_key(|(item, _)| item.address[1..].parse::<usize>().unwrap());
    let addresses = all.iter().map(|(item, _)| item.address.to_string());
    assert!(
        addresses.eq((0..cells).map(|index| format!("a{index}"))),
        "no cell is lost or doubled"
    );
    Judged {
        cells: all.iter().map(|(_, word)| word).collect(),
        verdict: verdict_of(member.gate.snapshot().totals),
        calls: bench.calls(0),
        suspect: all.iter().map(|(item, _)| item.suspect).collect(),
        member,
    }
}

fn has(request: &BalancesRequest, cell: usize) -> bool {
    let name = format!("a{cell}");
    request.addresses.iter().any(|address| **address == *name)
}

/// Answers honestly unless one of `bad` is in the call: then it fails as the first of them says.
fn spoilt_by(
    bad: &'static [(usize, Class)],
) -> impl Fn(&BalancesRequest, Duration) -> Result<Vec<Answer>, CallError> + Send + Sync + 'static {
    move |request, _| match bad.iter().find(|(cell, _)| has(request, *cell)) {
        Some((_, class)) => failing(*class),
        None => Ok(honest(request)),
    }
}

/// Every class that a provider's failure can have, what it is to the gate, and the calls that are
/// made of eight cells that fail with it, together and in every part.
const CLASSES: &[(Class, &str, usize)] = &[
    (Class::Timeout, "failure", 1),
    (Class::Malformed, "failure", 1),
    (Class::Transport, "failure", 3),
    (Class::ServerError, "failure", 3),
    (Class::Refused, "neutral", 3),
    // Not split here: its cells wait for chunks of half the size.
    (Class::TooLarge, "neutral", 1),
    (Class::RateLimited, "rate", 1),
    (Class::Quota, "hold", 1),
    (Class::Unauthorized, "hold", 1),
    (Class::WrongChain, "hold", 1),
    (Class::PluginFault, "plugin", 1),
    // JSON-RPC "no such method".
    (Class::Unsupported, "neutral", 1),
    (Class::Missing, "neutral", 1),
    (Class::Lagging, "neutral", 1),
    (Class::Cancelled, "neutral", 1),
    (Class::DecimalsMismatch, "neutral", 1),
    (Class::InvalidAddress, "neutral", 1),
];

#[tokio::test(start_paused = true)]
async fn a_call_of_one_cell_is_judged_at_once() {
    for (class, verdict, _) in CLASSES.iter().copied() {
        let judged = judge(1, move |_: &BalancesRequest, _| failing(class)).await;
        let expected = (letter(class).to_string(), verdict, 1);
        assert_eq!(
            (judged.cells, judged.verdict, judged.calls),
            expected,
            "{class}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_many_that_fails_in_every_part_is_judged_by_its_class() {
    for (class, verdict, calls) in CLASSES.iter().copied() {
        let judged = judge(8, move |_: &BalancesRequest, _| failing(class)).await;
        assert_eq!((judged.verdict, judged.calls), (verdict, calls), "{class}");
        let letter = match class {
            // Refused together is not refused alone: nothing would ask for these again.
            Class::Refused => 'm',
            Class::TooLarge => '.',
            class => letter(class),
        };
        assert_eq!(judged.cells, letter.to_string().repeat(8), "{class}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_cell_of_eight_is_refused_where_it_may_be_the_content() {
    for (class, verdict, calls) in CLASSES.iter().copied() {
        let script = move |request: &BalancesRequest, _| match has(request, 5) {
            true => failing(class),
            false => Ok(honest(request)),
        };
        let judged = judge(8, script).await;
        let (cells, verdict, calls) = match calls {
            1 if class == Class::TooLarge => (".".repeat(8), verdict, 1),
            1 => (letter(class).to_string().repeat(8), verdict, 1),
            _ => ("kkkkkrkk".to_owned(), "success", 7),
        };
        assert_eq!(
            (judged.cells, judged.verdict, judged.calls),
            (cells, verdict, calls),
            "{class}"
        );
    }
}

#[track_caller]
fn told(judged: &Judged, cells: &str, verdict: &str, calls: usize) {
    let told = (judged.cells.as_str(), judged.verdict, judged.calls);
    assert_eq!(told, (cells, verdict, calls));
}

/// Two cells of which the second fails alone with `class`, and with the first as the host's error.
fn last_of_two(
    class: Class,
) -> impl Fn(&BalancesRequest, Duration) -> Result<Vec<Answer>, CallError> + Send + Sync + 'static {
    move |request, _| match (has(request, 1), request.cells.len()) {
        (true, 1) => failing(class),
        (true, _) => failing(Class::ServerError),
        (false, _) => Ok(honest(request)),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_part_that_ends_otherwise_decides_the_verdict() {
    use Class::{RateLimited, ServerError, Timeout, Unauthorized};
    // 0..8 fails, 0..4 fails, 4..8 is answered; then 2..4 meets the other failure.
    let then = |class: Class| {
        move |request: &BalancesRequest, _| {
            let cells = request.cells.len();
            match has(request, 3) {
                true if cells > 2 => failing(ServerError),
                true => failing(class),
                false => Ok(honest(request)),
            }
        }
    };
    told(&judge(8, then(RateLimited)).await, "kkqqkkkk", "rate", 5);
    told(&judge(8, then(Timeout)).await, "kkttkkkk", "failure", 5);
    told(&judge(8, then(Unauthorized)).await, "kkuukkkk", "hold", 5);
    // The last cell, too, is refused only by a word about the content.
    told(&judge(2, last_of_two(RateLimited)).await, "kq", "rate", 3);
    told(&judge(2, last_of_two(Timeout)).await, "kt", "failure", 3);
    told(
        &judge(2, last_of_two(ServerError)).await,
        "kr",
        "success",
        3,
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_failing_halves_the_providers_own_word_counts() {
    use Class::{Malformed, RateLimited, Refused, ServerError, Timeout, TooLarge};
    let halves = |left: Class, right: Class| {
        move |request: &BalancesRequest, _| match (has(request, 0), has(request, 7)) {
            (true, true) => failing(ServerError),
            (true, false) => failing(left),
            (false, _) => failing(right),
        }
    };
    told(
        &judge(8, halves(ServerError, RateLimited)).await,
        "ssssqqqq",
        "rate",
        3,
    );
    told(
        &judge(8, halves(RateLimited, ServerError)).await,
        "qqqqssss",
        "rate",
        3,
    );
    told(
        &judge(8, halves(Timeout, Refused)).await,
        "ttttmmmm",
        "failure",
        3,
    );
    told(
        &judge(8, halves(Refused, ServerError)).await,
        "mmmmssss",
        "failure",
        3,
    );
    told(
        &judge(8, halves(TooLarge, Malformed)).await,
        "....xxxx",
        "failure",
        3,
    );
    told(
        &judge(8, halves(Refused, TooLarge)).await,
        "mmmm....",
        "neutral",
        3,
    );
}

#[tokio::test(start_paused = true)]
async fn two_bad_cells_are_content_if_anything_was_answered() {
    use Class::ServerError;
    const IN_ONE_HALF: &[(usize, Class)] = &[(4, ServerError), (7, ServerError)];
    told(
        &judge(8, spoilt_by(IN_ONE_HALF)).await,
        "kkkkssss",
        "success",
        5,
    );
    const SIDE_BY_SIDE: &[(usize, Class)] = &[(6, ServerError), (7, ServerError)];
    told(
        &judge(8, spoilt_by(SIDE_BY_SIDE)).await,
        "kkkkkkss",
        "success",
        7,
    );
    // Nothing was answered: it looks like an outage, and is judged as one.
    const APART: &[(usize, Class)] = &[(0, ServerError), (7, ServerError)];
    let judged = judge(8, spoilt_by(APART)).await;
    told(&judged, "ssssssss", "failure", 3);
    // The next chunks are halves, in which they are apart.
    assert_eq!(judged.suspect, [1; 8]);
    let judged = judge(8, spoilt_by(IN_ONE_HALF)).await;
    assert_eq!(judged.suspect, [0, 0, 0, 0, 2, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn too_large_is_not_split_but_learned() {
    let hidden_limit = |request: &BalancesRequest, _| match request.cells.len() {
        0..=3 => Ok(honest(request)),
        _ => failing(Class::TooLarge),
    };
    let judged = judge(16, hidden_limit).await;
    told(&judged, "................", "neutral", 1);
    assert_eq!(judged.member.cells_max(), 8);
    // Half of it is answered: the provider is well.
    let half = |request: &BalancesRequest, _| match (request.cells.len(), has(request, 0)) {
        (5.., _) => failing(Class::ServerError),
        (_, true) => Ok(honest(request)),
        (_, false) => failing(Class::TooLarge),
    };
    told(&judge(8, half).await, "kkkk....", "success", 3);
    told(
        &judge(2, last_of_two(Class::TooLarge)).await,
        "kr",
        "success",
        3,
    );
}

#[tokio::test(start_paused = true)]
async fn a_half_that_answers_no_cell_is_no_answer() {
    let unknown = |class: Class| {
        move |request: &BalancesRequest, _| match request.cells.len() {
            5.. => failing(Class::ServerError),
            _ => {
                let mut answers = honest(request);
                for answer in &mut answers {
                    answer.outcome = Outcome::Unknown(CallError::new(class, "scripted"));
                }
                Ok(answers)
            }
        }
    };
    told(
        &judge(8, unknown(Class::RateLimited)).await,
        "qqqqqqqq",
        "rate",
        3,
    );
    told(
        &judge(8, unknown(Class::ServerError)).await,
        "ssssssss",
        "failure",
        3,
    );
    told(
        &judge(8, unknown(Class::Missing)).await,
        "mmmmmmmm",
        "failure",
        3,
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_answer_to_some_cells_is_a_success_and_a_pause() {
    let script = |request: &BalancesRequest, _| {
        let mut answers = honest(request);
        for (answer, secs) in answers.iter_mut().skip(1).zip([0, 7, 3]) {
            let mut error = CallError::new(Class::RateLimited, "scripted");
            error.retry_after = (secs > 0).then(|| Duration::from_secs(secs));
            answer.outcome = Outcome::Unknown(error);
        }
        Ok(answers)
    };
    let before = Instant::now();
    let judged = judge(5, script).await;
    told(&judged, "kqqqk", "success", 1);
    let opening = judged.member.gate.earliest_opening().unwrap();
    assert!(
        opening >= before + Duration::from_secs(7),
        "the longest counts"
    );
    assert_eq!(judged.member.gate.take_usage().rate_limited, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_keeps_its_length_through_a_split() {
    let script = |request: &BalancesRequest, _| match (request.cells.len(), has(request, 0)) {
        (5.., _) => failing(Class::ServerError),
        (_, true) => Ok(honest(request)),
        (_, false) => {
            let mut error = CallError::new(Class::RateLimited, "scripted");
            error.retry_after = Some(Duration::from_secs(40));
            Err(error)
        }
    };
    let before = Instant::now();
    let judged = judge(8, script).await;
    told(&judged, "kkkkqqqq", "rate", 3);
    let opening = judged.member.gate.earliest_opening().unwrap();
    assert!(opening >= before + Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn two_poisoned_cells_apart_leave_all_others_known() {
    let script = |request: &BalancesRequest, _| match has(request, 10) || has(request, 990) {
        true => failing(Class::ServerError),
        false => Ok(honest(request)),
    };
    let bench = Bench::new(false).await.with(1_000, script);
    let began = Instant::now();
    let (outcome, rows) = bench.scan(1_000).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 998));
    for poisoned in [10, 990] {
        let Row::Unknown { error, .. } = &rows[poisoned] else {
            panic!("it is unknown")
        };
        assert_eq!(error.class, Class::Refused);
    }
    assert_eq!(bench.circuit(0), CircuitState::Closed);
    assert!(began.elapsed() < COOLDOWN, "it took {:?}", began.elapsed());
    // The call and its halves; then each half, and two calls on each of its levels.
    let halves = 2 * (1 + 2 * 9);
    assert!(bench.calls(0) <= 3 + halves, "{} calls", bench.calls(0));
}

#[tokio::test(start_paused = true)]
async fn many_poisoned_cells_leave_all_others_known() {
    let is_poisoned = |index: usize| index.is_multiple_of(7);
    let script = move |request: &BalancesRequest, _| {
        let mut names = request
            .addresses
            .iter()
            .map(|address| address[1..].parse().unwrap());
        match names.any(is_poisoned) {
            true => failing(Class::Refused),
            false => Ok(honest(request)),
        }
    };
    let bench = Bench::new(false).await.with(50, script);
    let (outcome, rows) = bench.scan(100).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 85));
    for index in (0..100).filter(|index| is_poisoned(*index)) {
        let Row::Unknown { error, .. } = &rows[index] else {
            panic!("{index} is unknown")
        };
        assert_eq!(error.class, Class::Refused);
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_is_not_sent_through_a_gate_that_was_shut_meanwhile() {
    use crate::gate::HoldReason;
    use std::sync::OnceLock;

    for (shuts_with, cells, verdict, calls) in
        [(8, "........", "failure", 1), (4, "kkkk....", "success", 2)]
    {
        let gate: Arc<OnceLock<Gate>> = Arc::default();
        let shut = gate.clone();
        let script = move |request: &BalancesRequest, _| {
            if request.cells.len() == shuts_with {
                let gate = shut.get().expect("it is set before the call");
                gate.hold(HoldReason::Quota, None, "another call found it");
            }
            match request.cells.len() {
                8 => failing(Class::ServerError),
                _ => Ok(honest(request)),
            }
        };
        let bench = Bench::new(false).await.with(1_000, script);
        gate.set(bench.pool.members[0].gate.clone()).unwrap();
        told(&judge_of(&bench, 8).await, cells, verdict, calls);
    }
}
