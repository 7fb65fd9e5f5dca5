//! What is looked at: a plugin's type, or its built file.

use scanhost_abi::guard::guard;
use scanhost_abi::types::AbiError;
use scanhost_abi::{HostHandle, OpenRequest, ProviderObject};
use serde_json::Value;

/// A plugin, wherever its code is.
pub trait Subject: Send + Sync {
    /// The manifest's JSON.
    fn manifest(&self) -> &str;

    /// Opens a provider; `settings` is the JSON of an [`OpenRequest`].
    ///
    /// # Errors
    ///
    /// The plugin's own refusal, or its panic.
    fn open(&self, host: HostHandle, settings: &str) -> Result<ProviderObject, AbiError>;

    /// What the options' schema has against these options. `None` where nobody can hold one
    /// against the other: the plugin's own type is then all that refuses them.
    fn check_options(&self, options: &Value) -> Option<Vec<String>> {
        let _ = options;
        None
    }

    /// What the built file calls that a plugin must not. `None` where there is no file to look
    /// at.
    fn forbidden_imports(&self) -> Option<Vec<String>> {
        None
    }

    /// The ABI that it was built against, and whether panics unwind.
    fn build(&self) -> Build;
}

/// How a plugin was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// Major and minor of the ABI.
    pub abi: (u16, u16),
    /// Panics unwind.
    pub unwind: bool,
}

/// A plugin's type in this very program.
#[derive(Clone, Debug)]
pub struct Builtin {
    /// The manifest's bytes.
    pub manifest: &'static [u8],
    /// Opens a provider of it.
    pub open: fn(HostHandle, &OpenRequest) -> Result<ProviderObject, AbiError>,
}

impl Subject for Builtin {
    fn manifest(&self) -> &str {
        // What is no text is no JSON either, which is then told.
        std::str::from_utf8(self.manifest).unwrap_or_default()
    }

    fn open(&self, host: HostHandle, settings: &str) -> Result<ProviderObject, AbiError> {
        let request = OpenRequest {
            settings: settings.into(),
            reserved: [0; 4],
        };
        guard("open", || (self.open)(host, &request)).flatten()
    }

    fn build(&self) -> Build {
        use scanhost_abi::stamp;
        Build {
            abi: (stamp::ABI_MAJOR, stamp::ABI_MINOR),
            unwind: cfg!(panic = "unwind"),
        }
    }
}
