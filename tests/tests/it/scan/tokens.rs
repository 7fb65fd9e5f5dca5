//! OAuth2: tokens that the host fetches, renews and shows to nobody.

use scanhost_tests::product::Run;
use scanhost_tests::upstream::{BodyForm, Fault, Kind, Oauth2};

use super::keys::{Elsewhere, check_unseen, loud};
use crate::lab::{Lab, Plugin, Setup};

const ID: &str = "client-17a2b3c4d5";
const SECRET: &str = "secret-e6f708192a";
/// The files that hold them.
const FILES: [&str; 2] = ["client.id", "client.secret"];
/// What every token of the simulator begins with.
const TOKEN: &str = "token-1";

/// A ledger behind an enterprise host, whose tokens come from another port.
fn lab(count: usize, more: &str) -> Lab {
    lab_of(count, more, &Setup::of(&["first"]))
}

fn lab_of(count: usize, more: &str, setup: &Setup) -> Lab {
    let lab = Lab::new(Plugin::Blockstream, count);
    lab.upstream.with(|world| {
        let host = world.host_mut("first").expect("it is there");
        host.oauth2 = Some(Oauth2::new(ID, SECRET));
    });
    lab.product.write(FILES[0], ID);
    lab.product.write(FILES[1], SECRET);
    let oauth2 = format!(
        "{more}oauth2 = {{ token_url = \"{}/first/token\", client_id = {{ file = {:?} }}, \
         client_secret = {{ file = {:?} }}, scope = \"openid\" }}\n",
        lab.upstream.base_url, FILES[0], FILES[1]
    );
    loud(&lab, &setup.clone().first(&oauth2));
    lab
}

/// How many requests for a token came.
fn fetched(lab: &Lab) -> usize {
    let log = lab.upstream.log();
    log.iter().filter(|entry| entry.method == "/token").count()
}

#[track_caller]
fn check_hidden(lab: &Lab, run: &Run) {
    check_unseen(lab, run, ID, &FILES);
    check_unseen(lab, run, SECRET, &FILES);
    check_unseen(lab, run, TOKEN, &[]);
}

/// What the first row says of its one provider: class and message.
#[track_caller]
fn said(lab: &Lab, run: &Run) -> (String, String) {
    let rows = lab.expect_honest(run, &lab.truth(), None);
    let said = &rows[0]["error"]["providers"][0];
    let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    (text("class"), text("message"))
}

#[test]
fn one_token_serves_a_scan_and_is_shown_to_nobody() {
    let lab = lab(8, "");
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    assert_eq!(fetched(&lab), 1);
    check_hidden(&lab, &run);
}

#[test]
fn a_token_that_is_refused_is_replaced_and_the_scan_goes_on() {
    let lab = lab(8, "");
    let body = BodyForm::Json;
    let refused = Kind::Status { code: 401, body };
    lab.fault(Fault::at("first", refused).on("address").nth(3..=3));
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    assert_eq!(fetched(&lab), 2);
    check_hidden(&lab, &run);
}

#[test]
fn a_token_that_ends_within_a_scan_is_renewed() {
    // Slower than the tokens end, and in no hurry.
    let setup = Setup::of(&["first"]).chain("scan = { budget = \"60s\" }");
    let lab = lab_of(12, "limits = [\"5/s\"]\n", &setup);
    lab.upstream.with(|world| {
        let host = world.host_mut("first").expect("it is there");
        let oauth2 = host.oauth2.as_mut().expect("it was put there");
        oauth2.token_life_ms = 1_000;
    });
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    assert!(fetched(&lab) >= 2, "{}", fetched(&lab));
    check_hidden(&lab, &run);
}

#[test]
fn refused_credentials_hold_the_provider() {
    let lab = lab(3, "");
    lab.product.write(FILES[1], "wrong-5d4c3b2a10");
    let run = lab.scan(&[]).expect(3);
    let (class, message) = said(&lab, &run);
    assert_eq!(class, "unauthorized", "{message}");
    assert!(message.contains("check `client_id`"), "{message}");
    // Held: nobody goes on knocking.
    assert_eq!(fetched(&lab), 1);
    assert!(lab.asked("first").is_empty());
    check_unseen(&lab, &run, "wrong-5d4c3b2a10", &FILES);
}

#[test]
fn a_token_server_that_fails_is_a_failure_of_its_provider() {
    let body = BodyForm::Html;
    for (what, expected) in [
        (Kind::Status { code: 503, body }, "server_error"),
        (Kind::Reset, "transport"),
        (Kind::Hang, "timeout"),
        (Kind::Html, "malformed"),
    ] {
        let lab = lab(2, "timeout = \"300ms\"\n");
        lab.fault(Fault::at("first", what).on("token"));
        let run = lab.scan(&[]).expect(3);
        let (class, message) = said(&lab, &run);
        assert_eq!(class, expected, "{message}");
        assert!(
            message.contains("failed to fetch an OAuth2 token"),
            "{message}"
        );
        assert!(lab.asked("first").is_empty());
        check_hidden(&lab, &run);
    }
}

#[test]
fn a_redirect_takes_neither_token_nor_secret_along() {
    for on in ["address", "token"] {
        let elsewhere = Elsewhere::start();
        let lab = lab(3, "");
        let location = format!("{}/first/{on}", elsewhere.url);
        lab.fault(Fault::at("first", Kind::Redirect { location }).on(on));
        let run = lab.scan(&[]).expect(3);
        let (class, message) = said(&lab, &run);
        assert_eq!(class, "transport", "{message}");
        assert_eq!(elsewhere.seen(), b"", "nobody calls there");
        check_hidden(&lab, &run);
    }
}

#[test]
fn two_ways_to_authorize_are_an_error_of_the_configuration() {
    let lab = lab(1, "api_key = { file = \"client.id\" }\n");
    let run = lab.product.run(&["config", "check"]).expect(2);
    let expected = "`oauth2` and `api_key` both set `Authorization`";
    assert!(
        run.stderr.contains(expected),
        "{}{}",
        run.stdout,
        run.stderr
    );
}
