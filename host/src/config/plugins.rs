//! `[plugins]`: where plugin files lie and which files are the right ones.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::model::PluginName;

use super::error::normal;
use super::leaf::{Leaf, quoted, words};
use super::reader::{Item, Table};

/// `[plugins]`.
#[derive(Clone, Debug)]
pub struct Plugins {
    /// The folders as configured; `None` is the default, see [`folders`](Self::folders).
    pub dirs: Option<Vec<PathBuf>>,
    /// The only file that may be loaded for a plugin, by its hash.
    pub pin: BTreeMap<PluginName, Pin>,
    /// What becomes of a plugin that imports what the host does for it. Default deny.
    pub imports: Imports,
}

words! {
    /// What becomes of a plugin that imports a socket, a process or the like.
    Imports {
        /// It is not loaded.
        Deny = "deny",
        /// It is loaded, and told.
        Warn = "warn",
    }
}

impl Plugins {
    /// The folders to look in, in order: as configured, else the executable's own and its `plugins`.
    #[must_use]
    pub fn folders(&self, executable_dir: &Path) -> Vec<PathBuf> {
        self.dirs
            .clone()
            .unwrap_or_else(|| vec![executable_dir.to_owned(), executable_dir.join("plugins")])
    }

    /// The only file allowed for `plugin`; `-` and `_` in its name make no difference.
    #[must_use]
    pub fn pin(&self, plugin: &PluginName) -> Option<Pin> {
        let same = |name: &PluginName| normal(name.as_str()) == normal(plugin.as_str());
        let found = self.pin.iter().find(|(name, _)| same(name));
        found.map(|(_, pin)| *pin)
    }
}

/// The SHA-256 of a plugin file: `sha256:` and 64 lower-case hex digits in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// `sha256:` and 64 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let hash = text.strip_prefix("sha256:")?;
        hex::decode_to_slice(hash, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl Leaf for Pin {
    fn read(item: &Item<'_>) -> Option<Self> {
        match item.text().and_then(Self::parse) {
            Some(pin) => Some(pin),
            None => item.expected("\"sha256:\" and 64 hex digits"),
        }
    }

    fn shown(&self) -> String {
        quoted(&self.to_string())
    }
}

pub(super) fn read(mut table: Table<'_>) -> Option<Plugins> {
    let dirs = table.optional("dirs");
    let pin = table.table("pin").map(|pins| {
        let entries = pins.entries().into_iter().filter_map(|(name, item)| {
            let pin = Pin::read(&item)?;
            item.show(pin.shown());
            Some((PluginName::from(name), pin))
        });
        entries.collect()
    });
    if dirs.as_ref().is_some_and(Vec::is_empty) {
        table.wrong("dirs", "is empty; leave it out for the default folders");
    }
    let imports = table.required("imports");
    table.finish();
    Some(Plugins {
        dirs,
        pin: pin.unwrap_or_default(),
        imports: imports?,
    })
}
