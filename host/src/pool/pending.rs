//! Settings that the configuration has a place for and that nothing acts on yet.
//!
//! A setting whose absence is dangerous (isolation that is asked for and not given) stops its
//! command; the others are told by `scanhost config check`.

use crate::config::{Config, Finding, Isolation};

/// Settings without which the operator would be misled; nothing is started with them.
#[must_use]
pub fn refused(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for provider in config.providers.values() {
        let name = &provider.name;
        let mut refuse = |key: &str, message: String| {
            let place = config.place_of(&format!("providers.{name}.{key}"));
            findings.push(Finding { place, message });
        };
        if provider.isolation == Isolation::Process {
            refuse(
                "isolation",
                format!(
                    "provider `{name}`: this version runs every plugin in its own process; remove \
                     `isolation` to accept that"
                ),
            );
        }
    }
    findings
}

/// Settings that have no effect in this version.
#[must_use]
pub fn without_effect(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tell = |path: String, what: &str| {
        findings.push(Finding {
            place: config.place_of(&path),
            message: format!("{what} has no effect in this version"),
        });
    };
    for chain in config.chains.values() {
        let at = |key: &str| format!("chains.{}.{key}", chain.name);
        if chain.scan.every.is_some() {
            tell(at("scan.every"), "`every`");
        }
    }
    findings
}
