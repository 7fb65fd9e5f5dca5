//! Hashes that tell whether what was learnt under an older configuration still holds.
//!
//! Secrets are not part of them, only where they are kept.

use sha2::{Digest, Sha256};

use super::alert::{Alert, AlertWhose};
use super::chain::{Chain, ScanAt};
use super::provider::Provider;
use super::webhook::Webhook;

impl Provider {
    /// Changes with the endpoint, the plugin or the options: a mended provider starts clean.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Fields::new("provider");
        hash.add(self.plugin.as_str());
        hash.add(self.endpoint.as_str());
        hash.add(&canonical(&self.options));
        hash.finish()
    }

    /// Changes with the endpoint or the identity that `chain` expects: what a provider that
    /// answered for another network is held by.
    #[must_use]
    pub fn identity_fingerprint(&self, chain: &Chain) -> String {
        let mut hash = Fields::new("identity");
        hash.add(self.endpoint.as_str());
        hash.optional(chain.identity.as_deref());
        hash.finish()
    }
}

impl Chain {
    /// Changes with whatever changes the meaning of a pass: network, identity, commitment, assets,
    /// height. The pool and its settings do not: they may change while a pass goes on.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Fields::new("chain");
        hash.add(self.name.as_str());
        hash.add(self.network.as_str());
        hash.optional(self.identity.as_deref());
        hash.optional(self.commitment.map(|commitment| commitment.as_str()));
        hash.add(if self.scan.at == ScanAt::Pinned {
            "pinned"
        } else {
            "newest"
        });
        for asset in &self.assets {
            hash.add(asset.symbol.as_str());
            hash.optional(asset.contract.as_deref());
            hash.add(&asset.decimals.to_string());
        }
        hash.finish()
    }
}

impl Webhook {
    /// Changes with the receiver, and with what it is told of: one that was gone is tried again.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Fields::new("webhook");
        hash.add(&self.url.safe());
        hash.add(&self.secret.source().to_string());
        for event in &self.events {
            hash.add(event);
        }
        for chain in &self.chains {
            hash.add(chain.as_str());
        }
        hash.finish()
    }
}

impl Alert {
    /// Changes with the meaning of the alert: for how long it has held is counted anew.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Fields::new("alert");
        hash.add(self.chain.as_str());
        match &self.whose {
            AlertWhose::Chain => hash.add("chain"),
            AlertWhose::Set(set) => {
                hash.add("set");
                hash.add(set);
            }
            AlertWhose::Addresses(addresses) => {
                hash.add("addresses");
                for address in addresses {
                    hash.add(address);
                }
            }
        }
        hash.add(self.asset.key());
        hash.add(self.side.as_str());
        hash.add(&self.threshold.to_string());
        hash.finish()
    }
}

/// A hash over fields whose borders count.
struct Fields(Sha256);

impl Fields {
    fn new(kind: &str) -> Self {
        let mut fields = Self(Sha256::new());
        fields.add(kind);
        fields
    }

    fn add(&mut self, field: &str) {
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
    }

    fn optional(&mut self, field: Option<&str>) {
        self.0.update([u8::from(field.is_some())]);
        self.add(field.unwrap_or_default());
    }

    fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// JSON with sorted keys, whatever order the map type keeps.
fn canonical(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries
                .into_iter()
                .map(|(key, value)| format!("{key:?}:{}", canonical(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}
