//! The single reads that a call is made of, however they travel.

use alloy::primitives::Address;
use scanhost_evm as evm;
use scanhost_plugin_api::prelude::*;
use serde_json::json;

/// One number to read from the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// The native balance of an address.
    Native(Address),
    /// The balance of a holder in a token.
    Token { token: Address, holder: Address },
    /// The decimals of a token.
    Decimals(Address),
}

/// What one call asks, and of which state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) reads: &'a [Read],
    /// The block tag.
    pub(crate) tag: &'static str,
    pub(crate) min_height: u64,
    /// The chain that must answer; `None` is any.
    pub(crate) chain: Option<u64>,
}

/// One result per read, in the order of [`Question::reads`].
#[derive(Debug)]
pub(crate) struct Answers {
    /// The block of all amounts; `None` unless they are of one state.
    pub(crate) height: Option<u64>,
    pub(crate) amounts: Vec<Result<Amount, Error>>,
}

impl Read {
    /// The read as a JSON-RPC call of its own.
    pub(crate) fn rpc(&self, tag: &str) -> RpcCall {
        match *self {
            Self::Native(address) => {
                RpcCall::new("eth_getBalance", json!([evm::canonical(&address), tag]))
            }
            Self::Token { token, holder } => eth_call(token, &evm::balance_of(holder), tag),
            Self::Decimals(token) => eth_call(token, &evm::decimals(), tag),
        }
    }

    /// The amount in the result of [`rpc`](Self::rpc).
    pub(crate) fn parse(&self, result: &str) -> Result<Amount, Error> {
        match self {
            Self::Native(_) => Amount::from_hex_quantity(result),
            Self::Token { token, .. } | Self::Decimals(token) => {
                evm::token_word(token, &evm::data(result)?)
            }
        }
    }

    pub(crate) fn is_native(&self) -> bool {
        matches!(self, Self::Native(_))
    }
}

impl Question<'_> {
    pub(crate) fn check_chain(&self, told: u64) -> Result<(), Error> {
        match self.chain {
            Some(chain) if chain != told => {
                let message = format!(
                    "the node is on chain {told}, the configuration's `identity` is {chain}"
                );
                Err(Error::new(ErrorKind::WrongChain, message))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check_height(&self, told: u64) -> Result<(), Error> {
        if told >= self.min_height {
            return Ok(());
        }
        let message = format!(
            "the node's `{}` block is {told}, asked for {} or later",
            self.tag, self.min_height
        );
        Err(Error::new(ErrorKind::Lagging, message))
    }

    /// The canaries of calls that are no single `eth_call`: the chain's id and the block's number.
    pub(crate) fn canaries(&self) -> [RpcCall; 2] {
        let head = match self.tag {
            "latest" => RpcCall::new("eth_blockNumber", json!([])),
            tag => RpcCall::new("eth_getBlockByNumber", json!([tag, false])),
        };
        [RpcCall::new("eth_chainId", json!([])), head]
    }

    pub(crate) fn check_canaries(&self, chain: &str, head: &Head) -> Result<(), Error> {
        self.check_chain(evm::quantity(chain)?)?;
        let (Head::Number(number) | Head::Block { number }) = head;
        self.check_height(evm::quantity(number)?)
    }
}

/// The answer to either form of the second canary.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Head {
    Number(String),
    Block { number: String },
}

/// `eth_call` without a sender or value.
pub(crate) fn eth_call(target: Address, data: &[u8], tag: &str) -> RpcCall {
    let call = json!({"to": evm::canonical(&target), "data": evm::hex(data)});
    RpcCall::new("eth_call", json!([call, tag]))
}
