//! A node of an EVM chain, as far as balances go.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use alloy::sol_types::{SolCall, SolValue};
use scanhost_evm as evm;
use scanhost_evm::bench::Answer;
use serde_json::{Value, json};

use crate::multicall::m3;

pub(super) const MULTICALL: &str = "0xca11bde05977b3631167028862be2a173976ca11";
pub(super) const USDT: &str = "0x55d398326f99059ff775485246999027b3197955";
pub(super) const USDC: &str = "0x8ac76a51cc950d9822d68b83fe1ad97b32cd580d";
/// Has no code.
pub(super) const NO_TOKEN: &str = "0x9999999999999999999999999999999999999999";
/// Reverts.
pub(super) const BAD_TOKEN: &str = "0x6666666666666666666666666666666666666666";
pub(super) const ALICE: &str = "0x00000000000000000000000000000000000a11ce";
pub(super) const BOB: &str = "0x0000000000000000000000000000000000000b0b";
pub(super) const NOBODY: &str = "0x1111111111111111111111111111111111111111";

type Outcome = Result<Value, (i64, &'static str)>;

#[derive(Clone)]
pub(super) struct Node {
    pub(super) chain: u64,
    pub(super) block: u64,
    pub(super) multicall: bool,
    pub(super) eth_call: bool,
    /// Most items in a batch; 0 refuses them.
    pub(super) batch_max: usize,
    pub(super) native: BTreeMap<&'static str, u64>,
    pub(super) tokens: BTreeMap<&'static str, (u64, BTreeMap<&'static str, u64>)>,
    /// What was so up to a height, oldest first.
    pub(super) past: Vec<(u64, Node)>,
    /// The first block whose state is kept.
    pub(super) oldest: u64,
    /// States that are not kept are answered as if there were no account.
    pub(super) forgets_silently: bool,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            chain: 56,
            block: 70_000_000,
            multicall: true,
            eth_call: true,
            batch_max: 1000,
            native: [(ALICE, 100), (BOB, 200)].into(),
            tokens: [
                (USDT, (18, [(ALICE, 7)].into())),
                (USDC, (18, [(BOB, 9)].into())),
            ]
            .into(),
            past: Vec::new(),
            oldest: 0,
            forgets_silently: false,
        }
    }
}

impl Node {
    pub(super) fn answer(&self, body: &[u8]) -> Answer {
        let request: Value = serde_json::from_slice(body).expect("requests are JSON");
        let answer = match &request {
            Value::Array(_) if self.batch_max == 0 => {
                error(&Value::Null, -32600, "batches are not supported")
            }
            Value::Array(items) if items.len() > self.batch_max => {
                json!([error(&items[0]["id"], -32600, "batch too large")])
            }
            // Any order is allowed.
            Value::Array(items) => items.iter().rev().map(|item| self.reply(item)).collect(),
            item => self.reply(item),
        };
        (200, answer.to_string())
    }

    fn reply(&self, item: &Value) -> Value {
        let (method, params) = (item["method"].as_str().unwrap(), &item["params"]);
        let answer = match method {
            "eth_getBlockByNumber" => self.block_json(&params[0]),
            "eth_getBalance" | "eth_getCode" | "eth_call" => match self.state(&params[1]) {
                Ok(state) => state.call(method, params),
                Err(error) => Err(error),
            },
            _ => self.call(method, params),
        };
        match answer {
            Ok(result) => json!({"jsonrpc": "2.0", "id": item["id"], "result": result}),
            Err((code, message)) => error(&item["id"], code, message),
        }
    }

    fn block_json(&self, block: &Value) -> Outcome {
        let number = number_of(block).unwrap_or(self.block);
        match number > self.block {
            true => Ok(Value::Null),
            false => Ok(json!({"number": format!("{number:#x}"), "hash": "0x00"})),
        }
    }

