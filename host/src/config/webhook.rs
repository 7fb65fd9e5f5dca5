//! `[[webhooks]]`: who is told of events, and how.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use figment::value::Value;
use url::Url;

use super::endpoint::{holds_secret, is_loopback, without_secrets};
use super::error::{did_you_mean, normal, ticked};
use super::leaf::{Leaf, quoted, word};
use super::reader::{Item, Table};
use super::secret::{Secret, SecretSource};
use crate::model::{ChainName, EVENTS};

/// What a secret in the form of Standard Webhooks begins with; base64 follows.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a key that nobody guesses.
const KEY_LEN_MIN: usize = 24;
/// For one attempt, where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long an event waits for its receiver, where nothing else is said.
const EXPIRES: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Base64 with or without the padding at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One of `[[webhooks]]`.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// By which the store knows how far it is.
    pub name: String,
    /// Where events go.
    pub url: WebhookUrl,
    /// What they are signed with.
    pub secret: Secret,
    /// Only these events; empty is all.
    pub events: Vec<&'static str>,
    /// Only these chains' events; empty is all.
    pub chains: Vec<ChainName>,
    /// For one attempt. Default 15 s.
    pub timeout: Duration,
    /// An event that could not be delivered for so long is passed over. Default 7 days.
    pub expires: Duration,
}

/// The address of a receiver; whoever knows it may often write there, so it is not printed whole.
#[derive(Clone)]
pub struct WebhookUrl {
    url: Url,
    source: Option<SecretSource>,
}

// === impl Webhook ===

impl Webhook {
    /// The key of the signatures: what follows `whsec_`, decoded, or the secret as it is.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let secret = self.secret.expose();
        let decoded = secret
            .strip_prefix(SECRET_PREFIX)
            .and_then(|text| BASE64.decode(text).ok());
        decoded.unwrap_or_else(|| secret.as_bytes().to_vec())
    }

    /// Whether both do the same in every way, secrets included.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.url.url == other.url.url
            && self.secret.expose() == other.secret.expose()
            && self.events == other.events
            && self.chains == other.chains
            && self.timeout == other.timeout
            && self.expires == other.expires
    }
}

// === impl WebhookUrl ===

impl WebhookUrl {
    /// The whole URL, for the one place that connects to it.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.url
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Without anything secret, as `config show` has it.
    #[must_use]
    pub fn safe(&self) -> String {
        match &self.source {
            Some(source) => source.to_string(),
            None => without_secrets(&self.url),
        }
    }

    fn of(text: &str, source: Option<SecretSource>) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
            return Err("is not an https:// URL".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "holds a user or a password; receivers know Scanhost by the signature".to_owned(),
            );
        }
        if source.is_none() && holds_secret(&url) {
            return Err(
                "holds a secret, which must not stand in the file; write { env = \"NAME\" } with \
                 the whole URL in it"
                    .to_owned(),
            );
        }
        Ok(Self { url, source })
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.safe())
    }
}

impl Leaf for WebhookUrl {
    fn read(item: &Item<'_>) -> Option<Self> {
        let read = if matches!(item.typed().as_ref(), Value::Dict(..)) {
            let secret = Secret::read(item)?;
            match secret.missing() {
                Some(why) => Err(why.to_owned()),
                None => Self::of(secret.expose(), Some(secret.source().clone())),
            }
        } else {
            match item.text() {
                Some(text) => Self::of(text, None),
                None => return item.expected("a URL"),
            }
        };
        read.map_err(|wrong| item.wrong::<()>(wrong)).ok()
    }

    fn shown(&self) -> String {
        match &self.source {
            Some(source) => source.to_string(),
            None => quoted(&without_secrets(&self.url)),
        }
    }
}

