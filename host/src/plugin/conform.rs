//! A loaded library as the conformance checks look at it.

use scanhost_abi::types::AbiError;
use scanhost_abi::{HostHandle, ProviderObject};
use scanhost_conformance::{Build, Check, Sample, Subject, Verdict};
use serde_json::Value;

use super::loader::Library;

/// A built plugin under the checks. They drive it on a host of their own, without any network.
#[derive(Clone, Debug)]
pub struct Specimen {
    library: Library,
}

impl Specimen {
    /// The library, for the checks.
    #[must_use]
    pub fn new(library: Library) -> Self {
        Self { library }
    }

    /// Looks at it. A crash of the plugin is one of this process.
    #[must_use]
    pub fn hold_against(&self, check: &Check, sample: &Sample) -> Verdict {
        check.run(self, sample)
    }
}

impl Subject for Specimen {
    fn manifest(&self) -> &str {
        &self.library.file().manifest_json
    }

    fn open(&self, host: HostHandle, settings: &str) -> Result<ProviderObject, AbiError> {
        self.library.open_raw(host, settings.to_owned())
    }

    fn check_options(&self, options: &Value) -> Option<Vec<String>> {
        let errors = self.library.file().manifest.check_options(options);
        let told = errors.into_iter().map(|error| match error.path.as_str() {
            "" => error.message,
            path => format!("`{path}`: {}", error.message),
        });
        Some(told.collect())
    }

    fn forbidden_imports(&self) -> Option<Vec<String>> {
        let imports = self.library.file().imports.iter();
        Some(imports.map(ToString::to_string).collect())
    }

    fn build(&self) -> Build {
        // The file was judged before it was loaded: its ABI is ours but for the minor.
        let abi = self.library.file().abi.split_once('.');
        let number = |text: &str| text.parse().unwrap_or(u16::MAX);
        Build {
            abi: abi.map_or((u16::MAX, u16::MAX), |(major, minor)| {
                (number(major), number(minor))
            }),
            // What was built otherwise is not loaded.
            unwind: true,
        }
    }
}
