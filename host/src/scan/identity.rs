//! Which chain a provider serves: asked before its first work and after every re-opening.

use super::call;
use crate::gate::{HoldReason, Permit, Verdict};
use crate::pool::Member;

/// Asks who the chain is; `false` where it is another or did not say.
pub(super) async fn ask_identity(member: &Member, permit: Permit, expected: Option<&str>) -> bool {
    let report = member.backend.identity(member.budget(1)).await;
    for _ in 0..report.http_attempts {
        member.gate.count_http_attempt();
    }
    let name = &member.name;
    match report.result {
        Ok(identity) if expected.is_none_or(|expected| same_identity(expected, &identity)) => {
            permit.record(Verdict::Success);
            true
        }
        Ok(identity) => {
            let expected = expected.unwrap_or_default();
            let message =
                format!("it serves chain `{identity}`, the configuration says `{expected}`");
            tracing::error!(provider = %name, "provider `{name}` is held: {message}");
            permit.record(Verdict::Hold {
                reason: HoldReason::WrongChain,
                lasts: None,
                message,
            });
            false
        }
        Err(error) => {
            tracing::warn!(provider = %name, "provider `{name}` did not tell its chain: {error}");
            member.note_failure(&error);
            permit.record(call::verdict_for(&error));
            false
        }
    }
}

/// Hex is told in either case.
pub(crate) fn same_identity(expected: &str, told: &str) -> bool {
    let hex = expected.len() == 64 && expected.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex {
        expected.eq_ignore_ascii_case(told)
    } else {
        expected == told
    }
}
