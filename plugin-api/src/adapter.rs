//! Puts a [`Provider`] behind the ABI.

use std::sync::Arc;

use scanhost_abi as abi;
use scanhost_abi::{BoxFuture, ProviderAbi, ProviderObject, RString, RVec};

use crate::provider::{Provider, Settings};
use crate::{Balances, Cx, Derive, Derived, Error, ErrorKind, Host};

/// A provider as the ABI wants it.
#[derive(Debug)]
pub struct Adapter<P> {
    provider: P,
    host: Host,
}

impl<P: Provider> Adapter<P> {
    /// Opens the provider with settings as JSON.
    ///
    /// # Errors
    ///
    /// Settings that do not fit the type, or the provider's own refusal.
    pub fn open(
        host: abi::HostHandle,
        request: &abi::OpenRequest,
    ) -> Result<ProviderObject, abi::AbiError> {
        Self::open_parts(host, &request.settings)
            .map(|adapter| ProviderObject::new(Arc::new(adapter)))
            .map_err(|error| error.to_abi())
    }

    fn open_parts(handle: abi::HostHandle, settings: &str) -> Result<Self, Error> {
        let settings: Settings<P::Options> = serde_json::from_str(settings)
            .map_err(|error| Error::new(ErrorKind::PluginFault, format!("settings: {error}")))?;
        let host = Host::new(handle);
        Ok(Self {
            provider: P::open(host.clone(), settings)?,
            host,
        })
    }
}

impl<P: Provider> ProviderAbi for Adapter<P> {
    fn describe(&self) -> abi::Caps {
        self.provider.caps().to_abi()
    }

    fn validate_address(&self, address: &str) -> Result<String, abi::AbiError> {
        self.provider
            .validate_address(address)
            .map_err(|error| error.to_abi())
    }

    fn identity(
        self: Arc<Self>,
        call: abi::CallContext,
    ) -> BoxFuture<Result<RString, abi::AbiError>> {
        Box::pin(async move {
            let cx = Cx::new(self.host.clone(), call);
            let identity = self.provider.identity(&cx).await;
            identity.map(RString::from).map_err(|error| error.to_abi())
        })
    }

    fn balances(
        self: Arc<Self>,
        call: abi::CallContext,
        request: abi::BalancesRequest,
    ) -> BoxFuture<Result<RVec<abi::Reading>, abi::AbiError>> {
        Box::pin(async move {
            let cx = Cx::new(self.host.clone(), call);
            let request = Balances::from_abi(request).map_err(|error| error.to_abi())?;
            // An author who knows nothing of heights must not answer with the newest.
            if let (Some(height), false) = (request.at_height(), self.provider.caps().pinned) {
                let message = format!("asked for block {height}: it does not read at one height");
                return Err(Error::unsupported(message).to_abi());
            }
            let readings = self.provider.balances(&cx, &request).await;
            readings
                .map(|readings| readings.into_abi())
                .map_err(|error| error.to_abi())
        })
    }

    fn derive(&self, request: abi::DeriveRequest) -> Result<abi::Derived, abi::AbiError> {
        let derived = Derive::from_abi(&request).and_then(|request| {
            let derived = self.provider.derive(&request)?;
            derived.check(&request)?;
            Ok(derived)
        });
        derived
            .map(Derived::into_abi)
            .map_err(|error| error.to_abi())
    }
}

/// Fails the test that [`export_plugin!`](crate::export_plugin) makes when the manifest does not
/// say what the crate is.
///
/// # Panics
///
/// With what to write instead.
pub fn check_manifest<P: Provider>(manifest: &[u8], version: &str) {
    let manifest: serde_json::Value =
        serde_json::from_slice(manifest).expect("the manifest is JSON");
    let name = manifest["name"].as_str().expect("the manifest has a name");
    assert!(
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
        "the name is made of lower-case letters, digits and dashes"
    );
    assert_eq!(
        manifest["version"], version,
        "the manifest's version is the crate's"
    );
    let schema = schemars::schema_for!(P::Options);
    assert!(
        manifest["options"] == *schema.as_value(),
        "the manifest's `options` differ from the options type; write:\n\"options\": {}",
        serde_json::to_string_pretty(&schema).expect("a schema is JSON"),
    );
}
