//! Events that the service makes itself; all others are written with the data they tell of.

use serde_json::{Value, json};

use crate::clock::rfc3339;
use crate::ledger::{Ledger, LedgerError, PassRow};
use crate::model::ChainName;

/// How a chain stands, for whoever has missed what led there.
pub(super) const SCAN_STATE: &str = "scan_state";

/// The payload of a chain's `scan_state`: its newest pass of the set.
pub(super) async fn scan_state(ledger: &Ledger, chain: &ChainName) -> Result<Value, LedgerError> {
    let last = ledger.last_set_pass(chain).await?;
    Ok(state_of(chain, last.as_ref()))
}

fn state_of(chain: &ChainName, pass: Option<&PassRow>) -> Value {
    let Some(pass) = pass else {
        return json!({
            "chain": chain,
            "scan": null,
            "status": "idle",
            "cells": null,
            "asked": null,
            "known": null,
            "unknown": null,
            "invalid": null,
            "funded": null,
            "height_min": null,
            "height_max": null,
            "started_at": null,
            "ended_at": null,
        });
    };
    let counters = &pass.counters;
    json!({
        "chain": chain,
        "scan": pass.id,
        "status": pass.status.as_str(),
        "cells": pass.cells,
        "asked": counters.asked,
        "known": counters.known,
        "unknown": counters.unknown,
        "invalid": counters.invalid,
        "funded": counters.funded,
        "height_min": counters.height_min,
        "height_max": counters.height_max,
        "started_at": rfc3339(pass.started_at),
        "ended_at": pass.ended_at.map(rfc3339),
    })
}
