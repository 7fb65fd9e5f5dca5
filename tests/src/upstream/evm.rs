//! An EVM node's JSON-RPC, with Multicall3.

use alloy::primitives::{Address, Bytes, U256, address};
use alloy::sol_types::{Revert, SolCall, SolError, SolValue};
use serde_json::Value;

use super::asked::{Asked, Call, Cell, CellClass};
use super::broadcast;
use super::faults::{Fault, Kind, has, on_call, on_cell};
use super::host::Host;
use super::http::{Request, Response};
use super::ledger::{EvmLedger, Token};
use super::rpc::{self, Dialect, Raw, RpcCall, RpcError, quoted};

/// Where Multicall3 is deployed on every chain that has it.
pub const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");

/// Blocks below the newest that the `finalized` tag means on BNB Smart Chain.
const FINALITY_BLOCKS: u64 = 2;
const BODY_MAX: usize = 5 * 1024 * 1024;

mod abi {
    alloy::sol! {
        struct Call3 { address target; bool allowFailure; bytes callData; }
        struct Result3 { bool success; bytes returnData; }
        function aggregate3(Call3[] calls) returns (Result3[] returnData);
        function getEthBalance(address addr) returns (uint256 balance);
        function getBlockNumber() returns (uint256 blockNumber);
        function getChainId() returns (uint256 chainid);
        function getCurrentBlockTimestamp() returns (uint256 timestamp);
        function balanceOf(address owner) returns (uint256 balance);
        function decimals() returns (uint8 decimals);
        function symbol() returns (string symbol);
    }
}

pub(crate) fn inspect(request: &Request) -> Asked {
    rpc::inspect(request, look)
}

pub(crate) fn answer(
    request: &Request,
    host: &Host,
    ledger: &EvmLedger,
    faults: &[Fault],
    now_ms: i64,
) -> Response {
    let dialect = Dialect {
        id_last: false,
        body_max: BODY_MAX,
        batch_max: host.batch_max,
        usual_error: (-32000, "header not found"),
        rate_error: (-32005, "limit exceeded"),
    };
    rpc::serve(request, &dialect, faults, look, |call| {
        answer_call(call, host, ledger, faults, now_ms)
    })
}

/// 429 as a gateway before the node gives it.
pub(crate) fn rate_answer() -> Response {
    let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"limit exceeded"}}"#;
    Response::json(429, body)
}

/// What a call reads.
pub(crate) fn look(method: &str, params: &[Value]) -> Call {
    let mut call = Call::bare(method);
    match method {
        "eth_getBalance" => {
            let address = params.first().and_then(Value::as_str).unwrap_or_default();
            call.cells.push(Cell::new(CellClass::Native, address));
        }
        "eth_call" => {
            if let Ok((to, data)) = call_object(params) {
                call.cells = cells_of(to, &data);
            }
        }
        _ => {}
    }
    call
}

/// Answers one call; the proxy module of Etherscan comes in here too.
pub(crate) fn answer_call(
    call: &RpcCall,
    host: &Host,
    ledger: &EvmLedger,
    faults: &[Fault],
    now_ms: i64,
) -> Result<Raw, RpcError> {
    answer_method(
        &call.method,
        &call.params,
        &call.asked,
        host,
        ledger,
        faults,
        now_ms,
    )
}

