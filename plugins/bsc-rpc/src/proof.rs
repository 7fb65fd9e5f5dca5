//! That zeros at one height are zeros, and not a state that the node does not have.
//!
//! Asked for a state that it has thrown away, a node that goes by snapshots may answer as if there
//! were no account at all (bnb-chain/bsc issue 1072). Within Multicall3 that shows, since its code
//! is part of the state; here it must be asked for.

use alloy::primitives::Address;
use scanhost_plugin_api::prelude::*;

use crate::read::{Answers, Question, get_balance};

/// Gives the answers back unless they are of one height and nothing in them shows that the node
/// has its state: then the zero address must hold something, as it does on every chain on which
/// somebody lost a coin.
pub(crate) async fn check(
    cx: &Cx,
    question: &Question<'_>,
    mut answers: Answers,
) -> Result<Answers, Error> {
    let Some(height) = question.block.height() else {
        return Ok(answers);
    };
    let nothing = Amount::from(0_u64);
    // A token answers by its code, which is of the state too.
    let mut read = question.reads.iter().zip(&answers.amounts);
    let shown = read.any(|(read, amount)| match amount {
        Ok(amount) => !read.is_native() || *amount != nothing,
        Err(_) => false,
    });
    if shown || answers.amounts.iter().all(Result::is_err) {
        return Ok(answers);
    }
    let call = get_balance(Address::ZERO, question.block);
    let proof = match cx.rpc::<String>(call).await {
        Ok(balance) => Amount::from_hex_quantity(&balance),
        Err(error) => Err(question.block.explain(error)),
    };
    let why = match proof {
        Ok(amount) if amount != nothing => return Ok(answers),
        Ok(_) => Error::unsupported(format!(
            "asked for block {height}, all was zero, that of the zero address too: the node may \
             have no state of it; an amount at a height needs Multicall3"
        )),
        Err(error) => error,
    };
    for amount in &mut answers.amounts {
        if amount.is_ok() {
            *amount = Err(why.clone());
        }
    }
    Ok(answers)
}
