use std::fs;
use std::time::Duration;

use super::*;

#[test]
fn the_file_wins_over_defaults_and_variables_over_the_file() {
    let text = format!("{SMALL}\n[log]\nlevel = \"warn\"\n");
    let config = good(&text, &[]).config;
    assert_eq!(config.log.level, "warn");
    assert_eq!(config.log.format, LogFormat::Text);

    let loaded = good(
        &text,
        &[
            ("SCANHOST__LOG__LEVEL", "debug"),
            ("SCANHOST__LOG__FORMAT", "json"),
        ],
    );
    assert_eq!(loaded.config.log.level, "debug");
    assert_eq!(loaded.config.log.format, LogFormat::Json);
    let lines: Vec<_> = loaded
        .show()
        .filter(|line| line.starts_with("log."))
        .collect();
    assert_eq!(
        lines,
        [
            "log.level = \"debug\"  # env SCANHOST__LOG__LEVEL",
            "log.format = \"json\"  # env SCANHOST__LOG__FORMAT",
        ]
    );
    let loaded = good(&text, &[]);
    let lines: Vec<_> = loaded
        .show()
        .filter(|line| line.starts_with("log."))
        .collect();
    assert_eq!(
        lines,
        [
            "log.level = \"warn\"  # scanhost.toml:13",
            "log.format = \"text\"  # default"
        ]
    );
}

#[test]
fn variables_find_names_with_dashes_and_take_the_type_of_the_key() {
    let loaded = good(
        SMALL,
        &[
            ("SCANHOST__PROVIDERS__BSC_DATASEED__TIMEOUT", "5s"),
            ("SCANHOST__PROVIDERS__BSC_DATASEED__CONNECTIONS", "3"),
            ("SCANHOST__PROVIDERS__BSC_DATASEED__ALLOW_HTTP", "true"),
            ("SCANHOST__PROVIDERS__BSC_DATASEED__LIMITS", "5/s, 700/h"),
            ("SCANHOST__PROVIDERS__BSC_DATASEED__BREAKER__FAILURES", "7"),
            ("SCANHOST__PROVIDERS__BSC_DATASEED__OPTIONS__BATCH", "50"),
            ("SCANHOST__CHAINS__BSC__IDENTITY", "97"),
            ("SCANHOST__CHAINS__BSC__POOL", "[\"bsc_dataseed\"]"),
            ("SCANHOST__CHAINS__BSC__SCAN", "{ every = \"1h\" }"),
            ("SCANHOST_UNRELATED", "x"),
            ("PATH", "/bin"),
        ],
    );
    let config = &loaded.config;
    let provider = config.provider("BSC_dataseed").unwrap();
    assert_eq!(provider.name.as_str(), "bsc-dataseed");
    assert_eq!(provider.timeout, Duration::from_secs(5));
    assert_eq!(provider.connections, 3);
    assert!(provider.allow_http);
    let limits = provider.limits.as_ref().unwrap();
    assert_eq!(
        limits.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["5/s", "700/h"]
    );
    let chain = config.chain("bsc").unwrap();
    assert_eq!(config.breaker(chain, &provider.name).failures, 7);
    assert_eq!(
        config.breaker(chain, &provider.name).cooldown,
        Duration::from_secs(30)
    );
    assert_eq!(provider.options["batch"], 50);
    assert_eq!(
        chain.identity.as_deref(),
        Some("97"),
        "a string key takes its value verbatim"
    );
    assert_eq!(chain.pool, [ProviderName::from("bsc-dataseed")]);
}

#[test]
fn variables_that_name_nothing_are_errors() {
    let check = |name: &str, value: &str, expected: &str| {
        assert_eq!(
            errors(SMALL, &[(name, value)]),
            [format!("env {name}: {expected}")]
        );
    };
    check(
        "SCANHOST__LOG__LEVL",
        "debug",
        "unknown key `log.levl`; did you mean `level`?",
    );
    check(
        "SCANHOST__LOGS__LEVEL",
        "debug",
        "unknown key `logs`; did you mean `log`?",
    );
    check(
        "SCANHOST__PROVIDERS__BSC_DATASED__TIMEOUT",
        "5s",
        "unknown provider `bsc_datased`; did you mean `bsc-dataseed`?",
    );
    check(
        "SCANHOST__CHAINS__SOL__SPILL_AFTER",
        "5s",
        "unknown chain `sol`; the file has `bsc`",
    );
    check(
        "SCANHOST__LOG",
        "debug",
        "names no setting; write SCANHOST__SECTION__KEY, as in SCANHOST__LOG__LEVEL",
    );
    check(
        "SCANHOST__CHAINS__BSC__ASSETS__0__DECIMALS",
        "6",
        "`assets` is a list; set it as a whole with SCANHOST__CHAINS__BSC__ASSETS, or in the file",
    );
    check(
        "SCANHOST__PROVIDERS__BSC_DATASEED__CONNECTIONS",
        "many",
        "`providers.bsc-dataseed.connections`: expected a whole number from 0 to 4294967295, \
         found \"many\"",
    );
}

#[test]
fn the_file_is_the_one_named_else_the_variables_else_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    fs::write(&path, SMALL).unwrap();
    let variable = env(&[(FILE_VARIABLE, path.to_str().unwrap())]);
    let absent = dir.path().join("absent.toml");

    assert_eq!(load(None, &variable).unwrap().file, path);
    assert_eq!(load(Some(&path), &Env::default()).unwrap().file, path);
    let error = load(Some(&absent), &variable).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{}: failed to read the configuration: No such file or directory (os error 2); \
             `scanhost init` writes one, `--config FILE` names another\n\
             1 error in the configuration",
            absent.display()
        )
    );
    let loaded = load(Some(&path), &Env::default()).unwrap();
    let StoreUrl::Sqlite(store) = loaded.config.store.url else {
        panic!("the default is SQLite");
    };
    assert_eq!(
        store,
        dir.path().join("scanhost.db"),
        "paths start at the file's folder"
    );
}

#[test]
fn a_file_that_is_not_utf8_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    fs::write(&path, b"[log]\n# gr\xfc\xdfe\n").unwrap();
    let error = load(Some(&path), &Env::default()).unwrap_err();
    assert_eq!(
        error.findings()[0].to_string(),
        format!(
            "{}:2:1: is not UTF-8; save the file as UTF-8",
            path.display()
        )
    );
}

#[test]
fn a_table_from_a_variable_adds_to_the_files_but_replaces_a_secret() {
    let text = format!("{SMALL}api_key = {{ env = \"A\" }}\n[chains.bsc.scan]\nevery = \"1h\"\n");
    let scan = ("SCANHOST__CHAINS__BSC__SCAN", "{ max_pool_failures = 9 }");
    let key = "SCANHOST__PROVIDERS__BSC_DATASEED__API_KEY";
    let check = |value: &str, expected: &str| {
        let variables = [scan, (key, value), ("A", "from a"), ("B", "from b")];
        let config = good(&text, &variables).config;
        let chain = config.chain("bsc").unwrap();
        assert_eq!(chain.scan.max_pool_failures, 9);
        assert_eq!(chain.scan.every, Some(Duration::from_secs(3_600)));
        assert_eq!(chain.scan.budget, Duration::from_secs(600));
        let provider = config.provider("bsc-dataseed").unwrap();
        assert_eq!(provider.api_key.as_ref().unwrap().expose(), expected);
    };
    check("{ env = \"B\" }", "from b");
    check("the key itself", "the key itself");
}
