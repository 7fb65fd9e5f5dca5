//! The dashboard for Grafana.

use serde_json::{Value, json};

use super::family::{Family, Group, Kind, Label};
use super::registry;

/// Width of a panel; a row has 24.
const WIDTH: usize = 8;
const HEIGHT: usize = 7;

/// The dashboard as the JSON that Grafana imports.
#[must_use]
pub fn dashboard() -> String {
    let mut panels: Vec<Value> = Vec::new();
    let mut top = 0;
    for group in Group::ALL {
        let id = panels.len() + 1;
        panels.push(json!({
            "id": id,
            "type": "row",
            "title": group.title(),
            "gridPos": { "h": 1, "w": 24, "x": 0, "y": top },
        }));
        top += 1;
        let families: Vec<&Family> = of_group(group).collect();
        for (place, family) in families.iter().enumerate() {
            let (row, column) = (place / (24 / WIDTH), place % (24 / WIDTH));
            let position = json!({
                "h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": top + row * HEIGHT,
            });
            panels.push(panel(family, panels.len() + 1, &position));
        }
        top += families.len().div_ceil(24 / WIDTH) * HEIGHT;
    }
    let dashboard = json!({
        "uid": "scanhost",
        "title": "Scanhost",
        "description": "Made by `scanhost metrics dashboard`",
        "tags": ["scanhost"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "30s",
        "time": { "from": "now-6h", "to": "now" },
        "templating": { "list": [
            {
                "name": "datasource", "label": "Data source",
                "type": "datasource", "query": "prometheus",
            },
            variable("chain", &format!("label_values({}, chain)", registry::SCAN_STATE.name)),
            variable(
                "provider",
                &format!("label_values({}{{chain=~\"$chain\"}}, provider)", registry::LOADED.name),
            ),
        ] },
        "panels": panels,
    });
    let mut text = serde_json::to_string_pretty(&dashboard).expect("it is JSON");
    text.push('\n');
    text
}

fn of_group(group: Group) -> impl Iterator<Item = &'static Family> {
    let all = registry::ALL.iter().copied();
    all.filter(move |family| family.group == group)
}

fn variable(name: &str, query: &str) -> Value {
    json!({
        "name": name,
        "type": "query",
        "datasource": datasource(),
        "query": { "query": query, "refId": name },
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": { "text": "All", "value": "$__all" },
    })
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn panel(family: &Family, id: usize, position: &Value) -> Value {
    let targets: Vec<Value> = expressions(family)
        .into_iter()
        .enumerate()
        .map(|(place, (expression, legend))| {
            json!({
                "refId": format!("{place}"),
                "datasource": datasource(),
                "expr": expression,
                "legendFormat": legend,
            })
        })
        .collect();
    let (kind, custom) = match family.kind {
        Kind::OneOf => ("state-timeline", json!({ "fillOpacity": 70 })),
        Kind::Info => ("stat", json!({})),
        Kind::Counter | Kind::Gauge | Kind::Histogram(_) => (
            "timeseries",
            json!({ "fillOpacity": 10, "showPoints": "never" }),
        ),
    };
    json!({
        "id": id,
        "type": kind,
        "title": title(family),
        "description": format!("{}. `{}`", family.help, family.name),
        "datasource": datasource(),
        "gridPos": position,
        "fieldConfig": {
            "defaults": { "unit": unit(family), "min": minimum(family), "custom": custom },
            "overrides": [],
        },
        "targets": targets,
    })
}

/// `provider_calls_total` is "Provider calls".
fn title(family: &Family) -> String {
    let name = family.name.trim_start_matches("scanhost_");
    let age = name.strip_suffix("_timestamp_seconds");
    let name = age.unwrap_or(name);
    let ends = ["_total", "_seconds", "_bytes"];
    let name = ends
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name);
    let words = name.replace('_', " ");
    let (first, rest) = words.split_at(1);
    let first = first.to_uppercase();
    match age {
        Some(_) => format!("{first}{rest}: time since"),
        None => format!("{first}{rest}"),
    }
}

fn unit(family: &Family) -> &'static str {
    match family.kind {
        Kind::Counter => "cps",
        _ if family.name.ends_with("_seconds") => "s",
        _ if family.name.ends_with("_bytes") => "bytes",
        _ => "short",
    }
}

/// What lies ahead is negative time.
fn minimum(family: &Family) -> Value {
    let is_time = family.name.ends_with("_timestamp_seconds");
    if is_time { Value::Null } else { json!(0) }
}

/// What is asked of Prometheus, each with its legend.
fn expressions(family: &Family) -> Vec<(String, String)> {
    let name = family.name;
    let has = |label: Label| family.labels.contains(&label);
    let chosen: Vec<&str> = [
        has(Label::Chain).then_some("chain=~\"$chain\""),
        has(Label::Provider).then_some("provider=~\"$provider\""),
    ]
    .into_iter()
    .flatten()
    .collect();
    let chosen = match chosen.as_slice() {
        [] => String::new(),
        chosen => format!("{{{}}}", chosen.join(",")),
    };
    let names: Vec<&str> = family.labels.iter().map(|label| label.name()).collect();
    let legend: Vec<String> = names.iter().map(|name| format!("{{{{{name}}}}}")).collect();
    let legend = legend.join(" ");
    match family.kind {
        Kind::Counter => vec![(
            format!(
                "sum by ({}) (rate({name}{chosen}[$__rate_interval])) > 0",
                names.join(", ")
            ),
            legend,
        )],
        Kind::Histogram(_) => ["0.5", "0.95"]
            .map(|quantile| {
                let by = [&["le"], &*names].concat().join(", ");
                let rate = format!("rate({name}_bucket{chosen}[$__rate_interval])");
                let expression = format!("histogram_quantile({quantile}, sum by ({by}) ({rate}))");
                (expression, format!("{legend} p{}", &quantile[2..]))
            })
            .to_vec(),
        Kind::OneOf => vec![(format!("{name}{chosen} == 1"), legend)],
        Kind::Gauge if name.ends_with("_timestamp_seconds") => {
            vec![(format!("time() - {name}{chosen}"), legend)]
        }
        Kind::Gauge | Kind::Info => vec![(format!("{name}{chosen}"), legend)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_a_panel() {
        let dashboard: Value = serde_json::from_str(&dashboard()).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let asked: Vec<&str> = panels
            .iter()
            .filter_map(|panel| panel["targets"][0]["expr"].as_str())
            .collect();
        for family in registry::ALL {
            let is_asked = |expression: &&&str| expression.contains(family.name);
            assert!(asked.iter().any(|it| is_asked(&it)), "{}", family.name);
        }
        assert_eq!(asked.len(), registry::ALL.len());
    }

    #[test]
    fn the_file_in_the_repository_is_the_one_that_is_made() {
        let kept = include_str!("../../../../config/monitoring/grafana.json");
        assert!(
            kept == dashboard(),
            "write it anew: `scanhost metrics dashboard > config/monitoring/grafana.json`"
        );
    }
}
