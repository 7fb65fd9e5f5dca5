//! Which chain a provider serves: asked before its first work and after every re-opening.

use super::call;
use crate::gate::{HoldReason, Permit, Verdict};
use crate::pool::Member;
use crate::pool::meter::{Ended, Op};

/// Asks who the chain is; [`Verdict::Success`] where it is the expected one, or none is.
pub(super) async fn ask_identity(
    member: &Member,
    permit: &Permit,
    expected: Option<&str>,
) -> Verdict {
    let slots = permit.slots();
    let (sent, waited) = (permit.age(), slots.waited());
    let report = member.backend.identity(member.budget(1, permit)).await;
    let waited = slots.waited().saturating_sub(waited);
    let ended = Ended {
        failure: report.result.as_ref().err().map(|error| error.class),
        took: permit.age().saturating_sub(sent).saturating_sub(waited),
        waited,
        requests: report.http_attempts,
    };
    member.note_call(Op::Identity, &ended);
    for _ in 0..report.http_attempts {
        permit.gate().count_http_attempt();
    }
    let name = &member.name;
    match report.result {
        Ok(identity) if expected.is_none_or(|expected| same_identity(expected, &identity)) => {
            Verdict::Success
        }
        Ok(identity) => {
            let expected = expected.unwrap_or_default();
            let message =
                format!("it serves chain `{identity}`, the configuration says `{expected}`");
            tracing::error!(provider = %name, "provider `{name}` is held: {message}");
            Verdict::Hold {
                reason: HoldReason::WrongChain,
                lasts: None,
                message,
            }
        }
        Err(error) => {
            tracing::warn!(provider = %name, "provider `{name}` did not tell its chain: {error}");
            member.note_failure(&error);
            call::verdict_for(&error)
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
