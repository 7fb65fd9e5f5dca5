//! `[[webhooks]]`: what they take, and what they say of mistakes.

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
             `tx_state`, `reconcile_mismatch`, found \"balance_change\"; did you \
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
