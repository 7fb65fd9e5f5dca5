use std::time::Duration;

use super::*;

#[test]
fn unknown_keys_are_told_with_the_nearest_known_one() {
    says(
        &format!("{SMALL}\n[chains.bsc.breaker]\n  failurs = 3\n"),
        "scanhost.toml:13:3: unknown key `chains.bsc.breaker.failurs`; did you mean `failures`?",
    );
    says(
        &format!("[stroe]\nurl = 1\n{SMALL}"),
        "scanhost.toml:1:2: unknown key `stroe`; did you mean `store`?",
    );
    says(
        &format!("[log]\nzzz = 1\n{SMALL}"),
        "scanhost.toml:2:1: unknown key `log.zzz`; known here: `level`, `format`",
    );
    says(
        &small_with("identity", "spill-after = \"2s\"\nidentity"),
        "scanhost.toml:3:1: unknown key `chains.bsc.spill-after`; did you mean `spill_after`?",
    );
}

#[test]
fn wrong_types_are_told_with_what_belongs_there() {
    says(
        &small_with("\"56\"", "56"),
        "scanhost.toml:3:12: `chains.bsc.identity`: expected a string, found the number 56; \
         write \"56\"",
    );
    says(
        &small_with("[\"bsc-dataseed\"]", "\"bsc-dataseed\""),
        "scanhost.toml:4:8: `chains.bsc.pool`: expected a list of provider names, found \
         \"bsc-dataseed\"; write [\"bsc-dataseed\"]",
    );
    says(
        &small_with("decimals = 18", "decimals = \"18\""),
        "scanhost.toml:5:40: `chains.bsc.assets[0].decimals`: expected a whole number from 0 to \
         255, found \"18\"",
    );
    says(
        &small_with("decimals = 18", "decimals = 18.5"),
        "scanhost.toml:5:40: `chains.bsc.assets[0].decimals`: expected a whole number from 0 to \
         255, found the number 18.5",
    );
    says(
        &format!("{SMALL}\n[log]\nlevel = 2026-11-21\n"),
        "scanhost.toml:13:9: `log.level`: is a date; no key takes one, a text needs quotes: \
         \"2026-11-21\"",
    );
    says(
        &format!("store = 5\n{SMALL}"),
        "scanhost.toml:1:9: `store`: expected a table, found the number 5",
    );
    says(
        &format!("{SMALL}\n[service]\nlisten = \"8080\""),
        "scanhost.toml:13:10: `service.listen`: expected an address and port like \
         \"127.0.0.1:8080\", found \"8080\"",
    );
}

#[test]
fn durations_and_limits_need_their_units() {
    let check = |key: &str, value: &str, expected: &str| {
        says(
            &format!("{SMALL}\n[chains.bsc.scan]\n{key} = {value}\n"),
            &format!("scanhost.toml:13:{}: {expected}", key.len() + 4),
        );
    };
    check(
        "every",
        "30",
        "`chains.bsc.scan.every`: expected a duration like \"30s\", found the number 30",
    );
    check(
        "every",
        "\"30\"",
        "`chains.bsc.scan.every`: expected a duration like \"30s\", but \"30\" has no unit \
         (ms, s, m, h, d)",
    );
    check(
        "every",
        "\"0s\"",
        "`chains.bsc.scan.every`: must be longer than zero; leave it out to scan only when asked",
    );
    check(
        "sample",
        "1",
        "`chains.bsc.scan.sample`: expected a share like \"1%\", found the number 1",
    );
    says(
        &small_with("options", "limits = [\"30/s\", \"100 per day\"]\noptions"),
        "scanhost.toml:10:19: `providers.bsc-dataseed.limits[1]`: expected a limit like \"30/s\", \
         \"700/h\" or \"10000/5m\", found \"100 per day\"",
    );
    says(
        &small_with("options", "limits = \"5/s\"\noptions"),
        "scanhost.toml:10:10: `providers.bsc-dataseed.limits`: expected a list of values, found \
         \"5/s\"; write [\"5/s\"]",
    );
    says(
        &small_with("options", "quota = \"5/h\"\noptions"),
        "scanhost.toml:10:9: `providers.bsc-dataseed.quota`: expected a quota like \"100000/day\" \
         or \"500000/month\", found \"5/h\"",
    );
}