pub(crate) fn answer_method(
    method: &str,
    params: &[Value],
    asked: &Call,
    host: &Host,
    ledger: &EvmLedger,
    faults: &[Fault],
    now_ms: i64,
) -> Result<Raw, RpcError> {
    let behind = on_call(faults, asked, |kind| match kind {
        Kind::Behind { blocks } => Some(*blocks),
        _ => None,
    });
    let chain_id = if has(faults, asked, &Kind::WrongChain) {
        if ledger.chain_id == 97 { 56 } else { 97 }
    } else {
        ledger.chain_id
    };
    let head = ledger.blocks.height_at(now_ms);
    let node = Node {
        ledger,
        faults,
        asked,
        chain_id,
        head: head.saturating_sub(behind.unwrap_or(0)),
        subcalls_max: host.subcalls_max,
        states_kept: host.states_kept,
    };
    match method {
        "eth_chainId" => Ok(format!("\"{chain_id:#x}\"")),
        "net_version" => Ok(format!("\"{chain_id}\"")),
        "eth_blockNumber" => Ok(format!("\"{:#x}\"", node.head)),
        "eth_getBalance" => node.get_balance(params),
        "eth_getCode" => {
            let address = address_param(params, 0)?;
            let height = node.state_height(params.get(1))?;
            let code = if node.has_code(address, height) {
                "0x6080604052"
            } else {
                "0x"
            };
            Ok(quoted(code))
        }
        "eth_call" => {
            let height = node.state_height(params.get(1))?;
            let (to, data) = call_object(params)?;
            node.call(to, &data, height)
        }
        "eth_getBlockByNumber" => node.block(params),
        "eth_getTransactionReceipt" => Ok(node.receipt(params)),
        "eth_getTransactionByHash" => Ok(node.transaction(params)),
        "eth_sendRawTransaction" => {
            let raw = params.first().and_then(Value::as_str).unwrap_or_default();
            match broadcast::evm_id(raw) {
                None => Err(RpcError::new(-32000, "typed transaction too short")),
                Some(hash) if ledger.blocks.transactions.contains_key(&hash) => {
                    Err(RpcError::new(-32000, "already known"))
                }
                Some(hash) => Ok(quoted(&hash)),
            }
        }
        "eth_getTransactionCount" => {
            address_param(params, 0)?;
            Ok("\"0x0\"".to_owned())
        }
        _ => Err(RpcError::no_method(method)),
    }
}

struct Node<'a> {
    ledger: &'a EvmLedger,
    faults: &'a [Fault],
    asked: &'a Call,
    chain_id: u64,
    head: u64,
    subcalls_max: usize,
    states_kept: u64,
}

// === impl Node ===

