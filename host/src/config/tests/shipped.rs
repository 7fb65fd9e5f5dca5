//! The files of `config/` at the root of the repository.

use std::fs;
use std::time::Duration;

use super::*;
use crate::model::Commitment;

/// The folder `config/` of the repository.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

/// Every secret that the shipped files name.
fn secrets() -> Env {
    env(&[
        ("SCANHOST_TOKEN", "a"),
        ("SCANHOST_READ_TOKEN", "b"),
        ("DATABASE_URL", "postgres://scanhost:c@db.internal/scanhost"),
        ("EXAMPLE_KEY", "d"),
        ("EXAMPLE_ID", "e"),
        ("EXAMPLE_SECRET", "f"),
        ("BLOCKSTREAM_CLIENT_ID", "g"),
        ("BSC_VENDOR_KEY", "h"),
        ("BSCSCAN_API_KEY", "i"),
        ("HELIUS_API_KEY", "j"),
        ("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ])
}

#[test]
fn the_reference_is_a_configuration_that_works_as_it_is() {
    let loaded = load(Some(&shipped().join("scanhost.toml")), &Env::default()).unwrap();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    let names: Vec<_> = config.chains.keys().map(ChainName::as_str).collect();
    assert_eq!(names, ["bsc", "btc", "sol"]);
    for chain in config.chains.values() {
        assert_eq!(config.pool(chain).count(), chain.pool.len());
        let file = chain.addresses[0].file.as_ref().unwrap();
        assert!(file.is_file(), "{}", file.display());
        for provider in config.pool(chain) {
            assert!(provider.limits.is_some(), "{}", provider.name);
            assert_eq!(provider.secrets().count(), 0, "{}", provider.name);
        }
    }
    let btc = config.chain("btc").unwrap();
    let pool: Vec<_> = btc.pool.iter().map(ProviderName::as_str).collect();
    assert_eq!(pool, ["blockstream", "mempool"]);
    assert_eq!(btc.breaker, Breaker::DEFAULT);
    assert_eq!(btc.commitment, None);
}

#[test]
fn the_examples_are_configurations() {
    // The examples name secret files beside them, which are in no repository.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("examples")).unwrap();
    fs::create_dir(dir.path().join("addresses")).unwrap();
    fs::create_dir(dir.path().join("examples/secrets")).unwrap();
    for name in ["token", "blockstream"] {
        fs::write(
            dir.path().join("examples/secrets").join(name),
            "swordfish\n",
        )
        .unwrap();
    }
    for name in ["btc.csv", "bsc.csv", "sol.csv"] {
        let list = shipped().join("addresses").join(name);
        fs::copy(list, dir.path().join("addresses").join(name)).unwrap();
    }
    let mut seen = 0;
    for entry in fs::read_dir(shipped().join("examples")).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            // Scenarios have a form and tests of their own.
            continue;
        }
        let path = dir.path().join("examples").join(entry.file_name());
        let text = fs::read_to_string(entry.path()).unwrap();
        let loaded = load_text(&path, &text, &secrets()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.warnings, [], "{}", path.display());
        assert!(!loaded.config.chains.is_empty());
        seen += 1;
    }
    assert!(seen >= 4);
}

/// The reference with every setting that is commented out taken in.
fn reference_in_full() -> String {
    let lines = REFERENCE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            setting
        }
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn load_in_full(text: &str) -> Result<Loaded, ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ca.pem"), "").unwrap();
    load_text(&dir.path().join("scanhost.toml"), text, &secrets())
}

#[test]
fn every_setting_in_the_reference_is_accepted() {
    let loaded = load_in_full(&reference_in_full()).unwrap_or_else(|errors| panic!("{errors}"));
    let example = loaded.config.chain("example").unwrap();
    assert_eq!(example.commitment, Some(Commitment::Latest));
    assert!(loaded.config.provider("example").unwrap().oauth2.is_some());
}