/// The name of an event that is stored.
struct EventName(&'static str);

impl Leaf for EventName {
    fn read(item: &Item<'_>) -> Option<Self> {
        word(item, &EVENTS.map(|name| (name, name))).map(Self)
    }

    fn shown(&self) -> String {
        quoted(self.0)
    }
}

pub(super) fn read(tables: Vec<Table<'_>>, chains: &[ChainName]) -> Vec<Webhook> {
    let mut webhooks: Vec<Webhook> = Vec::new();
    for table in tables {
        let webhook = read_one(table, chains, &webhooks);
        webhooks.extend(webhook);
    }
    webhooks
}

fn read_one(mut table: Table<'_>, chains: &[ChainName], earlier: &[Webhook]) -> Option<Webhook> {
    let names = earlier.iter().map(|webhook| webhook.name.as_str());
    let name = name(&mut table, names);
    let url = table.required::<WebhookUrl>("url");
    let secret = table.required::<Secret>("secret");
    let events = table.optional::<Vec<EventName>>("events");
    let of_chains = table.optional::<Vec<String>>("chains");
    let mut time = |key| {
        let time = table.optional::<Duration>(key);
        if time == Some(Duration::ZERO) {
            table.wrong(key, "is zero; nothing could be done in that time");
        }
        time
    };
    let timeout = time("timeout").unwrap_or(TIMEOUT);
    let expires = time("expires").unwrap_or(EXPIRES);
    let allow_http = table.optional("allow_http").unwrap_or(false);

    if let Some(url) = &url
        && url.url.scheme() == "http"
        && !url.is_loopback()
        && !allow_http
    {
        table.wrong(
            "url",
            "is http://, which anybody on the way can read; write https://, or allow_http = true",
        );
    }
    if let Some(secret) = &secret {
        check_secret(&table, secret);
    }
    let mut known = Vec::new();
    for name in of_chains.iter().flatten() {
        match chains
            .iter()
            .find(|chain| normal(chain.as_str()) == normal(name))
        {
            Some(chain) => known.push(chain.clone()),
            None => table.wrong("chains", unknown_chain(name, chains)),
        }
    }
    for (key, is_empty) in [
        ("events", events.as_ref().is_some_and(Vec::is_empty)),
        ("chains", of_chains.as_ref().is_some_and(Vec::is_empty)),
    ] {
        if is_empty {
            table.wrong(key, "is empty; leave it out for all");
        }
    }
    table.finish();
    Some(Webhook {
        name: name?,
        url: url?,
        secret: secret?,
        events: events.iter().flatten().map(|event| event.0).collect(),
        chains: known,
        timeout,
        expires,
    })
}

/// The name of one of a list of tables; it is how the store knows the table.
pub(super) fn name<'e>(
    table: &mut Table<'_>,
    mut earlier: impl Iterator<Item = &'e str>,
) -> Option<String> {
    let name = table.required::<String>("name")?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.bytes().all(letters) {
        table.wrong("name", "has other than letters, digits, `-` and `_`");
        return None;
    }
    if let Some(twin) = earlier.find(|earlier| normal(earlier) == normal(&name)) {
        table.wrong(
            "name",
            format_args!("is the same name as `{twin}`: case, `-` and `_` make no difference"),
        );
        return None;
    }
    Some(name)
}

/// What to say of a chain that there is not.
pub(super) fn unknown_chain(name: &str, chains: &[ChainName]) -> String {
    let names = || chains.iter().map(ChainName::as_str);
    let hint = match did_you_mean(name, names()) {
        hint if !hint.is_empty() => hint,
        _ if chains.is_empty() => "; no chain is configured".to_owned(),
        _ => format!("; there are {}", ticked(names())),
    };
    format!("unknown chain `{name}`{hint}")
}

fn check_secret(table: &Table<'_>, secret: &Secret) {
    if let Some(why) = secret.missing() {
        table.wrong("secret", why);
        return;
    }
    let text = secret.expose();
    let key = match text.strip_prefix(SECRET_PREFIX) {
        Some(rest) => match BASE64.decode(rest) {
            Ok(key) => key.len(),
            Err(_) => {
                table.wrong(
                    "secret",
                    format_args!("has no base64 behind `{SECRET_PREFIX}`"),
                );
                return;
            }
        },
        None => text.len(),
    };
    if key < KEY_LEN_MIN {
        table.reader.warn(
            table.place_of("secret"),
            format!(
                "`{}.secret`: is {key} bytes long; take at least {KEY_LEN_MIN} random ones",
                table.path
            ),
        );
    }
}
