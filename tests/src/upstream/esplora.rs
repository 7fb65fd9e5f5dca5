//! Esplora's REST interface, as Blockstream and mempool.space serve it.

use std::fmt::Write as _;
use std::str::FromStr;

use bitcoin::Network;
use bitcoin::address::NetworkUnchecked;
use bitcoin::hashes::{Hash, sha256};

use super::asked::{Asked, Call, Cell, CellClass};
use super::broadcast;
use super::faults::{Fault, Kind, has, on_call, on_cell};
use super::host::{Host, HostKind};
use super::http::{Request, Response};
use super::ledger::{BitcoinLedger, Stats, Tally};
use super::rpc::quoted;

const RATE_NOTICE: &str = r#"{"error":"Too Many Requests","message":"Blockstream Explorer API NOTICE: Your request rate exceeds the current limit. Starting July 15 2025, monthly unauthenticated usage will be capped at 500,000 requests/month and 700 requests/hour per IP. To maintain uninterrupted access, get your API key at: https://dashboard.blockstream.info"}"#;
const MEMPOOL_RATE_PAGE: &str = r#"<html><head><title>429 Too Many Requests</title></head><body><center><h1>429 Too Many Requests</h1></center><center><h2>Sign Up for <a href="https://mempool.space/enterprise">Mempool Enterprise</a> to get increased API limits</h2></center></body></html>"#;

pub(crate) fn inspect(request: &Request) -> Asked {
    let (_, path) = request.host_and_rest();
    let mut call = Call::bare(path);
    if let Some(("address" | "scripthash", address, "")) = resource(path) {
        call.cells.push(Cell::new(CellClass::Native, address));
    }
    Asked { calls: vec![call] }
}

/// 429 in the form of this host.
pub(crate) fn rate_answer(host: &Host) -> Response {
    match host.kind {
        HostKind::Mempool => Response::html(429, MEMPOOL_RATE_PAGE),
        _ => Response::json(429, RATE_NOTICE),
    }
}