impl Node<'_> {
    fn get_balance(&self, params: &[Value]) -> Result<Raw, RpcError> {
        let address = address_param(params, 0)?;
        let height = self.state_height(params.get(1))?;
        let amount = self.native(address, height);
        let cell = self.asked.cells.first();
        let fault = cell.and_then(|cell| on_cell(self.faults, self.asked, cell));
        Ok(match fault {
            Some(Kind::NumberAsText) => quoted(&amount.to_string()),
            // As a number JSON loses digits, which is why the format has text.
            Some(Kind::TextAsNumber) => amount.to_string(),
            Some(Kind::Huge) => format!("\"0x1{}\"", "0".repeat(64)),
            Some(Kind::Lie) => format!("\"{:#x}\"", amount.saturating_add(U256::from(1))),
            Some(Kind::EmptyReturnData) => "\"0x\"".to_owned(),
            Some(Kind::ItemError) => return Err(RpcError::new(-32000, "missing trie node")),
            _ => format!("\"{amount:#x}\""),
        })
    }

    /// The height of the state that a block parameter means.
    fn state_height(&self, block: Option<&Value>) -> Result<u64, RpcError> {
        let number = match block {
            Some(Value::Object(object)) => object.get("blockNumber"),
            block => block,
        };
        let height = match number.and_then(Value::as_str) {
            None | Some("latest" | "pending") => return Ok(self.head),
            Some(tag) => self.height_of(tag)?,
        };
        if height > self.head {
            return Err(RpcError::new(-32000, "header not found"));
        }
        if self.is_forgotten(height) && !has(self.faults, self.asked, &Kind::ForgottenAsEmpty) {
            let hash = self.ledger.blocks.hash(height);
            let message =
                format!("missing trie node {hash} (path ) state 0x{hash} is not available");
            return Err(RpcError::new(-32000, message));
        }
        Ok(height)
    }

    fn is_forgotten(&self, height: u64) -> bool {
        self.head.saturating_sub(height) >= self.states_kept
    }

    fn native(&self, address: Address, height: u64) -> U256 {
        match self.is_forgotten(height) {
            true => U256::ZERO,
            false => self.ledger.native_at(address, height),
        }
    }

    fn height_of(&self, tag: &str) -> Result<u64, RpcError> {
        match tag {
            "latest" | "pending" => Ok(self.head),
            "safe" => Ok(self.head.saturating_sub(1)),
            "finalized" => Ok(self.head.saturating_sub(FINALITY_BLOCKS)),
            "earliest" => Ok(0),
            number => {
                let digits = number.strip_prefix("0x");
                let height = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                height.ok_or_else(|| {
                    RpcError::params("invalid argument 1: hex string without 0x prefix")
                })
            }
        }
    }

    fn block(&self, params: &[Value]) -> Result<Raw, RpcError> {
        let tag = params.first().and_then(Value::as_str);
        let tag = tag.ok_or_else(|| RpcError::params("missing value for required argument 0"))?;
        let height = self.height_of(tag)?;
        if height > self.head {
            return Ok("null".to_owned());
        }
        let blocks = &self.ledger.blocks;
        let hash = blocks.hash(height);
        let parent = height.checked_sub(1).map(|parent| blocks.hash(parent));
        let parent = parent.unwrap_or_else(|| "0".repeat(64));
        let time = blocks.time_s(height).max(0);
        Ok(format!(
            r#"{{"number":"{height:#x}","hash":"0x{hash}","parentHash":"0x{parent}","timestamp":"{time:#x}","transactions":[]}}"#
        ))
    }

    /// `null` until a block has the transaction.
    fn receipt(&self, params: &[Value]) -> Raw {
        let hash = params.first().and_then(Value::as_str).unwrap_or_default();
        let blocks = &self.ledger.blocks;
        let Some(height) = blocks.mined(hash, self.head) else {
            return "null".to_owned();
        };
        let reverted = blocks
            .transactions
            .get(hash)
            .is_some_and(|known| known.reverted);
        let status = if reverted { "0x0" } else { "0x1" };
        let block = blocks.hash(height);
        format!(
            r#"{{"transactionHash":"{hash}","transactionIndex":"0x0","blockHash":"0x{block}","blockNumber":"{height:#x}","cumulativeGasUsed":"0x5208","gasUsed":"0x5208","effectiveGasPrice":"0x3b9aca00","contractAddress":null,"logs":[],"status":"{status}","type":"0x0"}}"#
        )
    }

    /// `null` for an unknown transaction, without a block while it waits.
    fn transaction(&self, params: &[Value]) -> Raw {
        let hash = params.first().and_then(Value::as_str).unwrap_or_default();
        let blocks = &self.ledger.blocks;
        if !blocks.transactions.contains_key(hash) {
            return "null".to_owned();
        }
        match blocks.mined(hash, self.head) {
            None => format!(r#"{{"hash":"{hash}","blockHash":null,"blockNumber":null}}"#),
            Some(height) => {
                let block = blocks.hash(height);
                format!(
                    r#"{{"hash":"{hash}","blockHash":"0x{block}","blockNumber":"{height:#x}"}}"#
                )
            }
        }
    }

    fn has_code(&self, address: Address, height: u64) -> bool {
        let known = self.ledger.tokens.contains_key(&address) || self.is_multicall(address);
        known && !self.is_forgotten(height)
    }

    fn is_multicall(&self, address: Address) -> bool {
        address == MULTICALL3 && self.ledger.multicall
    }

    fn call(&self, to: Address, data: &[u8], height: u64) -> Result<Raw, RpcError> {
        let aggregate = abi::aggregate3Call::abi_decode(data);
        let data = match aggregate {
            Ok(aggregate) if self.is_multicall(to) && self.has_code(to, height) => {
                self.aggregate(aggregate.calls, height)?
            }
            _ => {
                let cell = cell_of(to, data);
                self.faulty(to, data, &cell, height)
                    .map_err(|revert| reverted(&revert))?
            }
        };
        let touched = |kind| has(self.faults, self.asked, kind);
        if touched(&Kind::Null) {
            return Ok("null".to_owned());
        }
        if touched(&Kind::TextAsNumber) {
            return Ok(U256::try_from_be_slice(&data)
                .unwrap_or_default()
                .to_string());
        }
        Ok(quoted(&data.to_string()))
    }

    fn aggregate(&self, calls: Vec<abi::Call3>, height: u64) -> Result<Bytes, RpcError> {
        if calls.len() > self.subcalls_max {
            return Err(RpcError::new(-32000, "out of gas"));
        }
        let mut results = Vec::with_capacity(calls.len());
        for call in calls {
            let cell = cell_of(call.target, &call.callData);
            let (success, data) = match self.faulty(call.target, &call.callData, &cell, height) {
                Ok(data) => (true, data),
                Err(_) if !call.allowFailure => return Err(reverted("Multicall3: call failed")),
                Err(reason) => (false, Revert::from(reason).abi_encode().into()),
            };
            results.push(abi::Result3 {
                success,
                returnData: data,
            });
        }
        let touched = |kind| has(self.faults, self.asked, kind);
        if touched(&Kind::Short) {
            results.pop();
        }
        if let (true, Some(first)) = (touched(&Kind::Doubled), results.first()) {
            results.push(first.clone());
        }
        if touched(&Kind::Uninvited) {
            results.push(abi::Result3 {
                success: true,
                returnData: word(U256::from(1)),
            });
        }
        Ok(results.abi_encode().into())
    }

    /// A sub-call with the fault of its cell.
    fn faulty(&self, to: Address, data: &[u8], cell: &Cell, height: u64) -> Result<Bytes, String> {
        let amount = cell.class != CellClass::Other;
        let returned = self.run(to, data, height);
        match on_cell(self.faults, self.asked, cell) {
            Some(Kind::EmptyReturnData) => Ok(Bytes::new()),
            Some(Kind::ItemError) if amount => Err("execution reverted".to_owned()),
            Some(Kind::Huge) if amount => {
                let mut bytes = vec![1];
                bytes.extend([0; 32]);
                Ok(bytes.into())
            }
            Some(Kind::Lie) if amount => returned.map(|data| {
                let told = U256::try_from_be_slice(&data);
                told.map_or(data, |told| word(told.saturating_add(U256::from(1))))
            }),
            Some(Kind::NumberAsText) if amount => returned.map(|data| {
                let told = U256::try_from_be_slice(&data).unwrap_or_default();
                told.to_string().abi_encode().into()
            }),
            _ => returned,
        }
    }

    /// What the contract returns; an address without code returns nothing and succeeds.
    fn run(&self, to: Address, data: &[u8], height: u64) -> Result<Bytes, String> {
        let selector = data.first_chunk::<4>().copied().unwrap_or_default();
        if !self.has_code(to, height) {
            return Ok(Bytes::new());
        }
        if self.is_multicall(to) {
            return match selector {
                abi::getEthBalanceCall::SELECTOR => {
                    let (_, address) = one_address(data).ok_or_else(String::new)?;
                    Ok(word(self.native(address, height)))
                }
                abi::getBlockNumberCall::SELECTOR => Ok(word(U256::from(height))),
                abi::getChainIdCall::SELECTOR => Ok(word(U256::from(self.chain_id))),
                abi::getCurrentBlockTimestampCall::SELECTOR => {
                    let time = u64::try_from(self.ledger.blocks.time_s(height));
                    Ok(word(U256::from(time.unwrap_or(0))))
                }
                _ => Err(String::new()),
            };
        }
        match self.ledger.tokens.get(&to) {
            Some(token) => match (selector, one_address(data)) {
                (abi::balanceOfCall::SELECTOR, Some((_, owner))) => {
                    let amount = self.ledger.token_at(to, owner, height);
                    Ok(word(amount.unwrap_or_default()))
                }
                _ => self.run_token(token, selector),
            },
            None => Ok(Bytes::new()),
        }
    }

    /// What a token tells of itself.
    fn run_token(&self, token: &Token, selector: [u8; 4]) -> Result<Bytes, String> {
        match selector {
            abi::decimalsCall::SELECTOR => {
                let wrong = self.faults.iter().find_map(|fault| match fault.what {
                    Kind::WrongDecimals { decimals } => Some(decimals),
                    _ => None,
                });
                Ok(word(U256::from(wrong.unwrap_or(token.decimals))))
            }
            abi::symbolCall::SELECTOR => Ok(token.symbol.abi_encode().into()),
            _ => Err(String::new()),
        }
    }
}

