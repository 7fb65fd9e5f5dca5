//! Who knows what an address of a chain looks like: the first plugin of its pool that opens.

use std::sync::Arc;

use super::CliError;
use crate::config::Chain;
use crate::pool::Member;
use crate::pool::assemble::Assembler;

/// A provider of the chain whose plugin judges addresses, or why there is none.
pub(super) async fn judge_of(
    assembler: &mut Assembler<'_>,
    chain: &Chain,
) -> Result<Result<Arc<Member>, String>, CliError> {
    let mut reasons = Vec::new();
    for name in &chain.pool {
        let pool = assembler.pool(chain, Some(name)).await?;
        if let Some(member) = pool.members.into_iter().next() {
            return Ok(Ok(member));
        }
        let told = pool.unusable.into_iter();
        reasons.extend(told.map(|error| format!("{}: {}", error.provider, error.message)));
    }
    Ok(Err(match reasons.as_slice() {
        [] => "its pool is empty".to_owned(),
        reasons => reasons.join("; "),
    }))
}
