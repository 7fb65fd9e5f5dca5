//! Plugins: found in folders, read without running them, checked, loaded, called.
//!
//! The steps in order, each with an [`ErrorCode`]: `file` reads and judges the file alone, `audit`
//! what it imports; `trust` holds it against what the operator allows; `catalog` finds it by its name;
//! `manifest` checks options against the published schema;
//! `libraries` has what is loaded; `probe` tries what is not in a process of its own, and `loader` makes
//! the private copy and crosses into foreign code for the first time;
//! `backend` calls it from then on, in a runtime of its own (`runtime`), with the host's
//! `services` as its only way out.
//!
//! **Invariant:** no type of `abi_stable`, `async-ffi` or `libloading` leaves this module.

pub mod audit;
pub mod backend;
pub mod catalog;
pub mod child;
mod conform;
pub mod derive;
pub mod file;
pub mod libraries;
mod loader;
pub(crate) mod log;
pub mod manifest;
pub(crate) mod probe;
mod runtime;
mod sandbox;
mod services;
mod trust;

use std::fmt;
use std::path::{Path, PathBuf};

pub use backend::{Answer, Backend, CallError, Caps, Cost, OpenSettings, Opened, Outcome};
pub use catalog::Catalog;
pub use conform::Specimen;
pub use derive::{DeriveError, DeriveRequest, Derived, DerivedAddress};
pub use file::PluginFile;
pub use libraries::Libraries;
pub use loader::Library;
pub use manifest::Manifest;
pub use trust::Trust;

/// What went wrong while a plugin was loaded. The words are stable; scripts may match them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The file cannot be read.
    Unreadable,
    /// Others than the owner may write the file or its folder, or a stranger owns it.
    Permissions,
    /// Not a shared library of this machine, cut short, or too large.
    NotALibrary,
    /// The pinned hash is another one.
    HashMismatch,
    /// It imports what the host does for plugins.
    Imports,
    /// A library, but no plugin: it has no stamp.
    NotAPlugin,
    /// The stamp or the manifest cannot be read.
    BadManifest,
    /// Built against another major of the ABI.
    AbiMajor,
    /// It needs something that this host does not offer.
    HostFeature,
    /// Built by a compiler that is known to miscompile vtables.
    Compiler,
    /// Built with `panic = "abort"`.
    PanicMode,
    /// The options do not fit the published schema.
    Options,
    /// The private copy cannot be made.
    Copy,
    /// The dynamic loader refuses it.
    Link,
    /// Loading it ends the process.
    LoadCrash,
    /// Loading it does not end.
    LoadDeadline,
    /// The process has too many versions of it.
    TooManyVersions,
    /// The library says something else than its stamp.
    Descriptor,
    /// Its types are laid out in another way.
    Layout,
    /// Its constructor failed.
    Constructor,
    /// `open` failed, or panicked.
    Open,
    /// `open` did not come back in time.
    OpenDeadline,
}

impl ErrorCode {
    /// The code with that word, of those with which a library fails to load.
    fn of_word(word: &str) -> Option<Self> {
        [
            Self::Link,
            Self::Layout,
            Self::Constructor,
            Self::Descriptor,
        ]
        .into_iter()
        .find(|code| code.as_str() == word)
    }

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Permissions => "permissions",
            Self::NotALibrary => "not_a_library",
            Self::HashMismatch => "hash_mismatch",
            Self::Imports => "imports",
            Self::NotAPlugin => "not_a_plugin",
            Self::BadManifest => "bad_manifest",
            Self::AbiMajor => "abi_major",
            Self::HostFeature => "host_feature",
            Self::Compiler => "compiler",
            Self::PanicMode => "panic_mode",
            Self::Options => "options",
            Self::Copy => "copy",
            Self::Link => "link",
            Self::LoadCrash => "load_crash",
            Self::LoadDeadline => "load_deadline",
            Self::TooManyVersions => "too_many_versions",
            Self::Descriptor => "descriptor",
            Self::Layout => "layout",
            Self::Constructor => "constructor",
            Self::Open => "open",
            Self::OpenDeadline => "open_deadline",
        }
    }
}

/// A plugin that was not loaded: which step, which file, why, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginError {
    /// The step.
    pub code: ErrorCode,
    /// The file.
    pub path: PathBuf,
    /// One line: why, and what to do.
    pub message: String,
}

impl PluginError {
    pub(crate) fn new(code: ErrorCode, path: &Path, message: impl Into<String>) -> Self {
        Self {
            code,
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin `{}`: {} [{}]",
            self.path.display(),
            self.message,
            self.code.as_str()
        )
    }
}

impl std::error::Error for PluginError {}
