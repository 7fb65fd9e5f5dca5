//! Plugins that panic, hang or answer garbage.

use scanhost_tests::fixtures;
use tokio::time::Instant;

use super::{
    ADDRESSES, LONGEST, Lab, assert_all_unknown, assert_echoed, assert_left_out, echo_service,
    known_of,
};

#[tokio::test(flavor = "multi_thread")]
async fn panics_cost_their_provider_alone() {
    let lab = Lab::start().await;
    for (place, message) in [
        ("open", "the fixture panics in Open"),
        ("caps", "the fixture panics in Caps"),
    ] {
        let run = lab.scan_with("fixture-panics", &format!("panic = {place:?}"), 3);
        assert_left_out(&run, message);
    }
    for (place, message) in [
        ("identity", "the fixture panics in Identity"),
        ("balances", "the fixture panics in Balances"),
        ("resumed", "the fixture panics in Resumed"),
        ("payload", "panic in balances: (no message)"),
    ] {
        let run = lab.scan_with("fixture-panics", &format!("panic = {place:?}"), 3);
        assert_all_unknown(&run, message);
    }
    // Nobody could check the addresses; they are asked for as they stand.
    for place in ["never", "drop", "validate"] {
        let run = lab.scan_with("fixture-panics", &format!("panic = {place:?}"), 0);
        assert_eq!(known_of(&run), ADDRESSES.len(), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_never_an_amount() {
    let lab = Lab::start().await;
    let all = ADDRESSES.len();
    for (wrong, known) in [
        ("nothing", all),
        ("missing", all - 1),
        ("empty", 0),
        ("doubled", all - 1),
        // A plugin that cannot count its cells is believed nothing.
        ("out_of_range", 0),
        ("last_index", 0),
        ("flood", 0),
        ("kind", all - 1),
        ("no_reason", all - 1),
        ("error_kind", all - 1),
        ("huge_message", all - 1),
        ("nuls", all - 1),
        ("huge_error", 0),
        ("no_caps", 0),
        ("huge_identity", 0),
        // Nobody could check the addresses; they are asked for as they stand.
        ("huge_address", all),
        ("empty_address", all),
    ] {
        let code = if known == all { 0 } else { 3 };
        let run = lab.scan_with("fixture-garbage", &format!("wrong = {wrong:?}"), code);
        assert_eq!(known_of(&run), known, "{wrong}:\n{}", run.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hangs_end_and_cost_their_provider_alone() {
    let lab = Lab::start().await;
    // One deadline is longer than a poll may take, the others are shorter.
    for (place, timeout, message) in [
        ("open", "15s", "[open_deadline]"),
        ("validate", "15s", "the plugin hangs; it is in quarantine"),
        ("identity", "15s", "the plugin hangs; it is in quarantine"),
        ("balances", "15s", "the plugin hangs; it is in quarantine"),
        ("busy", "15s", "the plugin hangs; it is in quarantine"),
        ("identity", "1s", "the plugin did not finish within 2 s"),
        ("balances", "1s", "the plugin did not finish within 2 s"),
        ("pending", "1s", "the plugin did not finish within 2 s"),
        ("awake", "1s", "the plugin did not finish within 2 s"),
    ] {
        let began = Instant::now();
        let option = format!("hang = {place:?}");
        let run = lab.scan_within(timeout, "fixture-hangs", &option, 3);
        assert!(began.elapsed() < LONGEST, "{place} in {timeout}");
        assert_all_unknown(&run, message);
    }
    let run = lab.scan_with("fixture-hangs", "hang = 'never'", 0);
    assert_eq!(known_of(&run), ADDRESSES.len());
}

/// The next provider of the chain knows what the hung one does not tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_hung_plugin_costs_no_cell_that_another_provider_reads() {
    let lab = Lab::start().await;
    let files = ["fixture-hangs", "fixture-echo"]
        .map(|name| fixtures::plugin(name).unwrap_or_else(|error| panic!("{error}")));
    let folder = lab.folder(&[&files[0], &files[1]]);
    let service = echo_service().await;
    for (place, timeout) in [("balances", "15s"), ("pending", "1s"), ("identity", "1s")] {
        let more = format!("timeout = {timeout:?}\n[providers.odd.options]\nhang = {place:?}");
        let config = lab
            .config(&[&folder], "fixture-hangs", &lab.upstream.base_url, &more)
            .provider("echo", "fixture-echo", &service, "");
        let product = lab.product(&config);
        let text = config.text();
        let pool = "pool = [\"odd\"]";
        assert!(text.contains(pool));
        // A hang takes longer than these chains have patience.
        let both = text
            .replacen(pool, "pool = [\"odd\", \"echo\"]", 1)
            .replace("budget = \"2s\"", "budget = \"60s\"");
        product.write("scanhost.toml", both);
        let began = Instant::now();
        let run = product.run(&["scan", "--format", "json"]).expect(0);
        assert!(began.elapsed() < LONGEST, "{place} in {timeout}");
        lab.expect_unharmed(&run);
        assert_echoed(&run);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_is_not_there_costs_its_provider_and_one_of_its_own_works() {
    let lab = Lab::start().await;
    let run = lab.scan_with("fixture-tokio", "runtime = 'none'", 3);
    assert_all_unknown(&run, "there is no reactor running");
    let run = lab.scan_with("fixture-tokio", "runtime = 'own'", 0);
    assert_eq!(known_of(&run), ADDRESSES.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_another_allocator_is_freed_where_it_comes_from() {
    let lab = Lab::start().await;
    let run = lab.scan_with("fixture-allocator", "", 0);
    assert_eq!(known_of(&run), ADDRESSES.len());
}
