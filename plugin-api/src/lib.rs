//! Write a provider plugin for Scanhost.
//!
//! A plugin is an asynchronous translator: cells in, HTTP requests out through the host, readings
//! back. It opens no socket, starts no runtime, holds no key, and contains no `unsafe`.
//!
//! # A whole provider
//!
//! ```
//! use scanhost_plugin_api::prelude::*;
//!
//! /// The options that the operator may set; none here.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Options {}
//!
//! struct Example;
//!
//! #[async_trait]
//! impl Provider for Example {
//!     type Options = Options;
//!
//!     fn open(_host: Host, _settings: Settings<Options>) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//!
//!     fn caps(&self) -> Caps {
//!         Caps::native(Commitment::Confirmed)
//!     }
//!
//!     fn validate_address(&self, address: &str) -> Result<String, Error> {
//!         match address.len() {
//!             34 => Ok(address.to_owned()),
//!             _ => Err(Error::invalid_address("an address has 34 characters")),
//!         }
//!     }
//!
//!     async fn identity(&self, cx: &Cx) -> Result<String, Error> {
//!         cx.get("/block/0").await?.ok()?.text().map(str::to_owned)
//!     }
//!
//!     async fn balances(&self, cx: &Cx, request: &Balances) -> Result<Readings, Error> {
//!         let mut readings = Readings::new(request);
//!         for cell in request.cells() {
//!             let answer = cx.get(&format!("/balance/{}", cell.address())).await?.ok()?;
//!             readings.known(cell, Amount::from_decimal(answer.text()?)?);
//!         }
//!         Ok(readings)
//!     }
//! }
//!
//! # #[cfg(any())]
//! export_plugin!(Example, "plugin.json");
//! ```
//!
//! # The one rule
//!
//! **An unknown is never a zero.** What was not answered, or not understood, is an [`Error`]: for
//! one cell by [`Readings::unknown`], for the whole call by returning it. A cell without a reading
//! is `missing`. Parse strictly: required fields, exact lengths, no defaults.

mod adapter;
mod amount;
mod balances;
mod derive;
mod error;
mod host;
mod http;
mod json_rpc;
mod provider;
mod strict;
#[cfg(any(test, feature = "test-kit"))]
pub mod test_kit;

pub use amount::Amount;
pub use async_trait::async_trait;
pub use balances::{Asset, Balances, Cell, Mark, Readings};
pub use derive::{Derive, Derived, DerivedAddress};
pub use error::{Error, ErrorKind};
pub use host::{Cx, Host};
pub use http::{Method, Request, Response};
pub use json_rpc::{RpcCall, RpcReplies, parse_json};
pub use provider::{Caps, Commitment, Cost, Provider, Scope, Settings};
pub use scanhost_abi::types::LogLevel;
pub use schemars::JsonSchema;
pub use serde::Deserialize;

/// Everything that a provider's file needs.
pub mod prelude {
    pub use crate::{
        Amount, Asset, Balances, Caps, Cell, Commitment, Cost, Cx, Derive, Derived, Error,
        ErrorKind, Host, JsonSchema, LogLevel, Mark, Provider, Readings, Request, Response,
        RpcCall, RpcReplies, Scope, Settings, async_trait, export_plugin,
    };
    pub use serde::Deserialize;
}

/// What [`export_plugin!`] names; not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::adapter::{Adapter, check_manifest};
    #[cfg(any(test, feature = "test-kit"))]
    pub use crate::test_kit::conformance::run_check;
    pub use scanhost_abi as abi;
}

/// Makes the crate a plugin: `export_plugin!(MyProvider, "plugin.json");`
///
/// The path is from the crate's root. The crate is a `cdylib`; it exports one symbol,
/// `_1as_0lib_1header_0root_bmodule_bloader`, and one section, `.scanhost` (on macOS
/// `__DATA,__scanhost`). A test is made that compares the manifest's name, version and options
/// with the crate and [`Provider::Options`].
#[macro_export]
macro_rules! export_plugin {
    ($provider:ty, $manifest:literal) => {
        struct __ScanhostLibrary;

        impl $crate::__private::abi::root::Library for __ScanhostLibrary {
            const MANIFEST: &'static [u8] =
                include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $manifest));

            fn open(
                host: $crate::__private::abi::HostHandle,
                request: &$crate::__private::abi::OpenRequest,
            ) -> Result<$crate::__private::abi::ProviderObject, $crate::__private::abi::AbiError>
            {
                $crate::__private::Adapter::<$provider>::open(host, request)
            }
        }

        $crate::__private::abi::export_library!(__ScanhostLibrary);

        #[cfg(test)]
        #[test]
        fn the_manifest_matches_the_crate() {
            $crate::__private::check_manifest::<$provider>(
                <__ScanhostLibrary as $crate::__private::abi::root::Library>::MANIFEST,
                env!("CARGO_PKG_VERSION"),
            );
        }
    };
}
