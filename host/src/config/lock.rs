//! The lock file beside the configuration: which plugin files are the right ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::{ConfigErrors, Place};
use super::plugins::Pin;
use crate::model::PluginName;

const HEAD: &str = "\
# Which plugin files may be loaded, by `scanhost plugins lock`. After a change of plugins that you
# made yourself, run it again; a pin in [plugins.pin] of the configuration counts before one here.
[pin]
";

/// Where the lock file of a configuration is.
#[must_use]
pub fn path_of(config: &Path) -> PathBuf {
    config.with_extension("lock")
}

/// The pins of a lock file; none where there is no file.
///
/// # Errors
///
/// It cannot be read, or is no lock file.
pub fn read(path: &Path) -> Result<BTreeMap<PluginName, Pin>, ConfigErrors> {
    let fail = |why: String| {
        let place = Place::Whole(path.display().to_string().as_str().into());
        let message = format!("{why}; `scanhost plugins lock` writes it anew once it is gone");
        ConfigErrors::one(place, message)
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(fail(format!("failed to read the lock file: {error}"))),
    };
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| fail(format!("not valid TOML: {}", error.message())))?;
    let Some(pins) = table.get("pin").and_then(toml::Value::as_table) else {
        return Err(fail("it has no [pin]".to_owned()));
    };
    let pin = |(name, pin): (&String, &toml::Value)| match pin.as_str().and_then(Pin::parse) {
        Some(pin) => Ok((PluginName::from(name.as_str()), pin)),
        None => Err(fail(format!(
            "`{name}` is not \"sha256:\" and 64 hex digits"
        ))),
    };
    pins.iter().map(pin).collect()
}

/// The text of a lock file.
#[must_use]
pub fn text(pins: &BTreeMap<PluginName, Pin>) -> String {
    let lines = pins
        .iter()
        .map(|(name, pin)| format!("{} = \"{pin}\"\n", toml_key(name.as_str())));
    [HEAD.to_owned()].into_iter().chain(lines).collect()
}

/// A plugin's name as a key: bare where that is one.
fn toml_key(name: &str) -> String {
    let is_bare = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => toml::Value::from(name).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scanhost.lock");
        assert_eq!(read(&path).unwrap(), BTreeMap::new());
        let pins: BTreeMap<_, _> = ["bsc-rpc", "a name\"", "x"]
            .into_iter()
            .zip(1..)
            .map(|(name, byte)| (PluginName::from(name), Pin([byte; 32])))
            .collect();
        std::fs::write(&path, text(&pins)).unwrap();
        assert_eq!(read(&path).unwrap(), pins);
    }

    #[test]
    fn what_is_no_lock_file_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scanhost.lock");
        for bad in [
            "",
            "[",
            "pin = 1",
            "[pin]\na = 1",
            "[pin]\na = \"sha256:00\"",
        ] {
            std::fs::write(&path, bad).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("scanhost.lock"), "{error}");
            assert!(error.contains("plugins lock"), "{error}");
        }
    }

    #[test]
    fn it_lies_beside_the_configuration() {
        let path = path_of(Path::new("/etc/scanhost/main.toml"));
        assert_eq!(path, Path::new("/etc/scanhost/main.lock"));
    }
}
