//! Etherscan's API V2.

use alloy::primitives::{Address, U256};
use serde_json::{Value, json};

use super::asked::{Asked, Call, Cell, CellClass};
use super::faults::{Fault, Kind, has, on_call, on_cell};
use super::host::Host;
use super::http::{Request, Response};
use super::ledger::EvmLedger;
use super::rpc::quoted;
use super::{evm, rpc};

/// Most addresses of one `balancemulti`.
const ADDRESSES_MAX: usize = 20;

const DEPRECATED: &str = "You are using a deprecated V1 endpoint, switch to Etherscan API V2 using https://docs.etherscan.io/v2-migration";
const NO_CHAIN: &str = "Missing or unsupported chainid parameter (required for v2 api), please see https://api.etherscan.io/v2/chainlist for the list of supported chainids";
const NO_KEY: &str = "Missing/Invalid API Key";
const BAD_KEY: &str = "Invalid API Key";
const FREE_PLAN: &str = "Free API access is not supported for this chain. Please upgrade your api plan for full chain coverage. https://etherscan.io/apis";
const RATE: &str = "Max calls per sec rate limit reached (3/sec)";
const QUERY_TIMEOUT: &str = "Query Timeout occured. Please select a smaller result dataset";
const BAD_ADDRESS: &str = "Error! Invalid address format";
const BAD_CONTRACT: &str = "Error! Invalid contract address format";
const BAD_ACTION: &str = "Error! Missing Or invalid Action name";
const BAD_MODULE: &str = "Error! Missing Or invalid Module name";

pub(crate) fn inspect(request: &Request) -> Asked {
    let query = Query::of(request);
    let mut call = Call::bare(query.get("action"));
    let cell = |class, address: &str| Cell::new(class, address);
    match (query.get("module"), query.get("action")) {
        ("account", "balance") => call
            .cells
            .push(cell(CellClass::Native, query.get("address"))),
        ("account", "balancemulti") => {
            let addresses = query.get("address").split(',');
            call.cells = addresses
                .map(|address| cell(CellClass::Native, address))
                .collect();
        }
        ("account", "tokenbalance") => {
            let cell = cell(CellClass::Token, query.get("address"));
            call.cells.push(cell.of(query.get("contractaddress")));
        }
        ("proxy", action) => call = evm::look(action, &query.proxy_params(action)),
        _ => {}
    }
    Asked { calls: vec![call] }
}

/// 429 as the gateway gives it.
pub(crate) fn rate_answer() -> Response {
    Response::html(429, super::gateway_page(429))
}

pub(crate) fn answer(
    request: &Request,
    host: &Host,
    ledger: &EvmLedger,
    faults: &[Fault],
    now_ms: i64,
) -> Response {
    let call = inspect(request).calls.remove(0);
    let (_, path) = request.host_and_rest();
    if path == "/api" {
        return not_ok(DEPRECATED);
    }
    if path != "/v2/api" {
        return Response::html(404, super::gateway_page(404));
    }
    let error = on_call(faults, &call, |kind| match kind {
        Kind::RateLimitText => Some(RATE.to_owned()),
        Kind::ErrorIn200 { message, .. } => {
            Some(message.clone().unwrap_or_else(|| QUERY_TIMEOUT.to_owned()))
        }
        Kind::NoSuchMethod => Some(BAD_ACTION.to_owned()),
        _ => None,
    });
    if let Some(text) = error {
        return not_ok(&text);
    }
    let query = Query::of(request);
    let chain = query.get("chainid").parse::<u64>();
    if chain != Ok(ledger.chain_id) {
        return not_ok(NO_CHAIN);
    }
    match (query.get("apikey"), &host.api_key) {
        ("", _) => return not_ok(NO_KEY),
        (key, Some(accepted)) if key != accepted => return not_ok(BAD_KEY),
        _ => {}
    }
    if host.free_plan {
        return not_ok(FREE_PLAN);
    }
    let behind = on_call(faults, &call, |kind| match kind {
        Kind::Behind { blocks } => Some(*blocks),
        _ => None,
    });
    let head = ledger.blocks.height_at(now_ms);
    let head = head.saturating_sub(behind.unwrap_or(0));
    match (query.get("module"), query.get("action")) {
        ("account", "balance") => balance(&query, ledger, head, &call, faults),
        ("account", "balancemulti") => balance_multi(&query, ledger, head, &call, faults),
        ("account", "tokenbalance") => token_balance(&query, ledger, head, &call, faults),
        ("transaction", "gettxreceiptstatus") => receipt_status(&query, ledger, now_ms),
        ("account" | "transaction", _) => not_ok(BAD_ACTION),
        ("proxy", action) => proxy(action, &query, host, ledger, &call, faults, now_ms),
        _ => not_ok(BAD_MODULE),
    }
}

struct Query(Vec<(String, String)>);

// === impl Query ===

impl Query {
    fn of(request: &Request) -> Self {
        Self(request.query())
    }

    /// Empty when absent.
    fn get(&self, name: &str) -> &str {
        let mut pairs = self.0.iter();
        let pair = pairs.find(|(key, _)| key == name);
        pair.map_or("", |(_, value)| value)
    }