    /// The node as it was at a block.
    fn state(&self, block: &Value) -> Result<Self, (i64, &'static str)> {
        let Some(height) = number_of(block) else {
            return Ok(self.clone());
        };
        if height > self.block {
            return Err((-32000, "header not found"));
        }
        if height >= self.oldest {
            let mut past = self.past.iter();
            let then = past.find(|(until, _)| height <= *until);
            let then = then.map_or(self, |(_, node)| node).clone();
            return Ok(Self {
                block: height,
                ..then
            });
        }
        match self.forgets_silently {
            false => Err((
                -32000,
                "missing trie node 8b16 (path ) state 0x8b16 is not available, not found",
            )),
            true => Ok(Self {
                block: height,
                multicall: false,
                native: BTreeMap::new(),
                tokens: BTreeMap::new(),
                ..self.clone()
            }),
        }
    }

    fn call(&self, method: &str, params: &Value) -> Outcome {
        let number = json!(format!("{:#x}", self.block));
        let text = |index: usize| params[index].as_str().unwrap();
        match method {
            "eth_chainId" => Ok(json!(format!("{:#x}", self.chain))),
            "eth_blockNumber" => Ok(number),
            "eth_getBalance" => Ok(json!(format!("{:#x}", self.native_of(text(0))))),
            "eth_getCode" => Ok(json!(match self.multicall && text(0) == MULTICALL {
                true => "0x6080",
                false => "0x",
            })),
            "eth_call" if self.eth_call => {
                let data = evm::data(params[0]["data"].as_str().unwrap()).unwrap();
                self.eth_call(params[0]["to"].as_str().unwrap(), &data)
                    .map(|bytes| json!(evm::hex(&bytes)))
                    .ok_or((3, "execution reverted"))
            }
            _ => Err((-32601, "the method does not exist/is not available")),
        }
    }

    /// `None` reverts.
    fn eth_call(&self, to: &str, data: &[u8]) -> Option<Vec<u8>> {
        let word = |number: u64| Some(U256::from(number).abi_encode());
        match to {
            MULTICALL if !self.multicall => Some(vec![]),
            MULTICALL => {
                if let Ok(call) = m3::aggregate3Call::abi_decode(data) {
                    return Some(self.aggregate(&call.calls).abi_encode());
                }
                if let Ok(call) = m3::getEthBalanceCall::abi_decode(data) {
                    return word(self.native_of(&evm::canonical(&call.holder)));
                }
                match evm::hex(data).as_str() {
                    "0x42cbb15c" => word(self.block),
                    "0x3408e470" => word(self.chain),
                    _ => None,
                }
            }
            BAD_TOKEN => None,
            token => match self.tokens.get(token) {
                None => Some(vec![]),
                Some((decimals, _)) if evm::hex(data) == "0x313ce567" => word(*decimals),
                Some((_, holders)) => {
                    assert_eq!(evm::hex(&data[..4]), "0x70a08231");
                    let holder = evm::canonical(&Address::from_slice(&data[16..]));
                    word(holders.get(holder.as_str()).copied().unwrap_or(0))
                }
            },
        }
    }

    pub(super) fn aggregate(&self, calls: &[m3::Call3]) -> Vec<m3::Result> {
        let one = |call: &m3::Call3| {
            assert!(call.allowFailure, "one failure must not undo the others");
            let returned = self.eth_call(&evm::canonical(&call.target), &call.callData);
            m3::Result {
                success: returned.is_some(),
                returnData: returned.unwrap_or_default().into(),
            }
        };
        calls.iter().map(one).collect()
    }

    fn native_of(&self, address: &str) -> u64 {
        self.native.get(address).copied().unwrap_or(0)
    }
}

fn number_of(block: &Value) -> Option<u64> {
    let digits = block.as_str().unwrap().strip_prefix("0x")?;
    Some(u64::from_str_radix(digits, 16).unwrap())
}

pub(super) fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

/// The calls of a request, where it is an `aggregate3`.
pub(super) fn calls_of(body: &[u8]) -> Option<Vec<m3::Call3>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let data = evm::data(request["params"][0]["data"].as_str()?).ok()?;
    m3::aggregate3Call::abi_decode(&data)
        .ok()
        .map(|call| call.calls)
}

/// An answer of Multicall3 with these results.
pub(super) fn aggregated(results: &[m3::Result]) -> Answer {
    let result = evm::hex(&results.to_vec().abi_encode());
    let answer = json!({"jsonrpc": "2.0", "id": 0, "result": result});
    (200, answer.to_string())
}
