//! `[providers.NAME]`: one endpoint, served by one plugin.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{PluginName, ProviderName};

use super::breaker::BreakerKeys;
use super::endpoint::{Endpoint, KEY_PLACEHOLDER, Proxy};
use super::leaf::{Leaf, words};
use super::options;
use super::rate::{Quota, Window};
use super::reader::Table;
use super::secret::{Secret, TextOrSecret, names_a_secret};
use super::size::ByteSize;

/// Less than this and plugins do not start.
const MEMORY_MIN: ByteSize = ByteSize(32 << 20);

/// `[providers.NAME]`.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The table's name.
    pub name: ProviderName,
    /// The plugin's name as its manifest has it.
    pub plugin: PluginName,
    /// The base that requests are built on.
    pub endpoint: Endpoint,
    /// Windows that hold at once; `None`: those that the plugin knows for the host, `[]`: none.
    pub limits: Option<Vec<Window>>,
    /// Providers of one group share one pacer.
    pub limit_group: Option<String>,
    /// What the plan or key allows in all.
    pub quota: Option<Quota>,
    /// Connections at once; at least 1. Default 8.
    pub connections: u32,
    /// For one HTTP request. Default 15 s.
    pub timeout: Duration,
    /// Goes where `{key}` stands in endpoint or headers, else where the plugin's manifest says.
    pub api_key: Option<Secret>,
    /// Client credentials; the host fetches and renews the token.
    pub oauth2: Option<OAuth2>,
    /// Sent with every request; values may hold `{key}`.
    pub headers: BTreeMap<String, TextOrSecret>,
    /// `None`: what the environment says.
    pub proxy: Option<Proxy>,
    /// A certificate authority, PEM, that is trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether plain http may leave this machine. Default no.
    pub allow_http: bool,
    /// What differs from the chain's breaker.
    pub breaker: BreakerKeys,
    /// Where the plugin runs. Default in the host's process.
    pub isolation: Isolation,
    /// The most memory of a plugin in a process of its own, besides what the process itself has.
    /// Default 512 MiB.
    pub memory_max: ByteSize,
    /// As written; an object, checked against the schema that the plugin publishes.
    pub options: serde_json::Value,
}

impl Provider {
    /// Every secret that the provider needs, with the key that names it.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &Secret)> {
        let key = self.api_key.iter().map(|it| ("api_key".to_owned(), it));
        let oauth2 = self.oauth2.iter().flat_map(|oauth2| {
            let id = oauth2.client_id.secret();
            let id = id.map(|it| ("oauth2.client_id".to_owned(), it));
            let secret = ("oauth2.client_secret".to_owned(), &oauth2.client_secret);
            id.into_iter().chain([secret])
        });
        let headers = self.headers.iter().filter_map(|(name, value)| {
            let path = super::source::join("headers", name);
            Some((path, value.secret()?))
        });
        let proxy = self.proxy.iter().filter_map(Proxy::secret);
        let proxy = proxy.map(|it| ("proxy".to_owned(), it));
        key.chain(oauth2).chain(headers).chain(proxy)
    }
}

words! {
    /// Where a plugin's code runs.
    Isolation {
        /// In the host's process, on a thread of its own.
        None = "none",
        /// In a child process without network and files.
        Process = "process",
    }
}

/// `oauth2 = { … }`: the client credentials grant.
#[derive(Clone, Debug)]
pub struct OAuth2 {
    /// Where tokens are fetched.
    pub token_url: Endpoint,
    /// Who asks.
    pub client_id: TextOrSecret,
    /// What proves it.
    pub client_secret: Secret,
    /// Sent where the server wants one.
    pub scope: Option<String>,
}