    /// The parameters of a proxied method as the node has them.
    fn proxy_params(&self, action: &str) -> Vec<Value> {
        let tag = match self.get("tag") {
            "" => "latest",
            tag => tag,
        };
        match action {
            "eth_call" => vec![
                json!({"to": self.get("to"), "data": self.get("data")}),
                tag.into(),
            ],
            "eth_getBlockByNumber" => vec![tag.into(), false.into()],
            "eth_getCode" | "eth_getTransactionCount" => {
                vec![self.get("address").into(), tag.into()]
            }
            "eth_sendRawTransaction" => vec![self.get("hex").into()],
            "eth_getTransactionReceipt" | "eth_getTransactionByHash" => {
                vec![self.get("txhash").into()]
            }
            _ => Vec::new(),
        }
    }
}

fn balance(
    query: &Query,
    ledger: &EvmLedger,
    head: u64,
    call: &Call,
    faults: &[Fault],
) -> Response {
    let address = query.get("address");
    let Some(parsed) = parse_address(address) else {
        return not_ok(BAD_ADDRESS);
    };
    single(ledger.native_at(parsed, head), call, faults)
}

fn token_balance(
    query: &Query,
    ledger: &EvmLedger,
    head: u64,
    call: &Call,
    faults: &[Fault],
) -> Response {
    let Some(address) = parse_address(query.get("address")) else {
        return not_ok(BAD_ADDRESS);
    };
    let Some(contract) = parse_address(query.get("contractaddress")) else {
        return not_ok(BAD_CONTRACT);
    };
    // The explorer answers 0 for a contract that is no token: it cannot be told from a zero.
    let amount = ledger.token_at(contract, address, head);
    single(amount.unwrap_or_default(), call, faults)
}

fn single(amount: U256, call: &Call, faults: &[Fault]) -> Response {
    let fault = call
        .cells
        .first()
        .and_then(|cell| on_cell(faults, call, cell));
    match fault {
        Some(Kind::ItemError) => not_ok(QUERY_TIMEOUT),
        fault => ok(&amount_json(amount, fault)),
    }
}

fn balance_multi(
    query: &Query,
    ledger: &EvmLedger,
    head: u64,
    call: &Call,
    faults: &[Fault],
) -> Response {
    if call.cells.len() > ADDRESSES_MAX {
        return not_ok("Error! Maximum of 20 addresses are allowed for each call");
    }
    let mut entries = Vec::with_capacity(call.cells.len());
    for (address, cell) in query.get("address").split(',').zip(&call.cells) {
        let Some(parsed) = parse_address(address) else {
            return not_ok(BAD_ADDRESS);
        };
        let fault = on_cell(faults, call, cell);
        if fault == Some(&Kind::ItemError) {
            continue;
        }
        let amount = amount_json(ledger.native_at(parsed, head), fault);
        let account = address.to_ascii_lowercase();
        entries.push(format!(r#"{{"account":"{account}","balance":{amount}}}"#));
    }
    if has(faults, call, &Kind::Short) {
        entries.pop();
    }
    if let (true, Some(first)) = (has(faults, call, &Kind::Doubled), entries.first()) {
        entries.push(first.clone());
    }
    if has(faults, call, &Kind::Uninvited) {
        let account = Address::repeat_byte(0xee).to_string().to_ascii_lowercase();
        entries.push(format!(r#"{{"account":"{account}","balance":"1"}}"#));
    }
    if has(faults, call, &Kind::Reordered) {
        entries.reverse();
    }
    ok(&format!("[{}]", entries.join(",")))
}

/// Empty while no block has the transaction.
fn receipt_status(query: &Query, ledger: &EvmLedger, now_ms: i64) -> Response {
    let hash = query.get("txhash");
    let blocks = &ledger.blocks;
    let mined = blocks.mined(hash, blocks.height_at(now_ms));
    let known = mined.and_then(|_| blocks.transactions.get(hash));
    let status = known.map_or("", |known| if known.reverted { "0" } else { "1" });
    ok(&format!(r#"{{"status":"{status}"}}"#))
}

fn proxy(
    action: &str,
    query: &Query,
    host: &Host,
    ledger: &EvmLedger,
    call: &Call,
    faults: &[Fault],
    now_ms: i64,
) -> Response {
    // What the proxy module offers; `eth_getBalance` is `account/balance` here.
    let offered = [
        "eth_chainId",
        "eth_blockNumber",
        "eth_call",
        "eth_getCode",
        "eth_getBlockByNumber",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_getTransactionByHash",
        "eth_sendRawTransaction",
    ];
    if !offered.contains(&action) {
        return not_ok(BAD_ACTION);
    }
    let params = query.proxy_params(action);
    let outcome = evm::answer_method(action, &params, call, host, ledger, faults, now_ms);
    Response::json(200, rpc::geth_reply(&outcome))
}

fn amount_json(amount: U256, fault: Option<&Kind>) -> String {
    match fault {
        Some(Kind::Null) => "null".to_owned(),
        Some(Kind::TextAsNumber) => amount.to_string(),
        Some(Kind::NumberAsText) => format!("\"{amount:#x}\""),
        Some(Kind::Huge) => format!("\"{}0\"", U256::MAX),
        Some(Kind::EmptyReturnData) => "\"\"".to_owned(),
        Some(Kind::Lie) => format!("\"{}\"", amount.saturating_add(U256::from(1))),
        _ => format!("\"{amount}\""),
    }
}

fn parse_address(text: &str) -> Option<Address> {
    text.strip_prefix("0x")?;
    text.parse().ok()
}

fn ok(result: &str) -> Response {
    let body = format!(r#"{{"status":"1","message":"OK","result":{result}}}"#);
    Response::json(200, body)
}

fn not_ok(result: &str) -> Response {
    let result = quoted(result);
    let body = format!(r#"{{"status":"0","message":"NOTOK","result":{result}}}"#);
    Response::json(200, body)
}
