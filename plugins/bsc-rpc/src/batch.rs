//! Reads as JSON-RPC batches, each with its own canaries.
//!
//! A batch's items may run on different nodes and at different blocks: the block number among
//! them refuses a provider that lags, but marks no amount, unless every item names its block.

use scanhost_plugin_api::prelude::*;

use crate::read::{Answers, Head, Question, Read, no_method};
use crate::rungs::Rungs;
use crate::singles::Clock;

/// Calls of a batch that are no reads.
pub(crate) const CANARIES: usize = 2;
/// The smallest batch that is one: a read and its canaries.
pub(crate) const SMALLEST: usize = CANARIES + 1;

/// Asks in batches of at most `max` calls; `None` means that the provider takes no batch.
pub(crate) async fn ask(
    cx: &Cx,
    rungs: &Rungs,
    mut max: usize,
    question: &Question<'_>,
) -> Result<Option<Answers>, Error> {
    let clock = Clock::start(cx);
    let mut amounts = Vec::with_capacity(question.reads.len());
    while amounts.len() < question.reads.len() {
        if !amounts.is_empty() && clock.is_late(cx) {
            amounts.resize(question.reads.len(), Err(clock.left_over()));
            break;
        }
        let rest = &question.reads[amounts.len()..];
        let reads = &rest[..rest.len().min(max.saturating_sub(CANARIES).max(1))];
        match one(cx, question, reads).await {
            Ok(answers) => amounts.extend(answers),
            Err(error) if error.kind == ErrorKind::TooLarge && reads.len() > 1 => {
                max = reads.len() / 2 + CANARIES;
                rungs.learn_batch_max(cx.host(), max);
            }
            Err(error) if amounts.is_empty() && refuses_batches(&error) => return Ok(None),
            Err(error) if amounts.is_empty() || error.kind == ErrorKind::WrongChain => {
                return Err(error);
            }
            Err(error) => amounts.resize(question.reads.len(), Err(error)),
        }
    }
    Ok(Some(Answers {
        height: question.block.height(),
        amounts,
    }))
}

async fn one(
    cx: &Cx,
    question: &Question<'_>,
    reads: &[Read],
) -> Result<Vec<Result<Amount, Error>>, Error> {
    let reads_calls = reads.iter().map(|read| read.rpc(question.block));
    let calls: Vec<_> = question.canaries().into_iter().chain(reads_calls).collect();
    let replies = cx.rpc_batch(&calls).await;
    let mut replies = replies.map_err(|error| question.block.explain(error))?;
    let chain: String = replies.take(0).map_err(canary)?;
    let head = replies.take(1).map_err(canary);
    let head: Head = head.map_err(|error| question.block.explain(error))?;
    question.check_canaries(&chain, &head)?;
    let read = |(index, read): (usize, &Read)| {
        let result = replies.take(CANARIES + index);
        let result: String = result.map_err(|error| question.block.explain(error))?;
        read.parse(&result)
    };
    Ok(reads.iter().enumerate().map(read).collect())
}

/// Without its canaries a batch is void; that is a fault, not a gap.
fn canary(error: Error) -> Error {
    match error.kind {
        ErrorKind::Missing => Error::malformed("the batch left its canaries out: it is void"),
        _ => error,
    }
}

/// Whether the error says that batches as such are refused, and not that the provider is sick.
fn refuses_batches(error: &Error) -> bool {
    // -32700 and -32600: servers that read one object only. Others say it in words.
    no_method(error)
        || matches!(error.kind, ErrorKind::Refused | ErrorKind::TooLarge)
        || (error.kind == ErrorKind::ServerError
            && (error.code == Some(-32700)
                || error.code.is_some() && error.message.to_ascii_lowercase().contains("batch")))
}