fn word(value: U256) -> Bytes {
    value.to_be_bytes::<32>().into()
}

/// Code 3 with the reason as `Error(string)`, as geth has it.
fn reverted(reason: &str) -> RpcError {
    if reason.is_empty() {
        return RpcError::new(3, "execution reverted").with_data(quoted("0x"));
    }
    let data: Bytes = Revert::from(reason).abi_encode().into();
    let message = format!("execution reverted: {reason}");
    RpcError::new(3, message).with_data(quoted(&data.to_string()))
}

fn cells_of(to: Address, data: &[u8]) -> Vec<Cell> {
    match abi::aggregate3Call::abi_decode(data) {
        Ok(aggregate) if to == MULTICALL3 => {
            let calls = aggregate.calls.iter();
            calls
                .map(|call| cell_of(call.target, &call.callData))
                .collect()
        }
        _ => vec![cell_of(to, data)],
    }
}

/// Addresses are written in lower case: a checksum for each would cost more than the answer.
fn cell_of(to: Address, data: &[u8]) -> Cell {
    let cell = |class, address: Address| Cell::new(class, format!("{address:#x}"));
    match one_address(data) {
        Some((abi::balanceOfCall::SELECTOR, owner)) => {
            cell(CellClass::Token, owner).of(format!("{to:#x}"))
        }
        Some((abi::getEthBalanceCall::SELECTOR, address)) if to == MULTICALL3 => {
            cell(CellClass::Native, address)
        }
        _ => Cell::new(CellClass::Other, ""),
    }
}

