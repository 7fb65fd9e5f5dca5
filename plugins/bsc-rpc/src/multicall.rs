//! All reads in one `eth_call` of Multicall3: one state, one height.

use alloy::primitives::{Address, Bytes};
use alloy::sol_types::abi::AbiDecoderConfig;
use alloy::sol_types::{Revert, SolCall, SolError};
use scanhost_evm as evm;
use scanhost_plugin_api::prelude::*;
use serde_json::json;

use crate::block::Block;
use crate::read::{Answers, Question, Read, eth_call};

mod abi {
    alloy::sol! {
        interface Multicall3 {
            struct Call3 { address target; bool allowFailure; bytes callData; }
            struct Result { bool success; bytes returnData; }
            function aggregate3(Call3[] calls) external payable returns (Result[] results);
            function getBlockNumber() external view returns (uint256);
            function getChainId() external view returns (uint256);
            function getEthBalance(address holder) external view returns (uint256);
        }
    }
}
pub(crate) use abi::Multicall3 as m3;

const LATEST: Block = Block::Tag("latest");

/// Asks the Multicall3 at `multicall`; `None` means that there is none.
///
/// A node that answers for an address without code answers `0x`, but so does a sick one, so that
/// only a second answer, to `eth_getCode`, makes it a fact.
pub(crate) async fn ask(
    cx: &Cx,
    multicall: Address,
    question: &Question<'_>,
) -> Result<Option<Answers>, Error> {
    let data = encode(multicall, question.reads);
    let call = eth_call(multicall, &data, question.block);
    let returned = cx.rpc::<String>(call).await.map_err(|error| {
        let error = question.block.explain(error);
        match error.kind {
            ErrorKind::Lagging | ErrorKind::Unsupported => error,
            _ => too_large(error),
        }
    });
    let returned = evm::data(&returned?)?;
    if !returned.is_empty() {
        return decode(multicall, question, &returned).map(Some);
    }
    // At one height `0x` is also what a node says that has forgotten the state, or whose
    // contract came later; only the newest state tells whether there is a Multicall3.
    let newest = question.block.height().map_or(question.block, |_| LATEST);
    let params = json!([evm::canonical(&multicall), newest.param()]);
    let code: String = cx.rpc(RpcCall::new("eth_getCode", params)).await?;
    match (evm::data(&code)?.is_empty(), question.block) {
        (true, _) => Ok(None),
        (false, Block::At(height)) => Err(Error::unsupported(format!(
            "asked for block {height}, the node has no Multicall3 in the state of it"
        ))),
        (false, Block::Tag(_)) => Err(Error::malformed(
            "the node answered nothing for a Multicall3 that it has the code of",
        )),
    }
}

fn encode(multicall: Address, reads: &[Read]) -> Vec<u8> {
    let call = |target: Address, data: Vec<u8>| m3::Call3 {
        target,
        allowFailure: true,
        callData: Bytes::from(data),
    };
    let canaries = [
        call(multicall, m3::getBlockNumberCall {}.abi_encode()),
        call(multicall, m3::getChainIdCall {}.abi_encode()),
    ];
    let reads = reads.iter().map(|read| match *read {
        Read::Native(holder) => call(multicall, m3::getEthBalanceCall { holder }.abi_encode()),
        Read::Token { token, holder } => call(token, evm::balance_of(holder)),
        Read::Decimals(token) => call(token, evm::decimals()),
    });
    let calls = canaries.into_iter().chain(reads).collect();
    m3::aggregate3Call { calls }.abi_encode()
}

fn decode(multicall: Address, question: &Question<'_>, data: &[u8]) -> Result<Answers, Error> {
    // Results may all point at the same bytes: what they unfold to is bounded by what came.
    let config = AbiDecoderConfig::new()
        .validate(true)
        .memory_limit(data.len().saturating_mul(4));
    let results = m3::aggregate3Call::abi_decode_returns_with_config(data, config)
        .map_err(|error| Error::malformed(format!("not an answer of Multicall3: {error}")))?;
    // Results bear no keys: only the right number of them tells which is which.
    let [block, chain, results @ ..] = results.as_slice() else {
        return Err(Error::malformed("Multicall3 answered without the canaries"));
    };
    if results.len() != question.reads.len() {
        return Err(Error::malformed(format!(
            "Multicall3 gave {} results for {} calls",
            results.len(),
            question.reads.len()
        )));
    }
    question.check_chain(canary("getChainId", chain)?)?;
    let height = canary("getBlockNumber", block)?;
    question.check_height(height)?;
    let reads = question.reads.iter().zip(results);
    Ok(Answers {
        height: Some(height),
        amounts: reads
            .map(|(read, result)| amount(multicall, read, result))
            .collect(),
    })
}

fn canary(name: &str, result: &m3::Result) -> Result<u64, Error> {
    let word = result.success.then_some(&result.returnData);
    let word = word.filter(|word| word.len() == 32);
    match word {
        Some(word) => evm::quantity(&evm::hex(word)),
        None => Err(Error::malformed(format!(
            "the canary `{name}` was not answered: the whole answer is void"
        ))),
    }
}

fn amount(multicall: Address, read: &Read, result: &m3::Result) -> Result<Amount, Error> {
    let target = match read {
        Read::Native(_) => multicall,
        Read::Token { token, .. } | Read::Decimals(token) => *token,
    };
    if !result.success {
        let why = Revert::abi_decode(&result.returnData)
            .map(|revert| format!(": {}", revert.reason.escape_debug()))
            .unwrap_or_default();
        let message: String = format!("the call of {} reverted{why}", evm::canonical(&target))
            .chars()
            .take(200)
            .collect();
        return Err(Error::new(ErrorKind::Refused, message));
    }
    match read {
        Read::Native(_) => Amount::from_word(&result.returnData),
        Read::Token { token, .. } | Read::Decimals(token) => {
            evm::token_word(token, &result.returnData)
        }
    }
}

/// What says that a call did not fit its bounds, in the words of several nodes.
fn too_large(error: Error) -> Error {
    // Source: geth ("out of gas", "execution aborted (timeout = 5s)"), its gas checks, erigon.
    const TEXTS: &[&str] = &["gas", "execution aborted", "execution timeout"];
    let text = error.message.to_ascii_lowercase();
    let says = TEXTS.iter().any(|needle| text.contains(needle));
    if says && error.code.is_some() && error.kind != ErrorKind::RateLimited {
        return Error {
            kind: ErrorKind::TooLarge,
            ..error
        };
    }
    error
}
