//! Settings that the configuration has a place for and that nothing acts on yet.
//!
//! Their absence is dangerous (isolation that is asked for and not given), so they stop every command.

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
