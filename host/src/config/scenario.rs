//! A scenario of `scanhost simulate`: a chain with scripted providers, and what must hold.
//!
//! Keys that the real configuration has too mean the same here, have the same defaults and are
//! read by the same code; all mistakes are told at once, each with its place.

mod expect;
mod fault;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use figment::Figment;

pub use self::expect::{EndingWord, Expect, StateWord};
pub use self::fault::{Fault, FaultWord, Latency, What};
use super::breaker::{Breaker, BreakerKeys};
use super::chain::{self, Strategy};
use super::env::Env;
use super::error::{ConfigErrors, Place};
use super::rate::Window;
use super::reader::{Reader, Table};
use super::{named, read_text, source};
use crate::model::ProviderName;

/// What mistakes are told to be in.
const SCENARIO: &str = "the scenario";
/// Most addresses; more would only take longer.
const ADDRESSES_MAX: u32 = 100_000;
/// Most assets of a chain.
const ASSETS_MAX: u32 = 16;

/// A scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// How many addresses are scanned; at least 1.
    pub addresses: u32,
    /// How many assets each has, the native coin first; at least 1. Default 1.
    pub assets: u32,
    /// What the chain says of itself; `None`: providers are not asked.
    pub identity: Option<String>,
    /// How the pool shares the work.
    pub strategy: Strategy,
    /// A provider that must wait longer is passed over.
    pub spill_after: Duration,
    /// For every provider.
    pub breaker: Breaker,
    /// How passes go.
    pub scan: ScenarioScan,
    /// The providers in the order of the pool; never empty.
    pub providers: Vec<Script>,
    /// What must hold beside what must hold always.
    pub expect: Expect,
}

/// `[scan]` of a scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScenarioScan {
    /// How long a pass goes on without an answer; at least twice the longest cooldown.
    pub budget: Duration,
    /// Failed rounds in a row after which a pass may end early.
    pub max_pool_failures: u32,
    /// How many passes are made. Default 1.
    pub passes: u32,
    /// Time from the start of one pass to the next; zero: one after the other.
    pub every: Duration,
}

/// `[providers.NAME]` of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The table's name.
    pub name: ProviderName,
    /// Most cells in a call. Default 100.
    pub batch: u32,
    /// Most addresses in a call. Default: as many as cells.
    pub addresses_per_call: u32,
    /// Calls at once. Default 8.
    pub connections: u32,
    /// For one request. Default 15 s.
    pub timeout: Duration,
    /// How many calls it allows; more are answered with 429. Default: any number.
    pub limits: Vec<Window>,
    /// How long an answer takes. Default 20 ms.
    pub latency: Latency,
    /// What it says of itself. Default: the chain's.
    pub identity: Option<String>,
    /// What goes wrong with it, and when; the first that applies decides.
    pub faults: Vec<Fault>,
}

/// Reads a scenario.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn load_scenario(path: &Path) -> Result<Scenario, ConfigErrors> {
    let text = read_text(path, SCENARIO, "").map_err(|errors| errors.within(SCENARIO))?;
    load_scenario_text(path, &text)
}

/// Reads `text` as if it stood in `path`.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn load_scenario_text(path: &Path, text: &str) -> Result<Scenario, ConfigErrors> {
    read_scenario(path, text).map_err(|errors| errors.within(SCENARIO))
}

fn read_scenario(path: &Path, text: &str) -> Result<Scenario, ConfigErrors> {
    let file = path.display().to_string();
    let source = source::parse(&file, text);
    if let Some(errors) = ConfigErrors::of(source.syntax) {
        return Err(errors);
    }
    // A scenario has one layer: neither defaults of a chain nor variables lie over it.
    let reader = Reader {
        figment: &Figment::new(),
        places: &source.places,
        env: &Env::default(),
        base: Path::new(""),
        errors: RefCell::new(source.findings),
        warnings: RefCell::default(),
        effective: RefCell::default(),
    };
    let scenario = read(Table::root(&reader, source.dict));
    match (ConfigErrors::of(reader.errors.take()), scenario) {
        (Some(errors), _) => Err(errors),
        (None, Some(scenario)) => Ok(scenario),
        (None, None) => {
            let place = Place::Whole(file.into());
            Err(ConfigErrors::one(place, "failed to read the scenario"))
        }
    }
}