pub(super) fn read(name: ProviderName, mut table: Table<'_>) -> Option<Provider> {
    let plugin = table.required::<String>("plugin");
    let endpoint = table.required::<Endpoint>("endpoint");
    let limits = table.optional::<Vec<Window>>("limits");
    let limit_group = table.optional("limit_group");
    let quota = table.optional("quota");
    let connections = table.required("connections");
    let timeout = table.required("timeout");
    let api_key = table.optional::<Secret>("api_key");
    let allow_http = table.required("allow_http");
    let oauth2 = oauth2(&mut table, allow_http == Some(true));
    let headers = headers(&mut table);
    let proxy = table.optional("proxy");
    let ca_file = table.optional::<PathBuf>("ca_file");
    let breaker = table.table("breaker").map(BreakerKeys::read);
    let isolation = table.required("isolation");
    let memory_max = table.required::<ByteSize>("memory_max");
    let options = table.table("options").map(options::read);

    if let Some(endpoint) = &endpoint {
        check_http(&table, "endpoint", endpoint, allow_http == Some(true));
        if endpoint.holds_key() && !table.has("api_key") {
            table.wrong(
                "endpoint",
                "holds {key} but there is no key; write api_key = { env = \"NAME\" }",
            );
        }
    }
    if memory_max.is_some_and(|size| size < MEMORY_MIN) {
        table.wrong("memory_max", format_args!("must be at least {MEMORY_MIN}"));
    }
    if connections == Some(0) {
        table.wrong("connections", "must be at least 1");
    }
    if timeout == Some(Duration::ZERO) {
        table.wrong("timeout", "must be longer than zero");
    }
    if let Some(file) = ca_file.as_ref().filter(|file| !file.is_file()) {
        table.wrong(
            "ca_file",
            format_args!("there is no file `{}`", file.display()),
        );
    }
    table.finish();
    Some(Provider {
        name,
        plugin: PluginName::from(plugin?),
        endpoint: endpoint?,
        limits,
        limit_group,
        quota,
        connections: connections?,
        timeout: timeout?,
        api_key,
        oauth2,
        headers: headers?,
        proxy,
        ca_file,
        allow_http: allow_http?,
        breaker: breaker.unwrap_or_default(),
        isolation: isolation?,
        memory_max: memory_max?,
        options: options.unwrap_or_else(|| serde_json::Value::Object(serde_json::Map::new())),
    })
}

fn check_http(table: &Table<'_>, key: &str, endpoint: &Endpoint, allowed: bool) {
    if endpoint.is_plain() && !endpoint.is_loopback() && !allowed {
        table.wrong(
            key,
            "plain http:// is allowed on loopback only; write https:// or allow_http = true",
        );
    }
}

fn oauth2(table: &mut Table<'_>, allow_http: bool) -> Option<OAuth2> {
    let mut table = table.table("oauth2")?;
    let token_url = table.required::<Endpoint>("token_url");
    let client_id = table.required::<TextOrSecret>("client_id");
    let client_secret = table.required::<Secret>("client_secret");
    let scope = table.optional("scope");
    if let Some(url) = &token_url {
        check_http(&table, "token_url", url, allow_http);
        if url.holds_key() {
            table.wrong("token_url", "takes no {key}");
        }
    }
    table.finish();
    Some(OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope,
    })
}

fn headers(provider: &mut Table<'_>) -> Option<BTreeMap<String, TextOrSecret>> {
    let Some(item) = provider.item("headers") else {
        return Some(BTreeMap::new());
    };
    let mut headers: BTreeMap<String, TextOrSecret> = BTreeMap::new();
    for (name, item) in item.table("a table of headers")?.entries() {
        if !is_header_name(&name) {
            item.wrong::<()>("is not the name of a header");
            continue;
        }
        if headers.keys().any(|twin| twin.eq_ignore_ascii_case(&name)) {
            item.wrong::<()>("names a header twice: case makes no difference");
            continue;
        }
        // A variable that overrides a secret header carries the secret itself.
        let is_secret = names_a_secret(&name)
            && item.is_override()
            && !item
                .text()
                .is_some_and(|text| text.contains(KEY_PLACEHOLDER));
        let value = if is_secret {
            Secret::read(&item).map(TextOrSecret::Secret)
        } else {
            TextOrSecret::read(&item)
        };
        let Some(value) = value else {
            continue;
        };
        if let TextOrSecret::Text(text) = &value {
            if text.contains(KEY_PLACEHOLDER) {
                if !provider.has("api_key") {
                    item.wrong::<()>(
                        "holds {key} but there is no key; write api_key = { env = \"NAME\" }",
                    );
                }
            } else if names_a_secret(&name) {
                item.wrong::<()>(
                    "a secret must not stand in the file; write { env = \"NAME\" }, or {key} \
                     where the api_key goes",
                );
                continue;
            }
            if text.bytes().any(|byte| byte.is_ascii_control()) {
                item.wrong::<()>("holds a control character");
                continue;
            }
        }
        item.show(value.shown());
        headers.insert(name, value);
    }
    Some(headers)
}

/// The token characters of RFC 9110.
fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}