#[test]
fn pools_name_providers_that_exist() {
    says(
        &small_with("[\"bsc-dataseed\"]", "[\"bsc-dataseed\", \"bsc-datasede\"]"),
        "scanhost.toml:4:25: `chains.bsc.pool[1]`: unknown provider `bsc-datasede`; did you mean \
         `bsc-dataseed`?",
    );
    says(
        &small_with("[\"bsc-dataseed\"]", "[\"quicknode\"]"),
        "scanhost.toml:4:9: `chains.bsc.pool[0]`: unknown provider `quicknode`; there are \
         `bsc-dataseed`",
    );
    says(
        &small_with("[\"bsc-dataseed\"]", "[\"bsc-dataseed\", \"bsc_dataseed\"]"),
        "scanhost.toml:4:25: `chains.bsc.pool[1]`: `bsc-dataseed` stands in the pool twice",
    );
    says(
        &small_with("[\"bsc-dataseed\"]", "[]"),
        "scanhost.toml:4:8: `chains.bsc.pool`: is empty; name at least one provider",
    );
    says(
        &small_with("pool = [\"bsc-dataseed\"]\n", ""),
        "scanhost.toml:2:9: `chains.bsc.pool`: is missing; name at least one provider",
    );
    says(
        &format!(
            "{SMALL}\n[providers.bsc_dataseed]\nplugin = \"x\"\nendpoint = \"https://x.example\""
        ),
        "scanhost.toml:12:1: `providers.bsc_dataseed`: is the same name as `bsc-dataseed`: case, \
         `-` and `_` make no difference",
    );
}

#[test]
fn strategies_and_other_words_come_from_closed_lists() {
    says(
        &small_with("identity", "strategy = \"falover\"\nidentity"),
        "scanhost.toml:3:12: `chains.bsc.strategy`: expected one of `failover`, `spread`, found \
         \"falover\"; did you mean `failover`?",
    );
    says(
        &small_with("identity", "commitment = \"newest\"\nidentity"),
        "scanhost.toml:3:14: `chains.bsc.commitment`: expected one of `latest`, `confirmed`, \
         `finalized`, found \"newest\"",
    );
    says(
        &format!("{SMALL}\n[log]\nlevel = \"inof\"\n"),
        "scanhost.toml:13:9: `log.level`: expected off, error, warn, info, debug, trace or \
         directives like \"info,scanhost::gate=debug\", found \"inof\"",
    );
}

#[test]
fn assets_have_one_symbol_one_contract_and_decimals() {
    let check = |assets: &str, expected: &str| {
        says(
            &small_with("[{ symbol = \"BNB\", decimals = 18 }]", assets),
            &format!("scanhost.toml:{expected}"),
        );
    };
    check(
        "[{ symbol = \"BNB\" }]",
        "5:11: `chains.bsc.assets[0]`: missing key `decimals`",
    );
    check(
        "[]",
        "5:10: `chains.bsc.assets`: is empty; a scan would read nothing",
    );
    check(
        "[{ symbol = \"A\", decimals = 1 }, { symbol = \"a\", decimals = 1, contract = \"x\" }]",
        "5:54: `chains.bsc.assets[1].symbol`: \"a\" names two assets of this chain",
    );
    check(
        "[{ symbol = \"A\", decimals = 1, contract = \"0xAb\" }, { symbol = \"B\", decimals = 1, \
         contract = \"0xaB\" }]",
        "5:103: `chains.bsc.assets[1].contract`: is also that of A",
    );
    check(
        "[{ symbol = \"A\", decimals = 1 }, { symbol = \"B\", decimals = 1 }]",
        "5:43: `chains.bsc.assets[1].contract`: is missing, and A is the native coin already",
    );
    check(
        "[{ symbol = \"A\", decimals = 78 }]",
        "5:38: `chains.bsc.assets[0].decimals`: must be at most 77",
    );
    says(
        &small_with("assets = [{ symbol = \"BNB\", decimals = 18 }]\n", ""),
        "scanhost.toml:2:9: `chains.bsc.assets`: is missing; write [[chains.bsc.assets]] with \
         symbol and decimals",
    );
}

