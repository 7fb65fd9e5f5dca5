mod layers;
mod messages;
mod places;
mod robustness;
mod secrets;
mod shipped;
mod telling;

use super::*;

/// A small whole configuration; tests add to it or bend it.
const SMALL: &str = r#"
[chains.bsc]
identity = "56"
pool = ["bsc-dataseed"]
assets = [{ symbol = "BNB", decimals = 18 }]

[providers.bsc-dataseed]
plugin = "bsc-rpc"
endpoint = "https://bsc-dataseed.bnbchain.org"
options = { batch = 1000, deep = { list = [1, { x = 2 }] } }
"#;

fn env(variables: &[(&str, &str)]) -> Env {
    variables.iter().copied().collect()
}

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    load_text(Path::new("scanhost.toml"), text, &env(variables))
}

#[track_caller]
fn good(text: &str, variables: &[(&str, &str)]) -> Loaded {
    load_with(text, variables).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The errors of `text`, one per line, without the count.
#[track_caller]
fn errors(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let errors = load_with(text, variables).map(|_| ()).unwrap_err();
    errors.findings().iter().map(ToString::to_string).collect()
}

/// `SMALL` with one line replaced.
fn small_with(line: &str, by: &str) -> String {
    assert!(SMALL.contains(line), "{line}");
    SMALL.replacen(line, by, 1)
}

#[track_caller]
fn says(text: &str, expected: &str) {
    assert_eq!(errors(text, &[]), [expected]);
}