#[test]
fn every_key_is_in_the_reference() {
    let full: toml::Table = reference_in_full().parse().unwrap();
    let tables = [
        "",
        "store",
        "store.keep",
        "plugins",
        "service",
        "log",
        "chains.example",
        "chains.example.assets.0",
        "chains.example.breaker",
        "chains.example.scan",
        "chains.example.addresses.0",
        "providers.example",
        "providers.example.oauth2",
        "webhooks.0",
        "alerts.0",
    ];
    for path in tables {
        // A key that no section knows makes it tell those that it does.
        let mut bent = toml::Value::Table(full.clone());
        let mut table = &mut bent;
        for step in path.split('.').filter(|step| !step.is_empty()) {
            table = match step.parse::<usize>() {
                Ok(index) => &mut table[index],
                Err(_) => &mut table[step],
            };
        }
        let documented = table.as_table_mut().unwrap();
        documented.insert("zzzzzz".to_owned(), toml::Value::from(1));
        let mut documented = documented.clone();
        if path == "alerts.0" {
            // No alert can have all keys; the examples have them together.
            let others = full["alerts"].as_array().unwrap();
            documented.extend(others.iter().flat_map(|it| it.as_table().unwrap().clone()));
        }
        if path == "chains.example.addresses.0" {
            // Nor any list of addresses.
            let others = full["chains"]["example"]["addresses"].as_array().unwrap();
            documented.extend(others.iter().flat_map(|it| it.as_table().unwrap().clone()));
        }
        let errors = load_in_full(&toml::to_string(&bent).unwrap()).unwrap_err();
        let [error] = errors.findings() else {
            panic!("{path}: {errors}");
        };
        let known: Vec<_> = error.message.split('`').skip(3).step_by(2).collect();
        assert!(!known.is_empty(), "{error}");
        for key in known {
            assert!(
                documented.contains_key(key),
                "`{key}` of `{path}` is not in the reference"
            );
        }
    }
}

#[test]
fn the_reference_shows_the_defaults() {
    let full = load_in_full(&reference_in_full()).unwrap();
    let bare = good(SMALL, &[]);
    let shown = |loaded: &Loaded, path: &str| {
        let found = loaded.effective.iter().find(|it| it.path == path);
        found.map(|it| it.value.clone())
    };
    let mut seen = 0;
    for default in bare
        .effective
        .iter()
        .filter(|it| it.origin == Place::Default)
    {
        let path = default
            .path
            .replace("chains.bsc.", "chains.example.")
            .replace("providers.bsc-dataseed.", "providers.example.");
        // The store's path starts at the file's folder, which differs.
        if path == "store.url" {
            continue;
        }
        assert_eq!(shown(&full, &path).as_ref(), Some(&default.value), "{path}");
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} defaults were compared");
    assert!(REFERENCE.contains("\nurl = \"sqlite://scanhost.db\"\n"));
}

#[test]
fn the_defaults_are_the_documented_numbers() {
    let config = good(SMALL, &[]).config;
    let chain = config.chain("bsc").unwrap();
    let provider = config.provider("bsc-dataseed").unwrap();
    assert_eq!(chain.breaker, Breaker::DEFAULT);
    assert_eq!(chain.network, Network::Mainnet);
    assert_eq!(chain.strategy, Strategy::Failover);
    assert_eq!(chain.spill_after, Duration::from_secs(2));
    assert_eq!(chain.scan.budget, Duration::from_secs(600));
    assert_eq!(chain.scan.max_pool_failures, 5);
    assert_eq!((chain.scan.every, chain.scan.sample), (None, None));
    assert_eq!(provider.timeout, Duration::from_secs(15));
    assert_eq!(provider.connections, 8);
    assert_eq!(provider.isolation, Isolation::None);
    assert_eq!(provider.memory_max.to_string(), "512MiB");
    assert_eq!(config.service.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(
        config.store.keep.events,
        Some(Duration::from_secs(7 * 86_400))
    );
}
