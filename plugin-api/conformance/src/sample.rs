//! What a plugin is asked in the checks, and how its upstream answers when all is well.

use std::sync::Arc;

use scanhost_abi::types::AssetRef;
use scanhost_abi::{RNone, RSome};
use serde_json::{Value, json};

use crate::offline::Upstream;

/// Makes a further address of the network, by its number.
type MoreAddresses = Arc<dyn Fn(usize) -> String + Send + Sync>;

/// A sample of a plugin's work. What it leaves out is skipped by the checks that need it.
#[derive(Clone)]
pub struct Sample {
    /// The network of the addresses.
    pub network: String,
    /// What the chain says of itself, where it is known.
    pub identity: Option<String>,
    /// The options that a provider is opened with.
    pub options: Value,
    /// Addresses of the network that the upstream knows.
    pub addresses: Vec<String>,
    /// What to ask for at each; none is the native coin alone.
    pub assets: Vec<SampleAsset>,
    /// What is no address of the network.
    pub invalid: Vec<String>,
    /// The upstream in good order.
    pub upstream: Option<Upstream>,
    more: Option<MoreAddresses>,
}

/// An asset to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleAsset {
    /// The token's contract or mint; `None` is the native coin.
    pub contract: Option<String>,
    /// Its decimals on the chain.
    pub decimals: u8,
}

// === impl Sample ===

impl Sample {
    /// A sample of a network, with nothing in it.
    #[must_use]
    pub fn new(network: &str) -> Self {
        Self {
            network: network.to_owned(),
            identity: None,
            options: json!({}),
            addresses: Vec::new(),
            assets: Vec::new(),
            invalid: Vec::new(),
            upstream: None,
            more: None,
        }
    }

    /// A way to make as many addresses as a plugin takes in one call.
    pub fn more_addresses(&mut self, more: impl Fn(usize) -> String + Send + Sync + 'static) {
        self.more = Some(Arc::new(more));
    }

    /// As many different addresses as there are, at most `count`.
    #[must_use]
    pub fn addresses_up_to(&self, count: usize) -> Vec<String> {
        let mut addresses = self.addresses.clone();
        addresses.truncate(count);
        if let Some(more) = &self.more {
            let made = (0..count.saturating_sub(addresses.len())).map(|number| more(number));
            addresses.extend(made);
        }
        addresses
    }

    /// The assets to ask for; the native coin where none is named.
    #[must_use]
    pub fn assets(&self) -> Vec<SampleAsset> {
        match self.assets.is_empty() {
            true => vec![SampleAsset {
                contract: None,
                decimals: 0,
            }],
            false => self.assets.clone(),
        }
    }

    /// The settings of a provider with these options.
    pub(crate) fn settings(&self, options: &Value) -> String {
        let settings = json!({
            "chain": "conformance", "provider": "conformance", "network": self.network,
            "identity": self.identity, "options": options,
        });
        settings.to_string()
    }
}

impl std::fmt::Debug for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sample")
            .field("network", &self.network)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

// === impl SampleAsset ===

impl SampleAsset {
    pub(crate) fn to_abi(&self) -> AssetRef {
        let contract = self.contract.as_deref();
        AssetRef {
            contract: contract.map_or(RNone, |contract| RSome(contract.into())),
            decimals: self.decimals,
            reserved: [0; 2],
        }
    }
}
