//! Built-in defaults, the file and the environment, laid over each other by figment.

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile};

use super::env::{self, Env};
use super::error::Finding;
use super::source;

/// The lowest layer; `chain` and `provider` in it are templates.
const DEFAULTS: &str = include_str!("defaults.toml");

/// The names by which figment knows the layers; a variable's layer has the variable's name.
pub(super) const LAYER_DEFAULT: &str = "default";
pub(super) const LAYER_FILE: &str = "file";

/// Defaults, file and variables, each value tagged with where it came from.
pub(super) fn merged(file: Dict, env: &Env, errors: &mut Vec<Finding>) -> Figment {
    let figment = Figment::new()
        .merge(Layer::new(LAYER_DEFAULT, defaults(&file)))
        .merge(Layer::new(LAYER_FILE, file));
    env::overrides(env, &dict_of(&figment), errors)
        .into_iter()
        .fold(figment, |figment, it| {
            figment.merge(Layer::new(&it.name, it.dict))
        })
}

/// The built-in defaults, with those of a chain and a provider under each that the file has.
fn defaults(file: &Dict) -> Dict {
    let mut dict = source::parse("defaults", DEFAULTS).dict;
    for (section, template) in [("chains", "chain"), ("providers", "provider")] {
        let Some(template) = dict.remove(template) else {
            continue;
        };
        let names = file.get(section).and_then(Value::as_dict);
        let tables = names.into_iter().flatten();
        // What is no table stays a mistake of its own.
        let tables = tables.filter(|(_, value)| value.as_dict().is_some());
        let filled: Dict = tables
            .map(|(name, _)| (name.clone(), template.clone()))
            .collect();
        if !filled.is_empty() {
            dict.insert(section.to_owned(), Value::from(filled));
        }
    }
    dict
}

pub(super) fn dict_of(figment: &Figment) -> Dict {
    let data = figment::Provider::data(figment).unwrap_or_default();
    data.into_iter()
        .find(|(profile, _)| *profile == Profile::Default)
        .map(|(_, dict)| dict)
        .unwrap_or_default()
}

/// One layer for figment, named so that its values can be traced.
struct Layer {
    name: String,
    dict: Dict,
}

impl Layer {
    fn new(name: &str, dict: Dict) -> Self {
        Self {
            name: name.to_owned(),
            dict,
        }
    }
}

impl figment::Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}
