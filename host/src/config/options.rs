//! `[providers.NAME.options]`: what belongs to the plugin and is passed on as it is.

use figment::value::Value;
use serde_json::{Map, Number, Value as Json};

use super::reader::Table;

/// The table as JSON; the plugin's schema is checked by whoever has the plugin.
pub(super) fn read(table: Table<'_>) -> Json {
    let entries = table.entries().into_iter().map(|(name, item)| {
        // The type that the plugin wants is not known here: a variable holds what it spells.
        let value = match (item.text(), item.is_override()) {
            (Some(_), true) => json(&item.typed()),
            _ => json(item.raw()),
        };
        item.show(toml_text(&value));
        (name, value)
    });
    Json::Object(entries.collect())
}

fn json(value: &Value) -> Json {
    match value {
        Value::String(_, text) => Json::from(text.as_str()),
        Value::Char(_, letter) => Json::from(letter.to_string()),
        Value::Bool(_, flag) => Json::from(*flag),
        Value::Num(_, num) => match num.to_i128().and_then(|n| i64::try_from(n).ok()) {
            Some(int) => Json::from(int),
            None => num
                .to_f64()
                .and_then(Number::from_f64)
                .map_or(Json::Null, Json::Number),
        },
        Value::Empty(..) => Json::Null,
        Value::Dict(_, dict) => {
            let entries = dict.iter().map(|(key, value)| (key.clone(), json(value)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(_, values) => Json::Array(values.iter().map(json).collect()),
    }
}

/// A JSON value in the words of TOML.
fn toml_text(value: &Json) -> String {
    toml::Value::try_from(value).map_or_else(|_| value.to_string(), |value| value.to_string())
}
