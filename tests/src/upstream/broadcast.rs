//! Signed transactions as they are handed in: what names them, and who takes them.

use alloy::primitives::keccak256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::consensus::encode::deserialize_hex;
use serde_json::Value;

use super::host::{Host, HostKind};
use super::http::{Request, Response};
use super::rpc;

/// Whether this method or path hands in a transaction.
pub(crate) fn is_one(method: &str) -> bool {
    matches!(
        method,
        "eth_sendRawTransaction" | "sendTransaction" | "/api/tx"
    )
}

/// The ids of the transactions that a host took by answering a request like this.
///
/// Every kind of host answers a broadcast with the id, so an id in the answer is a transaction
/// taken. An answer that is lost on the wire still was given.
pub(crate) fn taken(request: &Request, host: &Host, response: &Response) -> Vec<String> {
    let ids = match host.kind {
        HostKind::Esplora | HostKind::Mempool => match request.host_and_rest() {
            (_, "/api/tx") => bitcoin_id(&request.body).into_iter().collect(),
            _ => Vec::new(),
        },
        HostKind::Etherscan => {
            let query = request.query();
            let hex = query.iter().find(|(key, _)| key == "hex");
            hex.and_then(|(_, hex)| evm_id(hex)).into_iter().collect()
        }
        HostKind::Evm => rpc::sent(request, "eth_sendRawTransaction", |params| {
            evm_id(params.first()?.as_str()?)
        }),
        HostKind::Solana => rpc::sent(request, "sendTransaction", solana_id),
    };
    let answer = response.body_text();
    ids.into_iter()
        .filter(|id| response.status == 200 && answer.contains(id.as_str()))
        .collect()
}

/// The txid of a transaction in hex.
pub(crate) fn bitcoin_id(hex: &[u8]) -> Option<String> {
    let hex = std::str::from_utf8(hex).ok()?;
    let transaction: bitcoin::Transaction = deserialize_hex(hex.trim()).ok()?;
    let some = !transaction.input.is_empty();
    some.then(|| transaction.compute_txid().to_string())
}

/// The hash of a transaction in hex with `0x`; what is inside is not looked at.
pub(crate) fn evm_id(hex: &str) -> Option<String> {
    let raw = hex::decode(hex.strip_prefix("0x")?).ok()?;
    (!raw.is_empty()).then(|| keccak256(raw).to_string())
}

/// The first signature of a transaction in the encoding that the options name.
pub(crate) fn solana_id(params: &[Value]) -> Option<String> {
    let text = params.first()?.as_str()?;
    let encoding = params.get(1).and_then(|options| options.get("encoding"));
    let raw = match encoding.and_then(Value::as_str) {
        Some("base64") => BASE64.decode(text).ok()?,
        _ => bitcoin::base58::decode(text).ok()?,
    };
    // One byte tells how many signatures of 64 bytes follow.
    let (count, rest) = raw.split_first()?;
    let signature = rest.get(..64).filter(|_| *count > 0)?;
    Some(bitcoin::base58::encode(signature))
}
