//! Opening, options, and what is left after closing: C01 to C05.

use std::sync::Arc;

use scanhost_abi::types::{CAP_DERIVE, CAP_NATIVE, CAP_TOKENS, Commitment};
use serde_json::{Map, Value, json};

use crate::ask::{describe as describe_error, sound};
use crate::check::{Bench, Outcome, describe, failed, skipped, unreachable_upstream};
use crate::offline::OfflineHost;

/// How often C05 opens before it looks, and after.
const ROUNDS: usize = 100;
/// What the process may have grown by in the second half of C05, in bytes: far less than a
/// hundred providers with anything in them, far more than an allocator's whims.
const GROWTH_MAX: u64 = 4 * 1024 * 1024;

/// C01.
pub(crate) fn loads(bench: &Bench<'_>) -> Outcome<String> {
    let session = bench.open(unreachable_upstream())?;
    let caps = describe(&session)?;
    for (what, limit) in [
        ("cells_per_call_max", caps.cells_per_call_max),
        ("addresses_per_call_max", caps.addresses_per_call_max),
        ("assets_per_call_max", caps.assets_per_call_max),
    ] {
        if limit == 0 {
            return failed(format!("`{what}` is 0, so that it could never be asked"));
        }
    }
    if caps.can & (CAP_NATIVE | CAP_TOKENS) == 0 {
        return failed("it reads neither the native coin nor tokens");
    }
    let sent = session.host.take_sent();
    if !sent.is_empty() {
        let path = &sent[0].path;
        return failed(format!("it sends a request (`{path}`) while it is opened"));
    }
    Ok(format!(
        "{} cells of {} addresses in a call",
        caps.cells_per_call_max, caps.addresses_per_call_max
    ))
}

/// C02.
pub(crate) fn manifest(bench: &Bench<'_>) -> Outcome<String> {
    let manifest = bench.manifest()?;
    for field in ["name", "version"] {
        if manifest[field].as_str().is_none_or(str::is_empty) {
            return failed(format!("the manifest has no `{field}`"));
        }
    }
    let words = |field: &str| -> Vec<&str> {
        let list = manifest[field].as_array();
        list.map_or_else(Vec::new, |list| {
            list.iter().filter_map(Value::as_str).collect()
        })
    };
    let caps = bench.caps()?;
    let said = words("capabilities");
    for (bit, word) in [
        (CAP_NATIVE, "native"),
        (CAP_TOKENS, "tokens"),
        (CAP_DERIVE, "address_derivation"),
    ] {
        match (caps.can & bit != 0, said.contains(&word)) {
            (true, false) => {
                return failed(format!(
                    "it describes `{word}`, which the manifest's `capabilities` leave out"
                ));
            }
            (false, true) => {
                return failed(format!(
                    "the manifest's `capabilities` name `{word}`, which it does not describe"
                ));
            }
            _ => {}
        }
    }
    let default = match caps.commitment_default {
        Commitment::LATEST => "latest",
        Commitment::CONFIRMED => "confirmed",
        Commitment::FINALIZED => "finalized",
        Commitment(code) => return failed(format!("its default commitment {code} is none")),
    };
    let commitments = words("commitments");
    if !commitments.is_empty() && !commitments.contains(&default) {
        return failed(format!(
            "it reads at `{default}` by default, which the manifest's `commitments` leave out"
        ));
    }
    let networks = words("networks");
    let network = bench.sample.network.as_str();
    if !networks.is_empty() && !networks.contains(&network) {
        return failed(format!(
            "it opens on `{network}`, which the manifest's `networks` leave out"
        ));
    }
    Ok(format!("{}; {default} by default", said.join(", ")))
}

/// C03.
pub(crate) fn defaults(bench: &Bench<'_>) -> Outcome<String> {
    let manifest = bench.manifest()?;
    let schema = &manifest["options"];
    if schema["type"] != "object" {
        return failed("the manifest's `options` are no JSON Schema of an object");
    }
    let properties = properties(schema);
    let required = schema["required"].as_array().map_or(0, Vec::len);
    let mut spelled_out = match required {
        0 => Map::new(),
        // Only an operator knows what to write; the sample does.
        _ => bench
            .sample
            .options
            .as_object()
            .cloned()
            .unwrap_or_default(),
    };
    accepted(bench, &Value::Object(spelled_out.clone()))?;
    for (name, property) in &properties {
        if let Some(default) = property.get("default") {
            spelled_out
                .entry(name.clone())
                .or_insert_with(|| default.clone());
        }
    }
    let spelled_out = Value::Object(spelled_out);
    accepted(bench, &spelled_out)?;
    Ok(format!(
        "{} options; opened with {spelled_out}",
        properties.len()
    ))
}

