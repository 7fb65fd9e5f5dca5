//! `[service]`: the HTTP API, its address and who may use it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::leaf::{Leaf, quoted, words};
use super::reader::{Item, Table};
use super::secret::Secret;

/// `[service]`.
#[derive(Clone, Debug)]
pub struct Service {
    /// Where `scanhost serve` listens. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Who holds it may do everything. Required unless `listen` is loopback.
    pub token: Option<Secret>,
    /// Who holds it may look and change nothing.
    pub read_token: Option<Secret>,
    /// Names beside the address itself that a request's `Host` may have.
    pub allowed_hosts: Vec<String>,
    /// Where the API is mounted behind a proxy; `/` or a path without a slash at its end.
    pub base_path: String,
    /// Who may read `/metrics`. Default open.
    pub metrics: MetricsAccess,
    /// For the head of a request. Default 10 s.
    pub header_timeout: Duration,
    /// Until a request is answered; a stream of events is answered when it begins. Default 30 s.
    pub request_timeout: Duration,
    /// What a service that is told to stop waits for what is under way. Default 15 s.
    pub shutdown_timeout: Duration,
}

words! {
    /// Who may read the metrics.
    MetricsAccess {
        /// Whoever reaches the address.
        Open = "open",
        /// Who holds one of the tokens.
        Token = "token",
    }
}

impl Leaf for SocketAddr {
    fn read(item: &Item<'_>) -> Option<Self> {
        let Some(text) = item.text() else {
            return item.expected("an address and port like \"127.0.0.1:8080\"");
        };
        if let Some(port) = text.strip_prefix("localhost:")
            && let Ok(port) = port.parse()
        {
            return Some(Self::from((Ipv4Addr::LOCALHOST, port)));
        }
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => item.expected("an address and port like \"127.0.0.1:8080\""),
        }
    }

    fn shown(&self) -> String {
        quoted(&self.to_string())
    }
}

pub(super) fn read(mut table: Table<'_>) -> Option<Service> {
    let listen = table.required::<SocketAddr>("listen");
    let token = table.optional::<Secret>("token");
    let read_token = table.optional::<Secret>("read_token");
    let allowed_hosts = table.required("allowed_hosts");
    let base_path = table.required::<String>("base_path");
    let metrics = table.required("metrics");
    let mut time = |key| {
        let time = table.required::<Duration>(key);
        if time == Some(Duration::ZERO) {
            table.wrong(key, "is zero; nothing could be done in that time");
        }
        time
    };
    let header_timeout = time("header_timeout");
    let request_timeout = time("request_timeout");
    let shutdown_timeout = time("shutdown_timeout");

    if let Some(listen) = listen
        && !listen.ip().is_loopback()
        && !table.has("token")
    {
        table.wrong(
            "listen",
            format_args!(
                "{listen} can be reached from other machines and needs a token; \
                 write token = {{ env = \"SCANHOST_TOKEN\" }}"
            ),
        );
    }
    for (key, secret) in [("token", &token), ("read_token", &read_token)] {
        if let Some(why) = secret.as_ref().and_then(Secret::missing) {
            table.wrong(key, why);
        }
    }
    if read_token.is_some() && !table.has("token") {
        table.wrong("read_token", "protects nothing without `token`");
    }
    if metrics == Some(MetricsAccess::Token) && !table.has("token") {
        table.wrong("metrics", "\"token\" needs `token`");
    }
    if let (Some(token), Some(read_token)) = (&token, &read_token)
        && token.expose() == read_token.expose()
        && token.missing().is_none()
    {
        table.wrong("read_token", "is the same as `token`");
    }
    if let Some(path) = &base_path
        && (!path.starts_with('/')
            || (path.len() > 1 && path.ends_with('/'))
            || path.contains(['?', '#', ' '])
            || path.contains("//"))
    {
        table.wrong(
            "base_path",
            format_args!("expected a path like \"/scanhost\", found {path:?}"),
        );
    }
    table.finish();
    Some(Service {
        listen: listen?,
        token,
        read_token,
        allowed_hosts: allowed_hosts?,
        base_path: base_path?,
        metrics: metrics?,
        header_timeout: header_timeout?,
        request_timeout: request_timeout?,
        shutdown_timeout: shutdown_timeout?,
    })
}
