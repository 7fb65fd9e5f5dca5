//! Kill -9 at any moment: nothing is lost, nothing is doubled, nothing is asked for twice but what
//! was under way.

mod moments;
mod trio;

use std::collections::{HashMap, HashSet};
use std::io::Write as _;

use scanhost_tests::upstream::Ledger;

use self::moments::Moment;
use self::trio::{Cell, Side, Trio};
use crate::book::Book;
use crate::running::Running;

/// What the test expects of the store, and what it saw so far.
struct Watch {
    lab: Trio,
    before: Book,
    /// What the ledger held while a pass was young, by the pass's id; all its readings are of that.
    truths: HashMap<String, Ledger>,
    asked: HashMap<&'static str, u64>,
    kills: u64,
}

impl Watch {
    fn new(seed: u64) -> Self {
        Self {
            lab: Trio::new(seed),
            before: Book::default(),
            truths: HashMap::new(),
            asked: HashMap::new(),
            kills: 0,
        }
    }

    /// Changes the amounts of every chain that has no unfinished pass.
    fn grow(&self) {
        for side in &self.lab.sides {
            if !is_running(&self.before, side.chain) {
                self.lab.grow(side);
            }
        }
    }

    /// Holds what a run left against what there was before it.
    fn check(&mut self) {
        let after = self.lab.book();
        after.check();
        let kept = after.events.get(..self.before.events.len());
        assert_eq!(kept, Some(&*self.before.events), "no event goes or changes");
        let cells = self.lab.take_cells();
        for side in &self.lab.sides {
            let asked = cells.get(side.chain).cloned().unwrap_or_default();
            *self.asked.entry(side.chain).or_default() += asked.values().sum::<u64>();
            self.check_asked(side, &asked.into_keys().collect());
            if let Some(pass) = after.pass(side.chain) {
                let truth = || self.lab.ledger(side);
                self.truths.entry(pass.id.clone()).or_insert_with(truth);
            }
        }
        for side in &self.lab.sides {
            self.check_readings(&after, side);
        }
        self.before = after;
    }

    /// What an unfinished pass had committed is not asked for again.
    fn check_asked(&self, side: &Side, asked: &HashSet<Cell>) {
        let Some(pass) = self.before.pass(side.chain) else {
            return;
        };
        if pass.status != "running" {
            return;
        }
        let committed = self.before.readings_of(&pass.id);
        let committed: HashSet<Cell> = committed.map(|it| side.cell_of(it)).collect();
        let again: Vec<&Cell> = committed.intersection(asked).collect();
        assert!(again.is_empty(), "{}: asked again: {again:?}", side.chain);
    }

    /// The store holds what the ledger held, and each changed reading has its one event.
    fn check_readings(&self, book: &Book, side: &Side) {
        let rows = book.balances.iter().filter(|row| row.chain == side.chain);
        for row in rows {
            let truth = self.truths.get(&row.pass).expect("passes are seen once");
            let amount = truth.amount_of(&row.address, &row.symbol);
            assert_eq!(
                Some(row.amount.clone()),
                amount.map(|it| it.to_string()),
                "{row:?}"
            );
        }
        let Some(pass) = book.pass(side.chain) else {
            return;
        };
        let readings = book.readings_of(&pass.id).count();
        let written = book.history.get(&pass.id).copied().unwrap_or(0);
        assert_eq!(written, readings, "{}: one row of history each", side.chain);
        let changes = book.events_of(&pass.id, &["balance_changed"]);
        let first = book.passes.iter().find(|it| it.chain == side.chain);
        let is_first = first.is_some_and(|first| first.id == pass.id);
        let expected = if is_first { 0 } else { readings };
        assert_eq!(changes.len(), expected, "{}", side.chain);
        let changed: HashSet<_> = changes
            .iter()
            .map(|event| {
                (
                    event.data["address"].to_string(),
                    event.data["asset"].to_string(),
                )
            })
            .collect();
        assert_eq!(
            changed.len(),
            changes.len(),
            "{}: one event each",
            side.chain
        );
    }
}

fn is_running(book: &Book, chain: &str) -> bool {
    book.pass(chain)
        .is_some_and(|pass| pass.status == "running")
}

/// Kills a scan of three chains this often, then lets it finish.
fn check_kills(seed: u64, kills: u64) {
    let mut watch = Watch::new(seed);
    let mut moments = Moment::row(seed, watch.lab.startup());
    let mut ended = 0;
    while watch.kills < kills {
        watch.grow();
        let moment = moments.next().expect("there is always another");
        let mut scan = Running::start(&watch.lab.product, &["scan", "--format", "json"]);
        let alive = watch.lab.wait_for(&moment, &mut scan);
        scan.kill();
        let run = scan.end();
        // A run may end before its moment comes; that is no kill.
        if alive && run.code == -1 {
            watch.kills += 1;
        } else {
            ended += 1;
            assert_eq!(run.code, 0, "{moment:?}: {}", run.stderr);
        }
        watch.check();
    }
    watch.grow();
    let run = Running::scan(&watch.lab.product).end().expect(0);
    watch.check();
    watch.lab.check_rows(&run);
    let mut passes = Vec::new();
    for side in &watch.lab.sides {
        let mine = watch.before.passes.iter();
        let mine: Vec<_> = mine.filter(|pass| pass.chain == side.chain).collect();
        assert!(
            mine.iter().all(|pass| pass.status == "complete"),
            "{mine:?}"
        );
        let cells = (mine.len() * side.cells()) as u64;
        let asked = watch.asked[side.chain];
        let again = asked - cells;
        assert!(asked >= cells, "{}: {asked} of {cells}", side.chain);
        assert!(
            again <= watch.kills * side.in_flight(),
            "{}: {again} cells were asked again after {} kills",
            side.chain,
            watch.kills
        );
        passes.push(format!(
            "{}: {} passes, {again} cells again",
            side.chain,
            mine.len()
        ));
    }
    let told = passes.join("; ");
    let _ = writeln!(
        std::io::stderr(),
        "seed {seed}: {kills} kills, {ended} runs ended before theirs; {told}"
    );
}

#[test]
fn twenty_kills_lose_and_double_nothing() {
    check_kills(1, 20);
}

#[test]
fn soak_a_hundred_kills_lose_and_double_nothing() {
    check_kills(2, 100);
}
