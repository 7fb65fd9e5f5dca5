use serde_json::json;

use super::*;

#[test]
fn options_keep_their_places() {
    let config = good(SMALL, &[]).config;
    let name = ProviderName::from("bsc-dataseed");
    let check = |pointer: &str, expected: &str| {
        assert_eq!(
            config.place_of_option(&name, pointer).to_string(),
            expected,
            "{pointer}"
        );
    };
    check("", "scanhost.toml:10:11");
    check("/batch", "scanhost.toml:10:21");
    check("/deep/list/0", "scanhost.toml:10:44");
    check("/deep/list/1/x", "scanhost.toml:10:53");
    check("/absent", "scanhost.toml:10:1");
    assert_eq!(
        config
            .place_of("providers.bsc-dataseed.options.batch")
            .to_string(),
        "scanhost.toml:10:21"
    );
    assert_eq!(
        config.place_of("providers.bsc-dataseed.timeout"),
        Place::Default
    );
    assert_eq!(
        config.provider("bsc-dataseed").unwrap().options,
        json!({ "batch": 1000, "deep": { "list": [1, { "x": 2 }] } })
    );

    let variable = "SCANHOST__PROVIDERS__BSC_DATASEED__OPTIONS__DEEP";
    let config = good(SMALL, &[(variable, "{ list = [7] }")]).config;
    assert_eq!(
        config.place_of_option(&name, "/deep/list/0"),
        Place::Env(variable.into())
    );
}

#[test]
fn unknown_names_are_told_with_the_nearest() {
    let config = good(SMALL, &[]).config;
    assert_eq!(
        config.chain("bcs").unwrap_err().to_string(),
        "unknown chain `bcs`; did you mean `bsc`?"
    );
    assert_eq!(
        config.chain("doge").unwrap_err().to_string(),
        "unknown chain `doge`; there are `bsc`"
    );
    assert_eq!(config.chain("BSC").unwrap().name.as_str(), "bsc");
}

#[test]
fn hashes_follow_what_they_stand_for() {
    let provider = |text: &str, key: &str| {
        let loaded = good(text, &[("K", key)]);
        loaded
            .config
            .provider("bsc-dataseed")
            .unwrap()
            .fingerprint()
    };
    let with_key = small_with("options", "api_key = { env = \"K\" }\noptions");
    let base = provider(SMALL, "a");
    assert_eq!(base.len(), 64);
    assert_eq!(base, provider(&with_key, "a"), "a key is no part of it");
    assert_eq!(provider(&with_key, "a"), provider(&with_key, "b"));
    assert_eq!(
        base,
        provider(&small_with("options", "timeout = \"1s\"\noptions"), "a")
    );
    assert_ne!(
        base,
        provider(&SMALL.replace("bnbchain.org", "bnbchain.org/x"), "a")
    );
    assert_ne!(base, provider(&SMALL.replace("bsc-rpc", "bscscan"), "a"));
    assert_ne!(
        base,
        provider(&SMALL.replace("batch = 1000", "batch = 999"), "a")
    );

    let chain = |text: &str| good(text, &[]).config.chain("bsc").unwrap().fingerprint();
    assert_eq!(
        chain(SMALL),
        chain(&SMALL.replace("batch = 1000", "batch = 999"))
    );
    assert_ne!(
        chain(SMALL),
        chain(&SMALL.replace("decimals = 18", "decimals = 17"))
    );
    assert_ne!(chain(SMALL), chain(&SMALL.replace("\"56\"", "\"57\"")));

    let identity = |text: &str| {
        let config = good(text, &[]).config;
        let chain = config.chain("bsc").unwrap();
        config
            .provider("bsc-dataseed")
            .unwrap()
            .identity_fingerprint(chain)
    };
    assert_eq!(
        identity(SMALL),
        identity(&SMALL.replace("batch = 1000", "batch = 999"))
    );
    assert_ne!(
        identity(SMALL),
        identity(&SMALL.replace("\"56\"", "\"57\""))
    );
}

#[test]
fn plugin_folders_default_to_the_executables() {
    let exe = Path::new("/opt/scanhost/bin");
    let folders = good(SMALL, &[]).config.plugins.folders(exe);
    assert_eq!(folders, [exe.to_owned(), exe.join("plugins")]);

    let text = format!("{SMALL}\n[plugins]\ndirs = [\"own\", \"/abs\"]\n");
    let loaded = load_text(
        Path::new("/etc/scanhost/scanhost.toml"),
        &text,
        &Env::default(),
    );
    let folders = loaded.unwrap().config.plugins.folders(exe);
    assert_eq!(folders, [Path::new("/etc/scanhost/own"), Path::new("/abs")]);
}

#[test]
fn pins_find_their_plugin() {
    let hash = "ab".repeat(32);
    let text = format!("{SMALL}\n[plugins.pin]\nbsc-rpc = \"sha256:{hash}\"\n");
    let value = format!("sha256:{hash}");
    let loaded = good(&text, &[("SCANHOST__PLUGINS__PIN__SOLANA_RPC", &value)]);
    for plugin in ["bsc-rpc", "solana-rpc"] {
        let pin = loaded.config.plugins.pin(&plugin.into());
        assert_eq!(pin, Some(Pin([0xab; 32])), "{plugin}");
    }
    assert_eq!(loaded.config.plugins.pin(&"mempool".into()), None);
    says(
        &format!("{SMALL}\n[plugins.pin]\nbsc-rpc = \"ab\"\n"),
        "scanhost.toml:13:11: `plugins.pin.bsc-rpc`: expected \"sha256:\" and 64 hex digits, \
         found \"ab\"",
    );
}
