//! The single reads that a call is made of, however they travel.

use alloy::primitives::Address;
use scanhost_evm as evm;
use scanhost_plugin_api::prelude::*;
use serde_json::json;

use crate::block::Block;

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
    /// Of which block.
    pub(crate) block: Block,
    pub(crate) min_height: u64,
    /// The chain that must answer; `None` is any.
    pub(crate) chain: Option<u64>,
}

/// One result per read, in the order of [`Question::reads`].
#[derive(Debug)]
pub(crate) struct Answers {
    /// The block of all amounts; `None` unless they are of one.
    pub(crate) height: Option<u64>,
    pub(crate) amounts: Vec<Result<Amount, Error>>,
}

impl Read {
    /// The read as a JSON-RPC call of its own.
    pub(crate) fn rpc(&self, block: Block) -> RpcCall {
        match *self {
            Self::Native(address) => get_balance(address, block),
            Self::Token { token, holder } => eth_call(token, &evm::balance_of(holder), block),
            Self::Decimals(token) => eth_call(token, &evm::decimals(), block),
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
        let lagging = |asked: String| {
            let message = format!(
                "the node's {} is {told}, asked for {asked}",
                self.block.named()
            );
            Err(Error::new(ErrorKind::Lagging, message))
        };
        match self.block {
            _ if told < self.min_height => lagging(format!("{} or later", self.min_height)),
            Block::At(height) if told < height => lagging(height.to_string()),
            // Also where the number that a contract sees is another chain's, as on Arbitrum.
            Block::At(height) if told > height => Err(Error::unsupported(format!(
                "asked for block {height}, answered of block {told}"
            ))),
            _ => Ok(()),
        }
    }

    /// The canaries of calls that are no single `eth_call`: the chain's id and the block's number.
    pub(crate) fn canaries(&self) -> [RpcCall; 2] {
        let head = match self.block {
            Block::Tag("latest") => RpcCall::new("eth_blockNumber", json!([])),
            block => RpcCall::new("eth_getBlockByNumber", json!([block.param(), false])),
        };
        [RpcCall::new("eth_chainId", json!([])), head]
    }

    pub(crate) fn check_canaries(&self, chain: &str, head: &Head) -> Result<(), Error> {
        self.check_chain(evm::quantity(chain)?)?;
        match (head, self.block) {
            (Head::Number(number) | Head::Block { number }, _) => {
                self.check_height(evm::quantity(number)?)
            }
            (Head::None(()), Block::At(height)) => {
                let message = format!("asked for block {height}, the node does not have it yet");
                Err(Error::new(ErrorKind::Lagging, message))
            }
            (Head::None(()), block) => {
                let message = format!("the node has no {}", block.named());
                Err(Error::malformed(message))
            }
        }
    }
}

/// The answer to either form of the second canary.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Head {
    Number(String),
    Block {
        number: String,
    },
    /// `null`: there is no such block.
    None(()),
}

/// Whether the provider does not have the method, and not only this block.
pub(crate) fn no_method(error: &Error) -> bool {
    error.kind == ErrorKind::Unsupported && error.code == Some(-32601)
}

/// The native balance by itself.
pub(crate) fn get_balance(address: Address, block: Block) -> RpcCall {
    let params = json!([evm::canonical(&address), block.param()]);
    RpcCall::new("eth_getBalance", params)
}

/// `eth_call` without a sender or value.
pub(crate) fn eth_call(target: Address, data: &[u8], block: Block) -> RpcCall {
    let call = json!({"to": evm::canonical(&target), "data": evm::hex(data)});
    RpcCall::new("eth_call", json!([call, block.param()]))
}