fn read(mut root: Table<'_>) -> Option<Scenario> {
    let addresses = within(&mut root, "addresses", 1..=ADDRESSES_MAX);
    if !root.has("addresses") {
        root.wrong("addresses", "is missing; say how many are scanned");
    }
    let assets = within(&mut root, "assets", 1..=ASSETS_MAX);
    let identity = root.optional::<String>("identity");
    let strategy = root.optional("strategy").unwrap_or(Strategy::Failover);
    let spill_after = root.optional("spill_after");
    let breaker = breaker(&mut root);
    let scan = scan(&mut root, &breaker);
    let tables = named(&mut root, "providers");
    let names: Vec<_> = tables
        .iter()
        .map(|(name, _)| ProviderName::from(name.as_str()))
        .collect();
    let pool = chain::pool(&mut root, &names);
    let mut scripts: Vec<Script> = tables
        .into_iter()
        .filter_map(|(name, item)| Some((name, item.table("a table")?)))
        .map(|(name, table)| script(ProviderName::from(name), table, addresses.unwrap_or(1)))
        .collect();
    let expect = expect::read(root.table("expect"), &names);
    root.finish();
    let pool = pool?;
    let place = |script: &Script| pool.iter().position(|name| *name == script.name);
    scripts.retain(|script| place(script).is_some());
    scripts.sort_by_key(place);
    Some(Scenario {
        addresses: addresses?,
        assets: assets.unwrap_or(1),
        identity,
        strategy,
        spill_after: spill_after.unwrap_or(Duration::from_secs(2)),
        breaker,
        scan,
        providers: scripts,
        expect,
    })
}

fn breaker(root: &mut Table<'_>) -> Breaker {
    let Some(table) = root.table("breaker") else {
        return Breaker::DEFAULT;
    };
    let places = table.clone();
    let breaker = BreakerKeys::read(table).over(&Breaker::DEFAULT);
    for (key, message) in breaker.contradictions() {
        places.wrong(key, message);
    }
    breaker
}

fn scan(root: &mut Table<'_>, breaker: &Breaker) -> ScenarioScan {
    let mut scan = ScenarioScan {
        budget: Duration::from_secs(10 * 60),
        max_pool_failures: 5,
        passes: 1,
        every: Duration::ZERO,
    };
    if let Some(mut table) = root.table("scan") {
        scan.budget = table.optional("budget").unwrap_or(scan.budget);
        let failures = within(&mut table, "max_pool_failures", 1..=u32::MAX);
        scan.max_pool_failures = failures.unwrap_or(scan.max_pool_failures);
        scan.passes = within(&mut table, "passes", 1..=10_000).unwrap_or(scan.passes);
        scan.every = table.optional("every").unwrap_or(scan.every);
        table.finish();
    }
    scan.budget = scan.budget.max(2 * breaker.longest_cooldown());
    scan
}

fn script(name: ProviderName, mut table: Table<'_>, addresses: u32) -> Script {
    let batch = within(&mut table, "batch", 1..=ADDRESSES_MAX).unwrap_or(100);
    let per_call = within(&mut table, "addresses_per_call", 1..=ADDRESSES_MAX);
    let faults = table
        .tables("faults")
        .into_iter()
        .filter_map(|table| fault::read(table, addresses))
        .collect();
    let script = Script {
        name,
        batch,
        addresses_per_call: per_call.unwrap_or(batch),
        connections: within(&mut table, "connections", 1..=1_000).unwrap_or(8),
        timeout: table.optional("timeout").unwrap_or(Duration::from_secs(15)),
        limits: table.optional("limits").unwrap_or_default(),
        latency: table.optional("latency").unwrap_or_default(),
        identity: table.optional("identity"),
        faults,
    };
    table.finish();
    script
}

