//! A provider's HTTP client, made of its configuration and its plugin's manifest.

use crate::clock::SharedClock;
use crate::config;
use crate::http::{
    ClientCredentials, Credential, Endpoint, HttpClient, KeyPlace, ProviderHttp, ProxySetting,
};
use crate::plugin::Manifest;
use crate::plugin::manifest::KeyPlace as ManifestPlace;

/// The client of a provider: its endpoint, its key where the manifest wants it, its tokens.
///
/// # Errors
///
/// Which setting cannot work.
pub fn http_client(
    provider: &config::Provider,
    manifest: &Manifest,
    connections: u32,
    clock: SharedClock,
) -> Result<HttpClient, String> {
    let endpoint =
        Endpoint::parse(provider.endpoint.as_str()).map_err(|error| error.to_string())?;
    let mut http = ProviderHttp::new(provider.name.clone(), endpoint);
    http.allow_http = provider.allow_http;
    http.timeout = provider.timeout;
    http.connections = connections as usize;
    http.ca_file = provider.ca_file.clone();
    let headers = provider.headers.iter();
    http.headers = headers
        .map(|(name, value)| (name.clone(), value.expose().to_owned()))
        .collect();
    if let Some(key) = &provider.api_key {
        http.credential = Credential::Key {
            key: key.expose().into(),
            place: key_place(manifest),
        };
    }
    if let Some(oauth2) = &provider.oauth2 {
        http.oauth2 = Some(ClientCredentials {
            token_url: Endpoint::parse(oauth2.token_url.as_str())
                .map_err(|error| format!("`token_url`: {error}"))?,
            client_id: oauth2.client_id.expose().into(),
            hides_id: oauth2.client_id.secret().is_some(),
            client_secret: oauth2.client_secret.expose().into(),
            scope: oauth2.scope.clone(),
        });
    }
    if let Some(proxy) = &provider.proxy {
        http.proxy = ProxySetting::Url(proxy.expose().into());
    }
    HttpClient::new(http, clock).map_err(|error| error.to_string())
}

/// Where a plugin wants its key.
#[must_use]
pub fn key_place(manifest: &Manifest) -> KeyPlace {
    manifest
        .key
        .as_ref()
        .map_or(KeyPlace::None, |key| match key.place {
            ManifestPlace::Query => KeyPlace::Query(key.name.clone()),
            ManifestPlace::Header => KeyPlace::Header(key.name.clone(), key.prefix.clone()),
        })
}

/// What sets `Authorization` besides the provider's OAuth2 token.
pub(super) fn beside_token(
    provider: &config::Provider,
    manifest: &Manifest,
) -> Option<&'static str> {
    provider.oauth2.as_ref()?;
    let is_it = |name: &str| name.eq_ignore_ascii_case("authorization");
    if provider.headers.keys().any(|name| is_it(name)) {
        return Some("`headers`");
    }
    let named = |header: &config::TextOrSecret| header.expose().contains(config::KEY_PLACEHOLDER);
    let is_named = provider.endpoint.holds_key() || provider.headers.values().any(named);
    let goes_there = manifest
        .key
        .as_ref()
        .is_some_and(|key| key.place == ManifestPlace::Header && is_it(&key.name));
    (provider.api_key.is_some() && !is_named && goes_there).then_some("`api_key`")
}
