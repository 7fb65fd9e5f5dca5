//! Failures that belong to single cells: they cost these cells, not the provider.

use scanhost_tests::product::Run;
use scanhost_tests::upstream::{BodyForm, Fault, Kind};
use serde_json::Value;

use crate::lab::{Lab, Plugin, Setup};

const COUNT: usize = 1_000;

/// One provider, or two, and natives alone.
fn natives(plugin: Plugin, count: usize, pool: &[&'static str]) -> Lab {
    let mut lab = Lab::new(plugin, count);
    lab.assets.truncate(1);
    set_up(&lab, pool);
    lab
}

fn set_up(lab: &Lab, pool: &[&'static str]) {
    lab.set_up(&Setup::of(pool).chain("scan = { budget = \"60s\" }"));
}

fn unknown(rows: &[Value]) -> Vec<&Value> {
    rows.iter()
        .filter(|row| row["status"] == "unknown")
        .collect()
}

/// The provider's row shows no failure, and its circuit never opened.
#[track_caller]
fn check_untouched(lab: &Lab) {
    let book = lab.book();
    let key = (lab.plugin.chain().to_owned(), "first".to_owned());
    let health = &book.health[&key];
    assert_eq!(health.status, "healthy", "{health:?}");
    assert_eq!(health.circuit, "closed", "{health:?}");
    assert_eq!(health.fails, 0, "{health:?}");
    let changed = book.events.iter().find(|it| it.kind == "provider_state");
    assert_eq!(changed, None);
}

/// Every call with the address at `place` fails; `chunk` cells travel together.
#[track_caller]
fn check_poisoned(plugin: Plugin, chunk: usize, place: usize, what: &Kind) {
    let scenario = format!("{} {what:?} at {place}", plugin.name());
    let lab = natives(plugin, COUNT, &["first"]);
    let poisoned = lab.addresses[place].clone();
    lab.fault(Fault::at("first", what.clone()).address(&poisoned));
    let run = lab.scan(&[]).expect(3);
    let rows = lab.expect_honest(&run, &lab.truth(), None);
    let left = unknown(&rows);
    assert_eq!(left.len(), 1, "{scenario}: {}", run.stderr);
    assert_eq!(left[0]["address"], *poisoned, "{scenario}");
    assert_eq!(
        left[0]["error"]["class"], "refused",
        "{scenario}: {}",
        left[0]
    );
    let halvings = usize::try_from(chunk.next_power_of_two().ilog2()).expect("a few");
    let most = COUNT.div_ceil(chunk) + 2 * halvings;
    let requests = lab.asked("first").len();
    assert!(
        requests <= most,
        "{scenario}: {requests} of {most} requests"
    );
    check_untouched(&lab);

    set_up(&lab, &["first", "second"]);
    let run = lab.scan(&["--fresh"]).expect(0);
    lab.expect_all_known(&run);
    let elsewhere: usize = lab.asked("second").iter().map(|it| it.native).sum();
    assert_eq!(elsewhere, 1, "{scenario}");
    check_untouched(&lab);
}

fn status(code: u16) -> Kind {
    let body = BodyForm::Json;
    Kind::Status { code, body }
}

/// A JSON-RPC error of the whole call.
fn rpc_error() -> Kind {
    Kind::ErrorIn200 {
        code: Some(-32602),
        message: Some("invalid params".to_owned()),
    }
}

#[test]
fn one_poisoned_address_costs_bsc_rpc_one_cell() {
    for place in [0, 1, 499, 500, 731, 999] {
        check_poisoned(Plugin::BscRpc, 1_000, place, &status(400));
    }
    for what in [status(404), status(500), Kind::Reset, rpc_error()] {
        check_poisoned(Plugin::BscRpc, 1_000, 613, &what);
    }
}

#[test]
fn one_poisoned_address_costs_solana_rpc_one_cell() {
    for place in [0, 99, 100, 555, 999] {
        check_poisoned(Plugin::SolanaRpc, 100, place, &Kind::ItemError);
    }
    for what in [status(400), status(500), Kind::Reset] {
        check_poisoned(Plugin::SolanaRpc, 100, 613, &what);
    }
}

/// The cells that warnings count as left out.
fn left_out(run: &Run) -> usize {
    let counted = run.stderr.lines().filter_map(|line| {
        let (_, rest) = line.split_once("provider `first` left out ")?;
        let (count, _) = rest.split_once(" cells; they are asked again")?;
        count.parse::<usize>().ok()
    });
    counted.sum()
}

#[track_caller]
fn check_left_out(plugin: Plugin, count: usize) {
    let lab = natives(plugin, count, &["first", "second"]);
    lab.fault(Fault::at("first", Kind::Short).native());
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    let elsewhere: usize = lab.asked("second").iter().map(|it| it.native).sum();
    let plugin = plugin.name();
    assert!(elsewhere > 0, "{plugin}");
    assert_eq!(left_out(&run), elsewhere, "{plugin}: {}", run.stderr);
}

#[test]
fn what_a_provider_leaves_out_is_asked_elsewhere_and_counted() {
    check_left_out(Plugin::Bscscan, 230);
    check_left_out(Plugin::SolanaRpc, 230);
}

/// What a provider leaves out once it is asked for again, if nobody else can be.
#[test]
fn what_the_only_provider_leaves_out_once_it_is_asked_again() {
    for plugin in [Plugin::Bscscan, Plugin::SolanaRpc] {
        let lab = natives(plugin, 230, &["first"]);
        lab.fault(Fault::at("first", Kind::Short).native().nth(1..=1));
        let run = lab.scan(&[]).expect(0);
        lab.expect_all_known(&run);
        assert!(left_out(&run) > 0, "{}: {}", plugin.name(), run.stderr);
    }
}

/// One class of cells is down; the other must be known, and each token told once.
#[track_caller]
fn check_alone(plugin: Plugin, native_down: bool, what: &Kind) {
    let scenario = format!("{} {what:?}, native down: {native_down}", plugin.name());
    let lab = Lab::new(plugin, 30);
    let fault = Fault::at("first", what.clone());
    lab.fault(if native_down {
        fault.native()
    } else {
        fault.token()
    });
    let run = lab.scan(&[]).expect(3);
    let rows = lab.expect_honest(&run, &lab.truth(), None);
    let native = lab.assets[0].symbol.as_str();
    for row in &rows {
        let down = (row["asset"] == native) == native_down;
        let expected = if down { "unknown" } else { "known" };
        assert_eq!(row["status"], expected, "{scenario}: {row}\n{}", run.stderr);
    }
    let book = lab.book();
    book.check();
    let pass = book.pass(plugin.chain()).expect("it was begun");
    let told = book.events_of(&pass.id, &["scan_token_error"]);
    let tokens: Vec<&str> = match native_down {
        true => Vec::new(),
        false => lab.assets[1..].iter().map(|it| &*it.symbol).collect(),
    };
    assert_eq!(told.len(), tokens.len(), "{scenario}: {told:?}");
    for token in tokens {
        let event = told.iter().find(|it| it.data["token"] == token);
        let event = event.unwrap_or_else(|| panic!("{scenario}: {token} is not told"));
        assert_eq!(event.data["chain"], plugin.chain(), "{scenario}");
        assert_eq!(event.data["scan"], *pass.id, "{scenario}");
        let error = &event.data["error"];
        assert!(error["class"].is_string(), "{scenario}: {error}");
        assert_eq!(error["providers"][0]["provider"], "first", "{scenario}");
    }
}

#[test]
fn natives_and_tokens_do_not_stop_each_other() {
    for native_down in [true, false] {
        check_alone(Plugin::Bscscan, native_down, &status(500));
        check_alone(Plugin::BscRpc, native_down, &Kind::ItemError);
        check_alone(Plugin::BscRpc, native_down, &status(500));
        check_alone(Plugin::SolanaRpc, native_down, &status(500));
        check_alone(Plugin::SolanaRpc, native_down, &status(500));
    }
}

/// Every provider fails in its own way, and each is named with its class.
#[test]
fn all_providers_are_named_with_their_classes() {
    let lab = natives(Plugin::Blockstream, 3, &["first"]);
    let setup = Setup::of(&["first", "second", "third"]).first("timeout = \"500ms\"");
    lab.set_up(&setup);
    lab.fault(Fault::at("first", Kind::Hang).native());
    lab.fault(Fault::at("second", status(503)).native());
    lab.fault(Fault::at("third", Kind::EmptyObject).native());
    let expected = [
        ("first", "timeout"),
        ("second", "server_error"),
        ("third", "malformed"),
    ];
    let run = lab.scan(&[]).expect(3);
    for row in lab.expect_honest(&run, &lab.truth(), None) {
        let told = row["error"]["providers"]
            .as_array()
            .expect("they are a list");
        assert_eq!(told.len(), expected.len(), "{row}");
        for (name, class) in expected {
            let told = told.iter().find(|told| told["provider"] == name);
            let told = told.unwrap_or_else(|| panic!("{name} is not in {row}"));
            assert_eq!(told["class"], class, "{row}");
            assert!(told["message"].is_string(), "{row}");
        }
    }
    let table = lab.product.run(&["scan", "--fresh"]).expect(3).stdout;
    let csv = lab.product.run(&["scan", "--fresh", "--format", "csv"]);
    let csv = csv.expect(3).stdout;
    for (name, class) in expected {
        let told = format!("{name}: {class}: ");
        assert!(table.contains(&told), "{told}\n{table}");
        assert!(csv.contains(&told), "{told}\n{csv}");
    }
}
