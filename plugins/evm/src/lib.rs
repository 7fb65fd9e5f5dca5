//! What the EVM provider plugins share.
//!
//! Addresses by EIP-55, JSON-RPC quantities and data, ERC-20 calls, and the decimals that a chain
//! gives for a token. Nothing here turns a failure into an amount.

mod address;
#[cfg(feature = "bench")]
pub mod bench;
mod decimals;
mod derive;
mod erc20;
mod wire;

pub use address::{canonical, parse_address};
pub use decimals::{Decimals, check_decimals};
pub use derive::derive;
pub use erc20::{balance_of, decimals, token_word};
pub use wire::{data, hex, quantity};
