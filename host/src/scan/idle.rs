//! A pool without work: a provider whose circuit is due is tried all the same, by who it is.

use futures_util::future::join_all;

use super::engine::sleep_or_never;
use super::identity::ask_identity;
use crate::gate::Call;
use crate::pool::{Member, Pool};

/// Tries each provider whose circuit is not closed when its cooldown ends, until it is dropped.
///
/// Dropped within a trial, it gives the permit back: that trial decides nothing.
pub async fn watch(pool: &Pool) {
    let members = pool.members.iter();
    join_all(members.map(|it| watch_member(it, pool.identity.as_deref()))).await;
    std::future::pending().await
}

async fn watch_member(member: &Member, expected: Option<&str>) {
    let gate = &member.gate;
    let mut changes = gate.changed();
    loop {
        // Seen before the gate is asked, so that no change in between is missed.
        changes.mark_unchanged();
        let mut due = None;
        if gate.is_on_trial() {
            if let Some(permit) = gate.ask(Call::Identity).pass() {
                let verdict = ask_identity(member, &permit, expected).await;
                permit.record(verdict);
                continue;
            }
            let refused = gate.refusal(Call::Identity);
            due = refused.map_or_else(|| Some(gate.clock().now()), |(_, until)| until);
        }
        tokio::select! {
            // A gate outlives whoever watches it.
            _ = changes.changed() => {}
            () = sleep_or_never(due) => {}
        }
    }
}