#[test]
fn breakers_cannot_be_set_to_nonsense() {
    let check = |line: &str, expected: &str| {
        says(
            &format!("{SMALL}\n[chains.bsc.breaker]\n{line}\n"),
            &format!("scanhost.toml:13:{expected}"),
        );
    };
    check(
        "failures = 0",
        "12: `chains.bsc.breaker.failures`: must be at least 1",
    );
    check(
        "cooldown = \"0ms\"",
        "12: `chains.bsc.breaker.cooldown`: must be longer than zero",
    );
    check(
        "cooldown_max = \"10s\"",
        "16: `chains.bsc.breaker.cooldown_max`: is shorter than `cooldown`",
    );
    check(
        "failure_ratio = 0.5",
        "17: `chains.bsc.breaker.failure_ratio`: has no effect without `window`",
    );
    check(
        "jitter = 1.5",
        "10: `chains.bsc.breaker.jitter`: expected a ratio from 0 to 1, like 0.5, found the \
         number 1.5",
    );
    says(
        &format!("{SMALL}breaker = {{ cooldown_max = \"1s\" }}\n"),
        "scanhost.toml:11:28: `providers.bsc-dataseed.breaker.cooldown_max`: is shorter than \
         `cooldown` (in the pool of `bsc`)",
    );
}

#[test]
fn endpoints_are_https_unless_near_or_allowed() {
    let check = |endpoint: &str, expected: &str| {
        says(
            &small_with("https://bsc-dataseed.bnbchain.org", endpoint),
            &format!("scanhost.toml:9:12: `providers.bsc-dataseed.endpoint`: {expected}"),
        );
    };
    check(
        "http://bsc.example",
        "plain http:// is allowed on loopback only; write https:// or allow_http = true",
    );
    check("bsc.example", "is not a URL: relative URL without a base");
    check(
        "https://bsc.example/{key}",
        "holds {key} but there is no key; write api_key = { env = \"NAME\" }",
    );
    good(
        &small_with("https://bsc-dataseed.bnbchain.org", "http://127.0.0.1:1"),
        &[],
    );
    good(
        &small_with("options", "allow_http = true\noptions")
            .replace("https://bsc-dataseed.bnbchain.org", "http://bsc.example"),
        &[],
    );
}

#[test]
fn an_open_address_needs_a_token() {
    let text = format!("{SMALL}\n[service]\nlisten = \"0.0.0.0:8080\"\n");
    says(
        &text,
        "scanhost.toml:13:10: `service.listen`: 0.0.0.0:8080 can be reached from other machines \
         and needs a token; write token = { env = \"SCANHOST_TOKEN\" }",
    );
    let text = format!("{text}token = {{ env = \"T\" }}\n");
    says(
        &text,
        "scanhost.toml:14:9: `service.token`: the environment variable `T` is not set",
    );
    assert_eq!(
        errors(&text, &[("T", "")]),
        ["scanhost.toml:14:9: `service.token`: the environment variable `T` is empty"]
    );
    let loaded = good(&text, &[("T", "swordfish\n")]);
    assert_eq!(loaded.config.service.token.unwrap().expose(), "swordfish");
}

#[test]
fn secrets_do_not_stand_in_the_file() {
    let how = "{ env = \"NAME\" } or { file = \"/run/secrets/NAME\" }";
    says(
        &small_with("options", "api_key = \"hunter2\"\noptions"),
        &format!(
            "scanhost.toml:10:11: `providers.bsc-dataseed.api_key`: a secret must not stand in \
             the file; write {how}"
        ),
    );
    says(
        &small_with(
            "options",
            "api_key = { env = \"A\", file = \"b\" }\noptions",
        ),
        &format!("scanhost.toml:10:11: `providers.bsc-dataseed.api_key`: a secret is {how}"),
    );
    says(
        &small_with("options", "headers = { X-Api-Key = \"hunter2\" }\noptions"),
        "scanhost.toml:10:25: `providers.bsc-dataseed.headers.X-Api-Key`: a secret must not stand \
         in the file; write { env = \"NAME\" }, or {key} where the api_key goes",
    );
    says(
        &small_with(
            "options",
            "proxy = \"http://me:hunter2@proxy.example\"\noptions",
        ),
        "scanhost.toml:10:9: `providers.bsc-dataseed.proxy`: holds a password, which must not \
         stand in the file; write { env = \"NAME\" } with the whole URL in it",
    );
}