pub(crate) fn answer(
    request: &Request,
    host: &Host,
    ledger: &BitcoinLedger,
    faults: &[Fault],
    now_ms: i64,
) -> Response {
    let (_, path) = request.host_and_rest();
    let call = inspect(request).calls.remove(0);
    if let Some(response) = authorisation(request, host, path, now_ms) {
        return response;
    }
    let error = on_call(faults, &call, |kind| match kind {
        Kind::RateLimitText => Some(RATE_NOTICE.to_owned()),
        Kind::ErrorIn200 { message, .. } => {
            let message = message.as_deref().unwrap_or("Internal error");
            Some(format!("{{\"error\":{}}}", quoted(message)))
        }
        _ => None,
    });
    if let Some(body) = error {
        return Response::json(200, body);
    }
    let behind = on_call(faults, &call, |kind| match kind {
        Kind::Behind { blocks } => Some(*blocks),
        _ => None,
    });
    let tip = ledger.blocks.height_at(now_ms);
    let view = View {
        ledger,
        tip: tip.saturating_sub(behind.unwrap_or(0)),
        wrong_chain: has(faults, &call, &Kind::WrongChain),
    };
    if (request.method.as_str(), path) == ("POST", "/api/tx") {
        return view.broadcast(&request.body);
    }
    if request.method != "GET" {
        return not_found(path);
    }
    if let Some(backend) = path.strip_prefix("/api/v1/") {
        return match host.kind {
            HostKind::Mempool => mempool_backend(backend, ledger.network),
            _ => not_found(path),
        };
    }
    match resource(path) {
        Some(("address", address, rest)) => match parse_address(address, ledger.network) {
            Ok(_) => view.statistics("address", address, address, rest, path, &call, faults),
            Err(response) => response,
        },
        Some(("scripthash", hash, rest)) => view.script_hash(hash, rest, path, &call, faults),
        Some(("blocks", "tip", "height")) => Response::text(200, view.tip.to_string()),
        Some(("blocks", "tip", "hash")) => Response::text(200, view.hash(view.tip)),
        Some(("block-height", height, "")) => match height.parse::<u64>() {
            Ok(height) if height <= view.tip => Response::text(200, view.hash(height)),
            Ok(_) => Response::text(404, "Block not found"),
            Err(_) => Response::text(400, "Invalid number"),
        },
        Some(("block", hash, "")) => view.block(hash),
        Some(("tx", txid, rest @ ("" | "status"))) => match bitcoin::Txid::from_str(txid) {
            Err(_) => Response::text(400, "Invalid hex string"),
            // There is no check for existence here, as in electrs.
            Ok(_) if rest == "status" => Response::json(200, view.status(txid)),
            Ok(_) if ledger.blocks.transactions.contains_key(txid) => {
                let status = view.status(txid);
                Response::json(200, format!(r#"{{"txid":"{txid}","status":{status}}}"#))
            }
            Ok(_) => Response::text(404, "Transaction not found"),
        },
        Some(("fee-estimates", "", "")) => Response::json(
            200,
            r#"{"1":5.0,"2":4.0,"3":4.0,"6":3.0,"144":1.1,"1008":1.0}"#,
        ),
        Some(("mempool", "", "")) => {
            let body = r#"{"count":0,"vsize":0,"total_fee":0,"fee_histogram":[]}"#;
            Response::json(200, body)
        }
        _ => not_found(path),
    }
}

struct View<'a> {
    ledger: &'a BitcoinLedger,
    tip: u64,
    wrong_chain: bool,
}

// === impl View ===

impl View<'_> {
    fn hash(&self, height: u64) -> String {
        match (height, self.wrong_chain) {
            (0, false) => self.ledger.genesis(),
            (0, true) if self.ledger.network == Network::Bitcoin => {
                super::ledger::genesis(Network::Testnet)
            }
            (0, true) => super::ledger::genesis(Network::Bitcoin),
            _ => self.ledger.blocks.hash(height),
        }
    }

    fn block(&self, hash: &str) -> Response {
        let known = if hash == self.hash(0) {
            Some(0)
        } else {
            self.ledger.blocks.height_of(hash)
        };
        let Some(height) = known.filter(|height| *height <= self.tip) else {
            return Response::text(404, "Block not found");
        };
        let before = height
            .checked_sub(1)
            .map(|before| quoted(&self.hash(before)));
        let before = before.unwrap_or_else(|| "null".to_owned());
        let time = self.ledger.blocks.time_s(height);
        let body = format!(
            r#"{{"id":"{hash}","height":{height},"timestamp":{time},"mediantime":{time},"previousblockhash":{before}}}"#
        );
        Response::json(200, body)
    }

    fn status(&self, txid: &str) -> String {
        let blocks = &self.ledger.blocks;
        let Some(height) = blocks.mined(txid, self.tip) else {
            return r#"{"confirmed":false}"#.to_owned();
        };
        let (hash, time) = (self.hash(height), blocks.time_s(height));
        format!(
            r#"{{"confirmed":true,"block_height":{height},"block_hash":"{hash}","block_time":{time}}}"#
        )
    }

    fn broadcast(&self, body: &[u8]) -> Response {
        let refused = |code: i64, message: &str| {
            let error = format!(r#"{{"code":{code},"message":"{message}"}}"#);
            Response::text(400, format!("sendrawtransaction RPC error: {error}"))
        };
        match broadcast::bitcoin_id(body) {
            None => refused(
                -22,
                "TX decode failed. Make sure the tx has at least one input.",
            ),
            Some(txid) if self.ledger.blocks.mined(&txid, self.tip).is_some() => {
                refused(-27, "Transaction outputs already in utxo set")
            }
            Some(txid) => Response::text(200, txid),
        }
    }

    fn script_hash(
        &self,
        hash: &str,
        rest: &str,
        path: &str,
        call: &Call,
        faults: &[Fault],
    ) -> Response {
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Response::text(400, "Invalid scripthash");
        }
        let mut known = self.ledger.addresses().filter_map(|(address, _)| {
            let script = parse_address(address, self.ledger.network).ok()?;
            (sha256::Hash::hash(script.as_bytes()).to_string() == hash).then_some(address)
        });
        // A script that nobody used has an address with the statistics of one.
        let address = known.next().unwrap_or(hash);
        self.statistics("scripthash", hash, address, rest, path, call, faults)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn statistics(
        &self,
        key: &str,
        asked: &str,
        address: &str,
        rest: &str,
        path: &str,
        call: &Call,
        faults: &[Fault],
    ) -> Response {
        let stats = self.ledger.stats_at(address, self.tip);
        match rest {
            "" => {
                let cell = call.cells.first();
                let fault = cell.and_then(|cell| on_cell(faults, call, cell));
                if fault == Some(&Kind::ItemError) {
                    return Response::text(
                        400,
                        "Too many history transactions (>500). Contact support to raise limits.",
                    );
                }
                Response::json(200, address_body(key, asked, stats, fault, call, faults))
            }
            "utxo" => Response::json(200, self.utxos(address, stats)),
            "txs" => Response::json(200, "[]"),
            _ => not_found(path),
        }
    }

    /// As many outputs as the statistics say are unspent, which together hold the balance.
    fn utxos(&self, address: &str, stats: Stats) -> String {
        let chain = stats.chain;
        let count = chain.funded_txo_count.saturating_sub(chain.spent_txo_count);
        let share = stats.confirmed().checked_div(count).unwrap_or(0);
        let outputs = (0..count).map(|index| {
            let rest = stats.confirmed() - share * count;
            let value = if index == 0 { share + rest } else { share };
            let txid = sha256::Hash::hash(format!("{address} {index}").as_bytes());
            let height = self.tip.saturating_sub(6);
            let (hash, time) = (self.hash(height), self.ledger.blocks.time_s(height));
            format!(
                r#"{{"txid":"{txid}","vout":0,"status":{{"confirmed":true,"block_height":{height},"block_hash":"{hash}","block_time":{time}}},"value":{value}}}"#
            )
        });
        let outputs: Vec<_> = outputs.collect();
        format!("[{}]", outputs.join(","))
    }
}

/// The parts of `/api/A/B/C`; absent parts are empty.
fn resource(path: &str) -> Option<(&str, &str, &str)> {
    let mut parts = path.strip_prefix("/api/")?.splitn(3, '/');
    let first = parts.next()?;
    Some((
        first,
        parts.next().unwrap_or(""),
        parts.next().unwrap_or(""),
    ))
}

fn not_found(path: &str) -> Response {
    let path = path.strip_prefix("/api").unwrap_or(path);
    Response::text(404, format!("endpoint does not exist \"{path}\""))
}

fn parse_address(text: &str, network: Network) -> Result<bitcoin::ScriptBuf, Response> {
    let address = bitcoin::Address::<NetworkUnchecked>::from_str(text)
        .map_err(|_| Response::text(400, "Invalid Bitcoin address"))?;
    let address = address
        .require_network(network)
        .map_err(|_| Response::text(400, "Address on invalid network"))?;
    Ok(address.script_pubkey())
}

fn address_body(
    key: &str,
    asked: &str,
    stats: Stats,
    fault: Option<&Kind>,
    call: &Call,
    faults: &[Fault],
) -> String {
    let mut chain = tally(stats.chain, fault);
    if fault == Some(&Kind::Null) {
        chain = "null".to_owned();
    }
    let mut body = format!(r#"{{"{key}":"{asked}","chain_stats":{chain}"#);
    if !has(faults, call, &Kind::Short) {
        let mempool = tally(stats.mempool, None);
        write!(body, r#","mempool_stats":{mempool}"#).expect("a string takes all");
    }
    body.push('}');
    if has(faults, call, &Kind::Uninvited) {
        // Another address's answer, as a confused cache gives it.
        body = body.replacen(asked, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", 1);
    }
    body
}

fn tally(tally: Tally, fault: Option<&Kind>) -> String {
    let sum = match fault {
        Some(Kind::Huge) => "18446744073709551616".to_owned(),
        Some(Kind::NumberAsText) => quoted(&tally.funded_txo_sum.to_string()),
        Some(Kind::Lie) => (tally.funded_txo_sum + 1).to_string(),
        _ => tally.funded_txo_sum.to_string(),
    };
    let Tally {
        funded_txo_count,
        spent_txo_count,
        spent_txo_sum,
        tx_count,
        ..
    } = tally;
    format!(
        r#"{{"funded_txo_count":{funded_txo_count},"funded_txo_sum":{sum},"spent_txo_count":{spent_txo_count},"spent_txo_sum":{spent_txo_sum},"tx_count":{tx_count}}}"#
    )
}

fn mempool_backend(path: &str, network: Network) -> Response {
    if path == "fees/recommended" {
        let body = r#"{"fastestFee":5,"halfHourFee":4,"hourFee":3,"economyFee":2,"minimumFee":1}"#;
        return Response::json(200, body);
    }
    if let Some(address) = path.strip_prefix("validate-address/") {
        let valid = parse_address(address, network).is_ok();
        let body = format!(r#"{{"isvalid":{valid},"address":{}}}"#, quoted(address));
        return Response::json(200, body);
    }
    not_found(&format!("/v1/{path}"))
}

/// The client-credentials flow of an enterprise host: `POST /HOST/token`, then a bearer token.
fn authorisation(request: &Request, host: &Host, path: &str, now_ms: i64) -> Option<Response> {
    let oauth2 = host.oauth2.as_ref()?;
    let life_ms = i64::from(oauth2.token_life_ms);
    if path == "/token" {
        let form = super::http::form_pairs(std::str::from_utf8(&request.body).unwrap_or(""));
        let given = |name: &str| {
            let mut pairs = form.iter();
            pairs
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let good = given("grant_type") == Some("client_credentials")
            && given("client_id") == Some(&oauth2.client_id)
            && given("client_secret") == Some(&oauth2.client_secret);
        if !good {
            let body = r#"{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}"#;
            return Some(Response::json(401, body));
        }
        let body = format!(
            r#"{{"access_token":"token-{now_ms}","expires_in":{},"refresh_expires_in":0,"token_type":"Bearer","not-before-policy":0,"scope":"openid"}}"#,
            life_ms / 1000
        );
        return Some(Response::json(200, body));
    }
    let token = request.header_value("authorization");
    let issued_ms = token.and_then(|token| token.strip_prefix("Bearer token-")?.parse().ok());
    let fresh = issued_ms
        .is_some_and(|issued: i64| (issued..issued.saturating_add(life_ms)).contains(&now_ms));
    (!fresh).then(|| Response::json(401, r#"{"error":"Unauthorized"}"#))
}
