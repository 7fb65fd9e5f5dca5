//! Forecasts of pools that are data.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::Strategy;
use crate::model::{Commitment, Symbol};
use crate::plugin::Cost;

const NOW_MS: i64 = 1_795_219_200_000;

fn assets(natives: usize, tokens: usize) -> Vec<Asset> {
    (0..natives + tokens)
        .map(|index| Asset {
            symbol: Symbol::from(format!("A{index}")),
            contract: (index >= natives).then(|| format!("c{index}").into()),
            decimals: 18,
        })
        .collect()
}

fn caps(reads: (bool, bool), cells: usize, assets: usize, cost: Cost) -> Caps {
    Caps {
        native: reads.0,
        tokens: reads.1,
        pinned: false,
        min_height: false,
        derive: false,
        cells_max: cells,
        addresses_max: cells,
        assets_max: assets,
        cost,
        token_scope: "wallet",
        commitment_default: Commitment::Latest,
    }
}

/// One native balance per request, and the tip first.
fn esplora() -> Caps {
    let cost = Cost {
        native_cell: 1,
        once: 2,
        ..Cost::default()
    };
    caps((true, false), 1, 1, cost)
}

/// Twenty natives in a request, a token balance in each; decimals first.
fn explorer() -> Caps {
    let cost = Cost {
        native_batch: 1,
        token_cell: 1,
        once_per_token: 1,
        ..Cost::default()
    };
    caps((true, true), 20, 1, cost)
}

/// So many cells in a request.
fn node(cells: usize) -> Caps {
    let cost = Cost {
        call: 1,
        ..Cost::default()
    };
    caps((true, true), cells, 1_000, cost)
}

fn pool(providers: &[Caps], addresses: u64, natives: usize, tokens: usize) -> Pool {
    let providers = providers.iter().enumerate();
    let provider = |(index, caps): (usize, &Caps)| Provider {
        caps: *caps,
        cells_max: caps.cells_max,
        connections: 8,
        limits: index,
    };
    Pool {
        providers: providers.map(provider).collect(),
        strategy: Strategy::Failover,
        spill_after: Duration::from_secs(2),
        asks_identity: true,
        assets: assets(natives, tokens),
        addresses,
    }
}

fn limits(of: &[&[&str]]) -> Vec<Limits> {
    let limits = |texts: &&[&str]| Limits {
        windows: texts.iter().map(|text| text.parse().unwrap()).collect(),
        quotas: Vec::new(),
    };
    of.iter().map(limits).collect()
}

fn run(pool: &Pool, of: &[&[&str]]) -> Forecast {
    forecast(std::slice::from_ref(pool), &limits(of), NOW_MS)
}

/// Cells, calls, requests and start-up of each provider.
fn shares(forecast: &Forecast, index: usize) -> Vec<(u64, u64, u64, u64)> {
    let shares = forecast.pools[index].shares.iter();
    let share = |it: &Share| (it.cells, it.calls, it.requests, it.start_up);
    shares.map(share).collect()
}

fn secs(duration: Duration) -> u64 {
    duration.as_secs()
}

#[test]
fn one_provider_sends_what_its_costs_say() {
    #[track_caller]
    fn check(caps: Caps, addresses: u64, tokens: usize, expected: (u64, u64, u64, u64)) {
        let forecast = run(&pool(&[caps], addresses, 1, tokens), &[&[]]);
        assert_eq!(shares(&forecast, 0), [expected]);
    }
    check(esplora(), 0, 0, (0, 0, 0, 0));
    check(esplora(), 1, 0, (1, 1, 4, 3));
    check(esplora(), 5_000, 0, (5_000, 5_000, 5_003, 3));
    check(explorer(), 1, 0, (1, 1, 2, 1));
    check(explorer(), 1, 2, (3, 3, 6, 3));
    check(explorer(), 100, 2, (300, 15, 208, 3));
    check(explorer(), 101, 2, (303, 18, 211, 3));
    check(explorer(), 5_000, 2, (15_000, 750, 10_253, 3));
    check(node(1_000), 1, 2, (3, 1, 2, 1));
    check(node(1_000), 333, 2, (999, 1, 2, 1));
    check(node(1_000), 334, 2, (1_002, 2, 3, 1));
    check(node(1_000), 5_000, 2, (15_000, 15, 16, 1));
    check(node(1), 7, 1, (14, 14, 15, 1));
}

