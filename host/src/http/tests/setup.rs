//! Configurations that cannot work.

use super::*;

#[test]
fn a_configuration_that_cannot_work_says_why() {
    #[track_caller]
    fn check(provider: ProviderHttp, expected: &str) {
        let error = HttpClient::new(provider, clock()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert_no_key(&format!("{text} {error:?}"));
    }
    let key_in = |key: &str| ProviderHttp {
        credential: Credential::Key {
            key: SecretString::from(key),
            place: header_place(),
        },
        ..provider("https://h.example/")
    };
    check(
        provider("https://h.example/{key}"),
        "`{key}` is named in `endpoint`",
    );
    check(
        ProviderHttp {
            headers: vec![("x-t".to_owned(), "{key}".to_owned())],
            ..provider("https://h.example/")
        },
        "`{key}` is named in header `x-t`",
    );
    check(
        with_key("https://h.example/", KeyPlace::None),
        "no place for an `api_key`",
    );
    check(key_in(""), "`api_key` is empty");
    check(key_in(&format!("{KEY}\n")), "`api_key` has a line break");
    check(
        key_in(&format!("{KEY} ")),
        "`api_key` begins or ends with a space",
    );
    check(
        provider("http://h.example/"),
        "http://h.example is not encrypted",
    );
    check(
        ProviderHttp {
            connections: 0,
            ..provider("https://h.example/")
        },
        "`connections` is 0",
    );
    check(
        ProviderHttp {
            ca_file: Some("no/such/file.pem".into()),
            ..provider("https://h.example/")
        },
        "failed to read `ca_file` no/such/file.pem",
    );
    check(
        ProviderHttp {
            proxy: ProxySetting::Url(SecretString::from(format!("ftp://u:{KEY_ENCODED}@h"))),
            ..provider("https://h.example/")
        },
        "`proxy` is not a URL",
    );
    check(
        ProviderHttp {
            headers: vec![("Host".to_owned(), "h".to_owned())],
            ..provider("https://h.example/")
        },
        "header `Host` is set by the client",
    );
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut provider = provider("https://h.example/");
    provider.ca_file = Some(file.path().to_owned());
    let error = HttpClient::new(provider, clock()).unwrap_err();
    assert!(
        matches!(error, NewHttpClientError::CaFile { .. }),
        "{error}"
    );
}

#[test]
fn the_systems_certificates_are_found() {
    client(provider("https://h.example/"));
}