/// Selector and argument of a call that has one argument, an address.
fn one_address(data: &[u8]) -> Option<([u8; 4], Address)> {
    let (selector, argument) = data.split_first_chunk::<4>()?;
    let (padding, address) = argument.split_first_chunk::<12>()?;
    let fits = *padding == [0; 12] && address.len() == 20;
    fits.then(|| (*selector, Address::from_slice(address)))
}

fn call_object(params: &[Value]) -> Result<(Address, Vec<u8>), RpcError> {
    let object = params.first().and_then(Value::as_object);
    let object = object.ok_or_else(|| RpcError::params("missing value for required argument 0"))?;
    let to = parse_address(object.get("to"), 0)?;
    let data = object.get("data").or_else(|| object.get("input"));
    let data = data.and_then(Value::as_str).unwrap_or("0x");
    let bytes = data
        .strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok());
    let bytes = bytes.ok_or_else(|| {
        RpcError::params("invalid argument 0: json: cannot unmarshal invalid hex string into Go struct field TransactionArgs.data of type hexutil.Bytes")
    })?;
    Ok((to, bytes))
}

fn address_param(params: &[Value], place: usize) -> Result<Address, RpcError> {
    parse_address(params.get(place), place)
}

fn parse_address(value: Option<&Value>, place: usize) -> Result<Address, RpcError> {
    let text = value
        .and_then(Value::as_str)
        .ok_or_else(|| RpcError::params(format!("missing value for required argument {place}")))?;
    let digits = text.strip_prefix("0x").ok_or_else(|| {
        let of = "json: cannot unmarshal hex string without 0x prefix into Go value of type common.Address";
        RpcError::params(format!("invalid argument {place}: {of}"))
    })?;
    let bytes = hex::decode(digits).ok().filter(|bytes| bytes.len() == 20);
    let bytes = bytes.ok_or_else(|| {
        let digits = digits.len();
        RpcError::params(format!(
            "invalid argument {place}: hex string has length {digits}, want 40 for common.Address"
        ))
    })?;
    Ok(Address::from_slice(&bytes))
}