#[test]
fn few_addresses_in_a_call_bound_its_cells() {
    let few = Caps {
        addresses_max: 10,
        ..node(100)
    };
    let forecast = run(&pool(&[few], 25, 1, 2), &[&[]]);
    assert_eq!(shares(&forecast, 0), [(75, 3, 4, 1)]);
}

#[test]
fn sizes_that_were_learned_count() {
    let mut pool = pool(&[node(1_000)], 1_000, 1, 0);
    pool.providers[0].cells_max = 300;
    pool.asks_identity = false;
    assert_eq!(shares(&run(&pool, &[&[]]), 0), [(1_000, 4, 4, 0)]);
}

#[test]
fn each_cell_goes_to_the_first_that_reads_it() {
    let both = run(&pool(&[node(100), explorer()], 50, 1, 1), &[&[], &[]]);
    assert_eq!(shares(&both, 0), [(100, 1, 2, 1), (0, 0, 0, 0)]);
    let tokens_go_on = run(&pool(&[esplora(), node(100)], 50, 1, 1), &[&[], &[]]);
    assert_eq!(shares(&tokens_go_on, 0), [(50, 50, 53, 3), (50, 1, 2, 1)]);
    let unreadable = run(&pool(&[esplora()], 50, 1, 2), &[&[]]);
    assert_eq!(shares(&unreadable, 0), [(50, 50, 53, 3)]);
    assert_eq!(unreadable.pools[0].unreadable, 100);
    let nobody = run(&pool(&[], 50, 1, 0), &[]);
    assert_eq!(nobody.pools[0].unreadable, 50);
}

#[test]
fn limits_make_the_time() {
    #[track_caller]
    fn check(caps: Caps, addresses: u64, windows: &[&str], ends_secs: u64) {
        let forecast = run(&pool(&[caps], addresses, 1, 0), &[windows]);
        assert_eq!(secs(forecast.pools[0].ends()), ends_secs);
    }
    // 1,003 requests at 5 a second.
    check(esplora(), 1_000, &["5/s"], 200);
    // 10,003 at 700 an hour: 14 hours are full, 203 are left at 5 a second.
    check(esplora(), 10_000, &["5/s", "700/h"], 14 * 3_600 + 40);
    check(explorer(), 10_000, &["3/s"], 166);
    check(node(1_000), 5_000, &["30/s"], 0);
}

#[test]
fn the_tightest_limit_is_told() {
    let tightest = |addresses| {
        let forecast = run(&pool(&[esplora()], addresses, 1, 0), &[&["5/s", "700/h"]]);
        forecast.spent[0].tightest.map(|(limit, _)| limit)
    };
    let window = |text: &str| Some(Limit::Window(text.parse().unwrap()));
    assert_eq!(tightest(2), None);
    assert_eq!(tightest(600), window("5/s"));
    assert_eq!(tightest(2_000), window("700/h"));
}

#[test]
fn work_spills_where_the_first_must_wait_too_long() {
    let second = Caps {
        cost: Cost {
            once: 0,
            ..esplora().cost
        },
        ..esplora()
    };
    let mut pool = pool(&[esplora(), second], 1_000, 1, 0);
    // A second is waited for: nothing spills.
    let held = run(&pool, &[&["5/s"], &["5/s"]]);
    assert_eq!(held.pools[0].shares[1], Share::default());
    assert_eq!(secs(held.pools[0].ends()), 200);
    // An hour is not: what is left of the 700 goes to the second, at its own rate.
    let spilt = run(&pool, &[&["5/s", "700/h"], &["3/s"]]);
    assert_eq!(shares(&spilt, 0), [(697, 697, 700, 3), (303, 303, 304, 1)]);
    assert_eq!(secs(spilt.pools[0].ends()), 139 + 101);
    // Of two that spill at once the rates add up.
    pool.spill_after = Duration::from_millis(100);
    let both = run(&pool, &[&["5/s"], &["5/s"]]);
    assert_eq!(secs(both.pools[0].ends()), 100);
}

