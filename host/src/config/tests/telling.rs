//! `[[webhooks]]` and `[[alerts]]`: what they take, and what they say of mistakes.

use std::time::Duration;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// `SMALL` with an address list and a table of a list behind it.
fn with(table: &str) -> String {
    let list = "assets = [{ symbol = \"BNB\", decimals = 18 }]\naddresses = [{ set = \"hot\" }]";
    let small = SMALL.replacen("assets = [{ symbol = \"BNB\", decimals = 18 }]", list, 1);
    format!("{small}\n{table}")
}

fn webhook(more: &str) -> String {
    with(&format!(
        "[[webhooks]]\nname = \"ops\"\nsecret = {{ env = \"HOOK\" }}\n{more}"
    ))
}

fn alert(more: &str) -> String {
    with(&format!(
        "[[alerts]]\nname = \"low\"\nchain = \"bsc\"\n{more}"
    ))
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let variables = [("HOOK", SECRET), ("URL", "https://a.example/?token=x")];
    let found = errors(text, &variables);
    let found: Vec<_> = found
        .iter()
        .map(|line| {
            line.split_once(": ")
                .map_or(line.as_str(), |(_, rest)| rest)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_webhook_has_defaults_and_its_key_is_what_the_secret_spells() {
    let text = webhook("url = \"https://a.example/b/c\"\n");
    let config = good(&text, &[("HOOK", SECRET)]).config;
    let [webhook] = config.webhooks.as_slice() else {
        panic!("{:?}", config.webhooks);
    };
    assert_eq!(webhook.timeout, Duration::from_secs(15));
    assert_eq!(webhook.expires, Duration::from_secs(7 * 86_400));
    assert_eq!(webhook.url.origin(), "https://a.example");
    assert_eq!(webhook.key().len(), 24);
    let plain = good(&text, &[("HOOK", "a secret of one's own choosing")]).config;
    assert_eq!(plain.webhooks[0].key(), b"a secret of one's own choosing");
    assert!(!plain.webhooks[0].is_same(webhook));
    assert_eq!(plain.webhooks[0].fingerprint(), webhook.fingerprint());
}

#[test]
fn a_webhook_never_prints_what_is_secret() {
    let text = webhook("url = { env = \"URL\" }\n");
    let variables = [("HOOK", SECRET), ("URL", "https://a.example/swordfish")];
    let loaded = good(&text, &variables);
    let shown: String = loaded.show().collect();
    let debug = format!("{:?}", loaded.config.webhooks);
    for text in [shown, debug] {
        assert!(
            !text.contains("swordfish") && !text.contains("MfKQ"),
            "{text}"
        );
        assert!(text.contains("URL") && text.contains("HOOK"), "{text}");
    }
}

#[test]
fn mistakes_of_webhooks_are_told() {
    check(
        &webhook("url = \"http://a.example\"\n"),
        &[
            "`webhooks[0].url`: is http://, which anybody on the way can read; write https://, or \
           allow_http = true",
        ],
    );
    good(
        &webhook("url = \"http://a.example\"\nallow_http = true\n"),
        &[("HOOK", SECRET)],
    );
    good(
        &webhook("url = \"http://127.0.0.1:9\"\n"),
        &[("HOOK", SECRET)],
    );
    good(
        &webhook("url = { env = \"URL\" }\n"),
        &[("HOOK", SECRET), ("URL", "https://a.example/?token=x")],
    );
    check(
        &webhook("url = \"https://a.example/?token=x\"\n"),
        &[
            "`webhooks[0].url`: holds a secret, which must not stand in the file; write \
           { env = \"NAME\" } with the whole URL in it",
        ],
    );
    check(
        &webhook(
            "url = \"ftp://a.example\"\nevents = [\"balance_change\"]\nchains = [\"bcs\"]\n\
             timeout = \"0s\"\n",
        ),
        &[
            "`webhooks[0].url`: is not an https:// URL",
            "`webhooks[0].events[0]`: expected one of `scan_started`, `scan_token_error`, \
             `scan_error`, `scan_complete`, `scan_state`, `balance_changed`, `provider_state`, \
             `tx_state`, `reconcile_mismatch`, `alert_firing`, `alert_resolved`, found \"balance_change\"; did you \
             mean `balance_changed`?",
            "`webhooks[0].chains`: unknown chain `bcs`; did you mean `bsc`?",
            "`webhooks[0].timeout`: is zero; nothing could be done in that time",
        ],
    );
    check(
        &webhook(
            "url = \"https://a.example\"\n[[webhooks]]\nname = \"OPS\"\nurl = \
                  \"https://a.example\"\nsecret = { env = \"HOOK\" }\n",
        ),
        &["`webhooks[1].name`: is the same name as `ops`: case, `-` and `_` make no difference"],
    );
    let bad = webhook("url = \"https://a.example\"\n");
    let found = errors(&bad, &[("HOOK", "whsec_?")]);
    assert!(
        found[0].ends_with("`webhooks[0].secret`: has no base64 behind `whsec_`"),
        "{found:?}"
    );
    let warned = good(&bad, &[("HOOK", "short")]).warnings;
    assert!(warned[0].message.contains("is 5 bytes long"), "{warned:?}");
}

#[test]
fn alerts_take_amounts_in_either_unit() {
    let of = |more: &str| good(&alert(more), &[]).config.alerts.remove(0);
    let low =
        of("asset = \"bnb\"\nset = \"hot\"\nbelow = \"1.5\"\nunit = \"coins\"\nfor = \"10m\"\n");
    assert_eq!(low.threshold.to_string(), "1500000000000000000");
    assert_eq!(low.side, AlertSide::Below);
    assert_eq!(low.whose, AlertWhose::Set("hot".to_owned()));
    assert_eq!(low.hold, Duration::from_secs(600));
    let high = of("asset = \"BNB\"\naddresses = [\"0xa\"]\nabove = \"7\"\n");
    assert_eq!(high.threshold.to_string(), "7");
    assert_eq!(high.whose, AlertWhose::Addresses(vec!["0xa".to_owned()]));
    assert_eq!(
        of("asset = \"BNB\"\nabove = \"7\"\n").whose,
        AlertWhose::Chain
    );
}

#[test]
fn mistakes_of_alerts_are_told() {
    check(
        &alert("asset = \"BNC\"\nset = \"hat\"\nbelow = \"1\"\nabove = \"2\"\n"),
        &[
            "`alerts[0]`: `below` and `above` stand together; write one of them, \"1000\" for one",
            "`alerts[0].asset`: unknown asset `BNC`; did you mean `BNB`?",
            "`alerts[0].set`: unknown set `hat`; did you mean `hot`?",
        ],
    );
    check(
        &alert("asset = \"BNB\"\nset = \"hot\"\naddresses = [\"a\"]\nbelow = \"1.5\"\n"),
        &[
            "`alerts[0].set`: write either a set or addresses",
            "`alerts[0].below`: expected whole digits of the smallest unit; write unit = \
             \"coins\" for coins, found \"1.5\"",
        ],
    );
    check(
        &alert("asset = \"BNB\"\nblow = \"1\"\n").replacen("chain = \"bsc\"", "chain = \"bcs\"", 1),
        &[
            "`alerts[0]`: `below` and `above` are missing; write one of them, \"1000\" for one",
            "`alerts[0].chain`: unknown chain `bcs`; did you mean `bsc`?",
            "unknown key `alerts[0].blow`; did you mean `below`?",
        ],
    );
}