#[test]
fn a_key_that_is_not_set_matters_where_it_is_used() {
    let text = small_with("options", "api_key = { env = \"BSC_KEY\" }\noptions");
    says(
        &text,
        "scanhost.toml:10:11: `providers.bsc-dataseed.api_key`: the environment variable \
         `BSC_KEY` is not set",
    );
    let unused = "[providers.spare]\nplugin = \"x\"\nendpoint = \"https://x.example\"\n\
                  api_key = { file = \"/nonexistent/key\" }\n";
    let loaded = good(&format!("{SMALL}{unused}"), &[]);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "scanhost.toml:14:11: `providers.spare.api_key`: the file `/nonexistent/key` cannot be \
         read: No such file or directory (os error 2); no pool uses this provider"
    );
}

#[test]
fn what_is_not_toml_is_told_with_its_place() {
    says(
        "[chains.bsc]\npool = [\"a\"\n",
        "scanhost.toml:2:12: not valid TOML: unclosed array, expected `]`",
    );
    let errors = errors("[log]\nlevel = \"info\"\nlevel = \"warn\"\n", &[]);
    assert_eq!(errors, ["scanhost.toml:3:1: not valid TOML: duplicate key"]);
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let text = "[log]\nlevel = 5\nformt = \"json\"\n\n[chains.bsc]\npool = [\"x\"]\n\n\
                [providers.y]\nendpoint = \"nowhere\"\ntimeout = 15\n";
    let errors = load_with(text, &[]).map(|_| ()).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "scanhost.toml:2:9: `log.level`: expected a string, found the number 5; write \"5\"\n\
         scanhost.toml:3:1: unknown key `log.formt`; did you mean `format`?\n\
         scanhost.toml:5:9: `chains.bsc.assets`: is missing; write [[chains.bsc.assets]] with \
         symbol and decimals\n\
         scanhost.toml:6:9: `chains.bsc.pool[0]`: unknown provider `x`; there are `y`\n\
         scanhost.toml:8:12: `providers.y`: missing key `plugin`\n\
         scanhost.toml:9:12: `providers.y.endpoint`: is not a URL: relative URL without a base\n\
         scanhost.toml:10:11: `providers.y.timeout`: expected a duration like \"30s\", found the \
         number 15\n\
         7 errors in the configuration"
    );
}

#[test]
fn a_budget_below_two_cooldowns_is_raised() {
    let text =
        format!("{SMALL}breaker = {{ cooldown = \"40s\" }}\n[chains.bsc.scan]\nbudget = \"30s\"\n");
    let loaded = good(&text, &[]);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "scanhost.toml:13:10: `chains.bsc.scan.budget`: 30s is below twice the longest cooldown \
         of the pool; 80s is used"
    );
    let chain = loaded.config.chain("bsc").unwrap();
    assert_eq!(chain.scan.budget, Duration::from_secs(80));
    assert!(
        loaded
            .show()
            .any(|line| line == "chains.bsc.scan.budget = \"80s\"  # scanhost.toml:13")
    );
}

#[test]
fn what_works_but_is_hardly_meant_is_a_warning() {
    let warnings = |text: &str| -> Vec<_> {
        let warnings = good(text, &[]).warnings;
        warnings.iter().map(ToString::to_string).collect()
    };
    assert_eq!(warnings(SMALL), [""; 0]);
    assert_eq!(
        warnings(&small_with("identity = \"56\"\n", "")),
        [
            "scanhost.toml:2:9: `chains.bsc`: without `identity` a provider of another network \
          would not be noticed"
        ]
    );
    assert_eq!(
        warnings(""),
        ["scanhost.toml: no chain is configured; write [chains.NAME] with pool and assets"]
    );
    assert_eq!(
        warnings(&small_with(
            "identity",
            "addresses = [{ file = \"/nonexistent\" }]\nidentity"
        )),
        ["scanhost.toml:3:23: `chains.bsc.addresses[0].file`: there is no file `/nonexistent`"]
    );
    assert_eq!(
        warnings(&format!(
            "{SMALL}\n[store]\nurl = \"postgres://me:hunter2@db/x\""
        )),
        [
            "scanhost.toml:13:7: `store.url`: holds a password in plain text; write \
          url = { env = \"NAME\" } with the whole URL in it"
        ]
    );
}