#[test]
fn a_call_is_cut_where_a_long_limit_ends() {
    let pool = pool(&[explorer(), node(1_000)], 60, 1, 2);
    let forecast = run(&pool, &[&["50/h"], &[]]);
    // Identity, twice decimals, 20 natives, 40 token balances; then what 6 requests may hold at
    // most, 6 natives in one, and of the 5 that are left 5 token balances.
    assert_eq!(shares(&forecast, 0), [(71, 5, 50, 3), (109, 1, 2, 1)]);
    assert_eq!(secs(forecast.pools[0].ends()), 0);
}

#[test]
fn spread_shares_by_rate() {
    let mut pool = pool(&[esplora(), esplora()], 4_000, 1, 0);
    pool.strategy = Strategy::Spread;
    let forecast = run(&pool, &[&["3/s"], &["1/s"]]);
    let cells: Vec<u64> = shares(&forecast, 0).iter().map(|it| it.0).collect();
    assert!(cells[0].abs_diff(3_000) <= 6, "{cells:?}");
    assert_eq!(secs(forecast.pools[0].ends()), 1_001);
    // Without limits each takes the same number of calls.
    let unlimited = run(&pool, &[&[], &[]]);
    let cells: Vec<u64> = shares(&unlimited, 0).iter().map(|it| it.0).collect();
    assert_eq!(cells.iter().sum::<u64>(), 4_000);
    assert!(cells[0].abs_diff(2_000) <= 8, "{cells:?}");
}

#[test]
fn pools_share_the_limits_that_they_share() {
    let one = pool(&[esplora()], 1_000, 1, 0);
    let forecast = forecast(&[one.clone(), one], &limits(&[&["5/s"]]), NOW_MS);
    assert_eq!(forecast.spent[0].requests, 2_006);
    for pool in &forecast.pools {
        assert!((400..=401).contains(&secs(pool.ends())), "{pool:?}");
    }
}

#[test]
fn a_quota_that_is_gone_is_waited_for_until_midnight() {
    let quota: Quota = "100/day".parse().unwrap();
    let limits = [Limits {
        windows: Vec::new(),
        quotas: vec![QuotaLeft { quota, used: 40 }],
    }];
    let pool = pool(&[node(1)], 99, 1, 0);
    let forecast = forecast(&[pool], &limits, NOW_MS + 23 * 3_600_000);
    assert_eq!(forecast.spent[0].requests, 100);
    assert_eq!(secs(forecast.pools[0].ends()), 3_600);
    let tightest = forecast.spent[0].tightest.map(|(limit, _)| limit);
    assert_eq!(tightest, Some(Limit::Quota(quota)));
}

proptest! {
    /// Every readable cell is read once, and where a call may hold any of its cells the number of
    /// calls is the least there can be.
    #[test]
    fn all_cells_are_read_in_full_calls(
        addresses in 0_u64..3_000,
        tokens in 0_usize..6,
        cells in 1_usize..1_500,
        connections in 1_usize..12,
    ) {
        let mut pool = pool(&[node(cells)], addresses, 1, tokens);
        pool.providers[0].connections = connections;
        let share = run(&pool, &[&[]]).pools[0].shares[0];
        let all = addresses * (1 + tokens as u64);
        prop_assert_eq!(share.cells, all);
        prop_assert_eq!(share.calls, all.div_ceil(cells as u64));
        prop_assert_eq!(share.requests, share.calls + u64::from(all > 0));
    }

    /// Limits change when, never what.
    #[test]
    fn limits_cost_no_request(
        addresses in 0_u64..500,
        tokens in 0_usize..3,
        rate in 1_u32..50,
        per in "[smhd]",
    ) {
        let pool = pool(&[explorer()], addresses, 1, tokens);
        let rate = format!("{rate}/{per}");
        let limited = run(&pool, &[&[&rate]]);
        let share = limited.pools[0].shares[0];
        prop_assert_eq!(share.cells, addresses * (1 + tokens as u64));
        // A call holds cells of one asset; at the end of the list it may hold fewer than 20.
        let natives = share.requests - share.start_up - addresses * tokens as u64;
        prop_assert!(natives >= addresses.div_ceil(20));
        prop_assert!(natives <= addresses.div_ceil(20) + addresses.div_ceil(500));
    }
}
