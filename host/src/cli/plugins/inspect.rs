//! `scanhost plugins inspect`: what stands in the file, for whoever decides to trust it.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::super::output::{self, Out, plain};
use super::super::{CliError, Exit};
use super::unusable;
use crate::plugin::manifest::{Key, KeyPlace, Manifest};
use crate::plugin::{PluginFile, audit};

pub(super) fn run(path: &Path) -> Result<Exit, CliError> {
    let file = PluginFile::read(path).map_err(|error| unusable(&error))?;
    let mut out = output::stdout();
    for line in lines(&file) {
        writeln!(out, "{}", plain(&line).trim_end())?;
    }
    print_pin(&file, &mut out)?;
    out.flush()?;
    Ok(Exit::Done)
}

fn lines(file: &PluginFile) -> Vec<String> {
    let Manifest {
        name,
        version,
        description,
        capabilities,
        commitments,
        networks,
        ..
    } = &file.manifest;
    let build = if file.debug { "debug" } else { "release" };
    let any = |words: &[String]| match words {
        [] => "any".to_owned(),
        words => words.join(", "),
    };
    let mut lines = Vec::new();
    let mut field = |what: &str, value: &str| lines.push(format!("{what:<14}{value}"));
    field("plugin", &format!("{name} {version}"));
    field("description", description);
    field("file", &file.path.display().to_string());
    field("sha256", &format!("sha256:{}", file.sha256));
    field("ABI", &file.abi);
    field("built by", &format!("{} ({build})", file.rustc));
    field("built for", &file.target);
    field(
        "imports",
        &match file.imports.as_slice() {
            [] => "nothing that the host does for plugins".to_owned(),
            imports => format!("{}, which no plugin needs", audit::told(imports)),
        },
    );
    field("reads", &capabilities.join(", "));
    field("commitments", &any(commitments));
    field("networks", &any(networks));
    for (network, endpoints) in &file.manifest.endpoints {
        for endpoint in endpoints {
            field("endpoint", &format!("{endpoint} ({network})"));
        }
    }
    field("key", &key(file.manifest.key.as_ref()));
    for host in &file.manifest.hosts {
        let limits = host.limits.join(", ");
        let connections = host.connections;
        let connections = connections.map_or_else(String::new, |it| format!(", {it} connections"));
        field(
            "known limits",
            &format!("{}: {limits}{connections}", host.host),
        );
    }
    lines.extend(options(&file.manifest.options));
    lines
}

fn key(key: Option<&Key>) -> String {
    let Some(key) = key else {
        return "none, unless {key} stands in the endpoint or a header".to_owned();
    };
    let place = match key.place {
        KeyPlace::Query => "query parameter",
        KeyPlace::Header => "header",
    };
    let required = if key.required { "required" } else { "optional" };
    let prefix = match key.prefix.as_str() {
        "" => String::new(),
        prefix => format!(", after {prefix:?}"),
    };
    format!("{place} `{}`{prefix}, {required}", key.name)
}

/// The options of a JSON Schema: name, type, bounds, default; then what they mean.
fn options(schema: &Value) -> Vec<String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return vec!["options       none".to_owned()];
    };
    if properties.is_empty() {
        return vec!["options       none".to_owned()];
    }
    let required = schema.get("required").and_then(Value::as_array);
    let mut lines = vec!["options".to_owned()];
    for (name, property) in properties {
        let must = required.is_some_and(|names| names.iter().any(|it| it == name.as_str()));
        let mut facts = kind(schema, property);
        facts.extend(bounds(property));
        if let Some(default) = property.get("default") {
            facts.push(format!("default {default}"));
        }
        if must {
            facts.push("required".to_owned());
        }
        lines.push(format!("  {name}: {}", facts.join(", ")));
        let description = property.get("description").and_then(Value::as_str);
        let described = description.unwrap_or_default().lines();
        lines.extend(described.map(|line| format!("      {line}")));
    }
    lines
}

/// The allowed values where they are a list, else the type.
fn kind(schema: &Value, property: &Value) -> Vec<String> {
    let target = property
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| schema.pointer(path.trim_start_matches('#')));
    let property = target.unwrap_or(property);
    let alternatives = ["oneOf", "anyOf"]
        .iter()
        .find_map(|key| property.get(key))
        .and_then(Value::as_array);
    let constants: Vec<String> = match (property.get("enum"), alternatives) {
        (Some(Value::Array(values)), _) => values.iter().map(Value::to_string).collect(),
        (_, Some(alternatives)) => alternatives
            .iter()
            .filter_map(|it| it.get("const").map(Value::to_string))
            .collect(),
        _ => Vec::new(),
    };
    if !constants.is_empty() {
        return vec![constants.join(" | ")];
    }
    match property.get("type") {
        Some(Value::String(kind)) => vec![kind.clone()],
        Some(Value::Array(kinds)) => {
            let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
            vec![kinds.join(" | ")]
        }
        _ => Vec::new(),
    }
}

fn bounds(property: &Value) -> Option<String> {
    match (property.get("minimum"), property.get("maximum")) {
        (Some(low), Some(high)) => Some(format!("{low} to {high}")),
        (Some(low), None) => Some(format!("at least {low}")),
        (None, Some(high)) => Some(format!("at most {high}")),
        (None, None) => None,
    }
}

fn print_pin(file: &PluginFile, out: &mut Out) -> Result<(), CliError> {
    let (name, hash) = (&file.manifest.name, &file.sha256);
    writeln!(out)?;
    writeln!(
        out,
        "To allow this file only, write into the configuration:"
    )?;
    writeln!(out, "  [plugins.pin]")?;
    writeln!(out, "  {} = \"sha256:{hash}\"", plain(name.as_str()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_are_told_with_type_range_and_default() {
        let schema = json!({
            "type": "object",
            "required": ["mode"],
            "properties": {
                "batch": {
                    "description": "Cells.\nMore costs more.", "type": "integer",
                    "minimum": 1, "maximum": 4000, "default": 1000,
                },
                "mode": {"$ref": "#/$defs/Mode", "default": "one"},
                "name": {"type": ["string", "null"]},
            },
            "$defs": {"Mode": {"oneOf": [{"const": "one"}, {"const": "all"}]}},
        });
        assert_eq!(
            options(&schema),
            [
                "options",
                "  batch: integer, 1 to 4000, default 1000",
                "      Cells.",
                "      More costs more.",
                "  mode: \"one\" | \"all\", default \"one\", required",
                "  name: string | null",
            ]
        );
        assert_eq!(options(&json!({})), ["options       none"]);
    }

    #[test]
    fn a_key_is_told_with_its_place() {
        let header = Key {
            place: KeyPlace::Header,
            name: "Authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
            required: true,
        };
        let told = "header `Authorization`, after \"Bearer \", required";
        assert_eq!(key(Some(&header)), told);
        assert!(key(None).starts_with("none"));
    }
}