fn accepted(bench: &Bench<'_>, options: &Value) -> Outcome<()> {
    if let Some(error) = bench
        .subject
        .check_options(options)
        .unwrap_or_default()
        .first()
    {
        return failed(format!(
            "its schema refuses its own defaults {options}: {error}"
        ));
    }
    let host = Arc::new(OfflineHost::new(unreachable_upstream()));
    match bench.try_open(&host, options) {
        Ok(_) => Ok(()),
        Err(error) => {
            sound(&error)?;
            failed(format!(
                "it does not open with {options}: {}",
                error.message
            ))
        }
    }
}

/// C04.
pub(crate) fn bad_options(bench: &Bench<'_>) -> Outcome<String> {
    let manifest = bench.manifest()?;
    let schema = &manifest["options"];
    let mut cases = vec![json!("x")];
    // A schema that lets others in says so.
    if schema["additionalProperties"] == json!(false) {
        cases.push(json!({"no-such-option-of-any-plugin": 1}));
    }
    for (name, property) in properties(schema) {
        let wrong = match property["type"].as_str() {
            Some("string") => json!(7),
            Some("integer" | "number") => json!("a text where a number belongs"),
            Some("boolean") => json!("yes"),
            Some("array") => json!({"no": "list"}),
            Some("object") => json!([]),
            // A reference or several types: one of them may fit anything simple.
            _ => json!([[{"no": "such value"}]]),
        };
        cases.push(json!({ name: wrong }));
    }
    let host = Arc::new(OfflineHost::new(unreachable_upstream()));
    for options in &cases {
        if let Some(errors) = bench.subject.check_options(options)
            && !errors.is_empty()
        {
            // The host tells it, and no code of the plugin runs.
            continue;
        }
        match bench.try_open(&host, options) {
            Ok(_) => return failed(format!("it opens with {options}")),
            Err(error) => sound(&error)?,
        }
    }
    Ok(format!("{} cases", cases.len()))
}

/// C05.
pub(crate) fn leaks(bench: &Bench<'_>) -> Outcome<String> {
    let mut before = None;
    for half in 0..2 {
        for _ in 0..ROUNDS {
            let host = Arc::new(OfflineHost::new(unreachable_upstream()));
            let session = bench.open_over(host.clone())?;
            // A call as well: what it leaves behind counts.
            let _: Result<String, _> = session.identity()?;
            drop(session);
            let holders = Arc::strong_count(&host) - 1;
            if holders > 0 {
                return failed(format!(
                    "after it was closed, {holders} holds on the host's services are left"
                ));
            }
        }
        if half == 0 {
            before = resident_bytes();
        }
    }
    let opened = 2 * ROUNDS;
    match before.zip(resident_bytes()) {
        None => Ok(format!(
            "opened {opened} times; this system does not tell its memory"
        )),
        Some((before, after)) if after.saturating_sub(before) > GROWTH_MAX => failed(format!(
            "the process grew by {} KiB while it was opened and closed {ROUNDS} times",
            (after - before) / 1024
        )),
        Some(_) => Ok(format!("opened {opened} times")),
    }
}

fn properties(schema: &Value) -> Map<String, Value> {
    schema["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default()
}

/// Memory of this process that is really in use, where Linux tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// For those who open it in other ways: an identity that is required and absent is told.
pub(crate) fn identity_of(bench: &Bench<'_>) -> Outcome<String> {
    let session = bench.open(bench.good()?)?;
    match session.identity()? {
        Ok(identity) if identity.trim().is_empty() => failed("the identity is empty"),
        Ok(identity) => match &bench.sample.identity {
            Some(expected) if *expected != identity => failed(format!(
                "the identity is `{identity}`, not `{expected}` as the sample says"
            )),
            _ => Ok(identity),
        },
        Err(error) => skipped(format!(
            "no identity while all is well: {}",
            describe_error(&error)
        )),
    }
}
