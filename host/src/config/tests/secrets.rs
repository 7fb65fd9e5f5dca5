use std::fs;

use super::*;

#[test]
fn secrets_are_read_and_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("client"), "SECRET-file\n").unwrap();
    let text = small_with(
        "options",
        "api_key = { env = \"BSC_KEY\" }\n\
         headers = { X-Tenant = { env = \"TENANT\" }, Authorization = \"Bearer {key}\" }\n\
         oauth2 = { token_url = \"https://login.example/token\", client_id = \"me\", client_secret = \
         { file = \"client\" } }\n\
         proxy = { env = \"PROXY\" }\n\
         options",
    ) + "\n[store]\nurl = { env = \"DATABASE_URL\" }\n";
    let variables = env(&[
        ("BSC_KEY", "SECRET-env"),
        ("TENANT", "SECRET-header"),
        ("PROXY", "http://me:SECRET-proxy@proxy.example"),
        ("DATABASE_URL", "postgres://me:SECRET-store@db/x"),
        ("SCANHOST__SERVICE__TOKEN", "SECRET-token"),
        (
            "SCANHOST__PROVIDERS__BSC_DATASEED__HEADERS__X_API_KEY",
            "SECRET-override",
        ),
    ]);
    let loaded = load_text(&dir.path().join("scanhost.toml"), &text, &variables).unwrap();

    let provider = loaded.config.provider("bsc-dataseed").unwrap();
    assert_eq!(provider.api_key.as_ref().unwrap().expose(), "SECRET-env");
    let oauth2 = provider.oauth2.as_ref().unwrap();
    assert_eq!(oauth2.client_secret.expose(), "SECRET-file");
    assert_eq!(provider.headers["X-Tenant"].expose(), "SECRET-header");
    assert_eq!(provider.headers["x-api-key"].expose(), "SECRET-override");
    assert_eq!(provider.headers["Authorization"].expose(), "Bearer {key}");
    assert_eq!(
        provider.proxy.as_ref().unwrap().expose(),
        "http://me:SECRET-proxy@proxy.example"
    );
    assert_eq!(
        loaded.config.service.token.as_ref().unwrap().expose(),
        "SECRET-token"
    );
    let StoreUrl::Postgres(url) = &loaded.config.store.url else {
        panic!("{:?}", loaded.config.store.url);
    };
    assert_eq!(url.expose(), "postgres://me:SECRET-store@db/x");

    let shown: Vec<_> = loaded.show().collect();
    let shown = shown.join("\n");
    let debug = format!("{:?} {variables:?} {loaded:?}", loaded.config);
    for printed in [&shown, &debug] {
        assert!(!printed.contains("SECRET"), "{printed}");
    }
    assert!(
        shown.contains("api_key = { env = \"BSC_KEY\" }  # "),
        "{shown}"
    );
    assert!(
        shown.contains("service.token = { env = \"SCANHOST__SERVICE__TOKEN\" }"),
        "{shown}"
    );
}

#[test]
fn a_password_in_the_stores_url_is_hidden() {
    let check = |url: &str, shown: &str| {
        let text = format!("{SMALL}\n[store]\nurl = \"{url}\"\n");
        let loaded = good(&text, &[]);
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        let lines: Vec<_> = loaded.show().collect();
        let printed = format!("{} {loaded:?}", lines.join("\n"));
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains(shown), "{printed}");
    };
    check("postgres://me:hunter2@db/x", "postgres://me:***@db/x");
    check(
        "postgres://db/x?user=me&password=hunter2",
        "postgres://db/x?user=me&password=***",
    );
}

#[test]
fn no_error_repeats_a_secret() {
    for line in [
        "api_key = \"hunter2\"",
        "api_key = [\"hunter2\"]",
        "api_key = { env = { x = \"hunter2\" } }",
        "headers = { Authorization = \"hunter2\" }",
        "oauth2 = { client_secret = \"hunter2\" }",
        "oauth2 = \"hunter2\"",
        "headers = \"hunter2\"",
        "api_key = { env = \"sk-hunter2\" }",
        "proxy = \"http://me:hunter2@p.example\"",
    ] {
        let text = small_with("options", &format!("{line}\noptions"));
        let errors = errors(&text, &[]).join("\n");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}