/// A number that makes sense; another one is recorded as a mistake.
fn within(
    table: &mut Table<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    let number: u32 = table.optional(key)?;
    if range.contains(&number) {
        return Some(number);
    }
    let (least, most) = range.into_inner();
    table.wrong(key, format_args!("must be from {least} to {most}"));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_text;

    /// The least that a scenario says.
    const LEAST: &str = "addresses = 10\npool = [\"a\"]\n[providers.a]\n";

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let error = load_scenario_text(Path::new("bad.toml"), text).unwrap_err();
        let told: Vec<_> = error.findings().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        assert!(error.to_string().ends_with(" in the scenario"), "{error}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(
                told.contains(expected),
                "{told:?} does not say {expected:?}"
            );
        }
    }

    #[test]
    fn defaults_are_those_of_the_real_configuration() {
        let scenario = load_scenario_text(Path::new("s.toml"), LEAST).unwrap();
        let text = "[chains.c]\nidentity = \"1\"\npool = [\"a\"]\n\
                    [[chains.c.assets]]\nsymbol = \"C\"\ndecimals = 8\n\
                    [providers.a]\nplugin = \"p\"\nendpoint = \"https://example.org\"\n";
        let real = load_text(Path::new("c.toml"), text, &Env::default()).unwrap();
        let chain = &real.config.chains["c"];
        let provider = &real.config.providers["a"];
        assert_eq!(scenario.breaker, chain.breaker);
        assert_eq!(scenario.strategy, chain.strategy);
        assert_eq!(scenario.spill_after, chain.spill_after);
        assert_eq!(scenario.scan.budget, chain.scan.budget);
        assert_eq!(
            scenario.scan.max_pool_failures,
            chain.scan.max_pool_failures
        );
        assert_eq!(scenario.providers[0].connections, provider.connections);
        assert_eq!(scenario.providers[0].timeout, provider.timeout);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        check("", &["`addresses`: is missing", "`pool`: is missing"]);
        check(
            "addresses = 0\npool = [\"b\"]\ncolor = 1\n[providers.bb]\nbach = 3\n",
            &[
                "bad.toml:1:13: `addresses`: must be from 1",
                "bad.toml:2:9: `pool[0]`: unknown provider `b`",
                "bad.toml:3:1: unknown key `color`",
                "bad.toml:5:1: unknown key `providers.bb.bach`; did you mean `batch`?",
            ],
        );
    }

    #[test]
    fn faults_take_the_keys_of_their_kind_only() {
        let with = |fault: &str| format!("{LEAST}[[providers.a.faults]]\n{fault}");
        check(&with("what = \"dwon\""), &["did you mean `down`?"]);
        check(&with("from = \"1s\""), &["missing key `what`"]);
        check(
            &with("what = \"down\"\nretry_after = \"1s\""),
            &["unknown key"],
        );
        check(
            &with("what = \"poison\"\naddresses = [10]"),
            &["from 0 to 9"],
        );
        check(
            &with("what = \"down\"\nduty = 0.5"),
            &["has no effect without `period`"],
        );
        check(
            &with("what = \"down\"\nfrom = \"9s\"\nuntil = \"9s\""),
            &["is not after `from`"],
        );
        check(&with("what = \"slow\""), &["missing key `latency`"]);
    }

    #[test]
    fn expectations_name_providers_of_the_scenario() {
        let with = |expect: &str| format!("{LEAST}[expect]\n{expect}");
        check(&with("max_calls = { b = 1 }"), &["there are `a`"]);
        check(&with("ending = \"done\""), &["`complete`"]);
        check(&with("hole = 1"), &["did you mean `holes`?"]);
    }
}
