//! What a plugin publishes about itself, and its options checked against it.

use jsonschema::error::ValidationErrorKind;
use serde::Deserialize;
use serde_json::Value;

use crate::model::PluginName;

/// The manifest that lies in a plugin's file. Unknown fields are a newer minor's and ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// 1.
    pub manifest_version: u32,
    /// What `plugin = "…"` in the configuration names.
    pub name: PluginName,
    /// The plugin's own version.
    pub version: String,
    /// One line for a person.
    #[serde(default)]
    pub description: String,
    /// What it can do: `native`, `tokens`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The commitments it can read at; empty is any.
    #[serde(default)]
    pub commitments: Vec<String>,
    /// The networks whose addresses it knows; empty is any.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Known endpoints by network, for people.
    #[serde(default)]
    pub endpoints: std::collections::BTreeMap<String, Vec<String>>,
    /// Where the key goes, if it takes one.
    #[serde(default)]
    pub key: Option<Key>,
    /// Limits of hosts that are known to have them.
    #[serde(default)]
    pub hosts: Vec<KnownHost>,
    /// Features that the host must offer; none exist yet.
    #[serde(default)]
    pub features: Vec<String>,
    /// JSON Schema of the options table.
    pub options: Value,
    /// What `plugins verify` asks for, by network.
    #[serde(default)]
    pub examples: std::collections::BTreeMap<String, Examples>,
}

/// Examples of what a network's addresses and assets are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Examples {
    /// What the chain says of itself.
    #[serde(default)]
    pub identity: Option<String>,
    /// Addresses of the network.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// What is none of them.
    #[serde(default)]
    pub invalid: Vec<String>,
    /// What to ask for; empty is the native coin alone.
    #[serde(default)]
    pub assets: Vec<ExampleAsset>,
}

/// An asset of [`Examples`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExampleAsset {
    /// The token's contract or mint; none is the native coin.
    #[serde(default)]
    pub contract: Option<String>,
    /// Its decimals.
    pub decimals: u8,
}

/// Where a key goes in a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Key {
    /// `query` or `header`.
    #[serde(rename = "in")]
    pub place: KeyPlace,
    /// Name of the parameter or header.
    pub name: String,
    /// What stands before the key: `Bearer `.
    #[serde(default)]
    pub prefix: String,
    /// Nothing works without one.
    #[serde(default)]
    pub required: bool,
}

/// The part of a request that carries the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// The query string.
    Query,
    /// A header.
    Header,
}

/// A host whose limits are known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KnownHost {
    /// The host name.
    pub host: String,
    /// Rate windows as in the configuration: `5/s`.
    #[serde(default)]
    pub limits: Vec<String>,
    /// Most connections at once.
    pub connections: Option<u32>,
}

/// An option that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Path of the option below the options table: `batch`; empty for the table itself.
    pub path: String,
    /// What is wrong, with what is allowed.
    pub message: String,
}

impl Manifest {
    /// Parses the manifest's JSON.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the end of a sentence.
    pub fn parse(json: &str) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_str(json).map_err(|error| format!("its manifest: {error}"))?;
        if manifest.manifest_version != 1 {
            let version = manifest.manifest_version;
            return Err(format!(
                "its manifest has version {version}; this host reads version 1"
            ));
        }
        if manifest.name.as_str().is_empty() {
            return Err("its manifest has an empty name".into());
        }
        jsonschema::validator_for(&manifest.options)
            .map_err(|error| format!("its options' schema: {error}"))?;
        Ok(manifest)
    }

    /// Every option that does not fit the schema, all at once.
    #[must_use]
    pub fn check_options(&self, options: &Value) -> Vec<OptionError> {
        let Ok(validator) = jsonschema::validator_for(&self.options) else {
            return Vec::new(); // `parse` let none through whose schema is broken
        };
        let mut errors = Vec::new();
        for error in validator.iter_errors(options) {
            let path = error.instance_path().to_string();
            let path = path.trim_start_matches('/').replace('/', ".");
            let unexpected = match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected } => unexpected.clone(),
                // Where no option is known at all, each one fails by itself, and is not named.
                ValidationErrorKind::FalseSchema if path.is_empty() => names(options),
                _ => {
                    let message = error.to_string();
                    errors.push(OptionError { path, message });
                    continue;
                }
            };
            // One error each, at the place of each.
            for option in unexpected {
                let message = self.unknown_option();
                let path = match path.as_str() {
                    "" => option,
                    path => format!("{path}.{option}"),
                };
                let error = OptionError { path, message };
                if !errors.contains(&error) {
                    errors.push(error);
                }
            }
        }
        errors
    }

    fn unknown_option(&self) -> String {
        let known: Vec<_> = self
            .options
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let name = &self.name;
        match known.as_slice() {
            [] => format!("no such option; plugin `{name}` has none"),
            known => {
                let known = known.join(", ");
                format!("no such option; plugin `{name}` knows: {known}")
            }
        }
    }
}

fn names(options: &Value) -> Vec<String> {
    let options = options.as_object().into_iter().flatten();
    options.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Manifest {
        let json = json!({
            "manifest_version": 1, "name": "x", "version": "0.1.0", "later": {},
            "options": {
                "type": "object", "additionalProperties": false,
                "properties": { "batch": { "type": "integer", "minimum": 1 } },
            },
        });
        Manifest::parse(&json.to_string()).unwrap()
    }

    #[test]
    fn all_bad_options_are_told_at_once() {
        let errors = manifest().check_options(&json!({ "batch": 0, "bach": 1 }));
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(
            errors.iter().any(|error| error.path == "batch"),
            "{errors:?}"
        );
        let unknown = errors.iter().find(|error| error.path == "bach");
        let unknown = unknown.expect("it is told at its own place");
        assert!(unknown.message.contains("knows: batch"), "{errors:?}");
        assert!(manifest().check_options(&json!({ "batch": 7 })).is_empty());
        assert!(manifest().check_options(&json!({})).is_empty());
    }

    /// As the schema of an options type without fields is.
    #[test]
    fn every_option_of_a_plugin_without_options_is_told_by_its_name() {
        let json = json!({
            "manifest_version": 1, "name": "x", "version": "0.1.0",
            "options": { "type": "object", "additionalProperties": false },
        });
        let manifest = Manifest::parse(&json.to_string()).unwrap();
        let mut errors = manifest.check_options(&json!({ "batch": 1, "nope": {} }));
        errors.sort_by(|a, b| a.path.cmp(&b.path));
        let message = "no such option; plugin `x` has none".to_owned();
        let error = |path: &str| OptionError {
            path: path.to_owned(),
            message: message.clone(),
        };
        assert_eq!(errors, [error("batch"), error("nope")]);
        assert!(manifest.check_options(&json!({})).is_empty());
    }

    #[test]
    fn a_bad_manifest_is_told() {
        for bad in [
            "",
            "{}",
            r#"{"manifest_version":2,"name":"x","version":"","options":{}}"#,
        ] {
            assert!(Manifest::parse(bad).is_err(), "{bad} was read");
        }
    }
}
