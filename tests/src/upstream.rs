//! The upstream simulator: one pure function that answers like five kinds of servers.
//!
//! [`answer`] takes a request, the host that it goes to, the ledger behind the host, the faults
//! that happen to it and the time, and gives the response: no I/O, no clock, no waiting. Delays,
//! hangs and broken connections are values in the [`Response`] that the caller carries out.
//! [`World`] puts names, request logs and counted faults around it; [`server`] carries it over
//! HTTP. A plugin's test drives a world in process:
//!
//! ```
//! use scanhost_tests::upstream::{Fault, HostKind, Kind, Ledger, Request, World};
//!
//! let seeded = Ledger::seeded_bsc(7, 100);
//! let mut world = World::new()
//!     .with_ledger("bsc", seeded.ledger.clone())
//!     .with_host("bsc-a", HostKind::Evm, "bsc")
//!     .with_fault(Fault::at("bsc-a", Kind::EmptyObject).nth(1..=1));
//! let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
//! let ask = Request::post_json("/bsc-a", body);
//! assert_eq!(world.handle(&ask, 0).body_text(), "{}");
//! let expected = r#"{"jsonrpc":"2.0","id":1,"result":"0x38"}"#;
//! assert_eq!(world.handle(&ask, 0).body_text(), expected);
//! ```
//!
//! # Endpoints
//!
//! The first segment of the path names the host. `endpoint` in TOML is then:
//!
//! | kind | endpoint | answers |
//! |---|---|---|
//! | [`HostKind::Esplora`] | `http://…/NAME/api` | `address/A`, `address/A/utxo`, `scripthash/H`, `blocks/tip/height`, `blocks/tip/hash`, `block-height/N`, `block/HASH`, `tx/ID`, `tx/ID/status`, `POST tx`, `fee-estimates`, `mempool`; with `oauth2` also `POST /NAME/token` |
//! | [`HostKind::Mempool`] | `http://…/NAME/api` | the same, and `v1/fees/recommended`, `v1/validate-address/A` |
//! | [`HostKind::Etherscan`] | `http://…/NAME/v2/api` | `account`: `balance`, `balancemulti`, `tokenbalance`; `transaction`: `gettxreceiptstatus`; `proxy`: the EVM methods but `eth_getBalance` |
//! | [`HostKind::Evm`] | `http://…/NAME` | `eth_chainId`, `net_version`, `eth_blockNumber`, `eth_getBalance`, `eth_getCode`, `eth_call`, `eth_getBlockByNumber`, `eth_getTransactionCount`, `eth_sendRawTransaction`, `eth_getTransactionReceipt`, `eth_getTransactionByHash` |
//! | [`HostKind::Solana`] | `http://…/NAME` | `getMultipleAccounts`, `getAccountInfo`, `getBalance`, `getTokenAccountsByOwner`, `getGenesisHash`, `getSlot`, `getBlockHeight`, `getHealth`, `getVersion`, `getLatestBlockhash`, `sendTransaction`, `getSignatureStatuses` |
//!
//! An address of which the ledger was told nothing is a real zero: zero statistics, `0x0`, `"0"`,
//! or on Solana an account that does not exist. A contract without code answers `0x`, and in
//! Multicall3 `(true, 0x)`. The state of a chain is the same at every height, unless a ledger's
//! `change` lets a block change it: then each height, slot and tip has the amounts that were so.
//!
//! A transaction handed in is in the block after the height at which it came; what it moves is not
//! looked at, so balances stay as told. [`World::handle`] keeps it when the answer was given, also
//! when the answer then is cut on the wire: the uncertain case of a broadcast.
//!
//! # Faults
//!
//! A fault happens where the table has a mark and is ignored elsewhere: *w* whole response,
//! *c* one JSON-RPC call, *l* a list, *i* single items.
//!
//! | [`Kind`] | Esplora | Etherscan | EVM | Solana | form |
//! |---|---|---|---|---|---|
//! | `Status`, `RateLimit`, `Redirect` | w | w | w | w | 429 has the body that the host is known for |
//! | `Delay`, `Hang`, `Reset`, `CutOnWire` | w | w | w | w | [`Response::delay`], [`Ending`] |
//! | `EmptyObject`, `Html`, `Truncated` | w | w | w | w | HTTP 200 |
//! | `RateLimitText` | w | w | c | c | the notice; `Max calls per sec …`; −32005; code 429 |
//! | `ErrorIn200` | w | w | c | c | `{"error"}`; `Query Timeout occured…`; −32000 `header not found`; −32603 |
//! | `NoSuchMethod` | | w | c | c | invalid action; −32601 |
//! | `Short` | w | l | l | l | no `mempool_stats`; the last entry, reply or value is missing |
//! | `Reordered` | | l | l | l | `balancemulti` and batches; what is positional stays as it is |
//! | `Doubled` | | l | l | l | the first entry again at the end |
//! | `Uninvited` | w | l | l | l | another address's answer; an entry too many; a single reply has a foreign id |
//! | `WrongChain` | w | w | c | c | block 0, `eth_chainId`, `net_version`, the canary `getChainId()`, `getGenesisHash` |
//! | `Behind` | w | w | c | c | heights, slots, canaries, and the amounts of then |
//! | `ForgottenAsEmpty` | | | c | | a state of more than `states_kept` blocks ago holds nothing and has no code; `missing trie node …` without it |
//! | `Null` | w | i | c | c | `chain_stats`, `balance`, `result`, `value` is `null` |
//! | `NumberAsText` | i | i | i | i | sums as text; hex; decimal digits or an ABI string; lamports as text, data as digits |
//! | `TextAsNumber` | | i | c | | a JSON number |
//! | `Huge` | i | i | i | i | 2^64 sats; above 2^256; 257 bits or 33 bytes; 2^64 lamports |
//! | `Lie` | i | i | i | i | one unit too many |
//! | `EmptyReturnData` | | i | i | i | `""`; `0x`, also for canaries unless the selector names a class; a token account without data |
//! | `ItemError` | w | i | i | c | 400 with text; a left out entry (`NOTOK` for a single one); −32000 or `(false, reason)`; −32602 for the whole call |
//! | `WrongDecimals` | | | i | i | `decimals()`; the mint |
//! | `WrongOwner`, `WrongMint`, `NotATokenAccount` | | | | i | existing token accounts |
//!
//! A selector's `asset` and `address` narrow a fault to requests with such a cell, and faults of
//! items to those cells. For a list or a call, one such cell is enough.

mod asked;
mod broadcast;
mod demo;
mod esplora;
mod etherscan;
mod evm;
mod faults;
mod host;
mod http;
mod ledger;
mod rpc;
pub mod server;
mod solana;
mod world;

#[cfg(test)]
mod tests;

pub use self::asked::{Asked, Call, Cell, CellClass};
pub use self::demo::{Demo, WriteDemoError};
pub use self::evm::MULTICALL3;
pub use self::faults::{BodyForm, Fault, Faults, Kind, RetryAfter, Selector};
pub use self::host::{Host, HostKind, Oauth2, Window};
pub use self::http::{Ending, Request, Response};
pub use self::ledger::{
    ATA_PROGRAM, BitcoinLedger, Blocks, EvmLedger, Ledger, Mint, Seeded, SeededAsset, SolanaLedger,
    Stats, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, Tally, Token, TokenAccount, Transaction,
    associated_account,
};
pub use self::server::Upstream;
pub use self::world::{CellCounts, Counters, LogEntry, ReadWorldError, World};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a request asks of a host.
#[must_use]
pub fn inspect(request: &Request, host: &Host, ledger: &Ledger) -> Asked {
    match (host.kind, ledger) {
        (HostKind::Esplora | HostKind::Mempool, _) => esplora::inspect(request),
        (HostKind::Etherscan, _) => etherscan::inspect(request),
        (HostKind::Solana, Ledger::Solana(ledger)) => solana::inspect(request, ledger),
        _ => evm::inspect(request),
    }
}

/// Answers a request to a host over a ledger with all of these faults, at a time in milliseconds
/// since 1970.
///
/// Whether a fault is due is not judged again: [`Faults::due`] did that.
#[must_use]
pub fn answer(
    request: &Request,
    host: &Host,
    ledger: &Ledger,
    faults: &[Fault],
    now_ms: i64,
) -> Response {
    let before = faults
        .iter()
        .find_map(|fault| instead(&fault.what, host, now_ms));
    let mut response = before.unwrap_or_else(|| {
        let response = match (host.kind, ledger) {
            (HostKind::Esplora | HostKind::Mempool, Ledger::Bitcoin(ledger)) => {
                esplora::answer(request, host, ledger, faults, now_ms)
            }
            (HostKind::Etherscan, Ledger::Evm(ledger)) => {
                etherscan::answer(request, host, ledger, faults, now_ms)
            }
            (HostKind::Evm, Ledger::Evm(ledger)) => {
                evm::answer(request, host, ledger, faults, now_ms)
            }
            (HostKind::Solana, Ledger::Solana(ledger)) => {
                solana::answer(request, host, ledger, faults, now_ms)
            }
            _ => Response::text(500, "this host has a ledger of another family"),
        };
        faults
            .iter()
            .fold(response, |response, fault| broken(response, &fault.what))
    });
    for fault in faults {
        if let Kind::Delay { ms } = fault.what {
            response.delay += Duration::from_millis(ms);
        }
    }
    response
}

/// What a fault gives in place of an answer.
fn instead(kind: &Kind, host: &Host, now_ms: i64) -> Option<Response> {
    let response = match kind {
        Kind::Status { code, body } => bare_status(*code, *body),
        Kind::Hang => Response::ending(Ending::Hang),
        Kind::Reset => Response::ending(Ending::Reset),
        Kind::Redirect { location } => Response::text(302, "").header("location", location.clone()),
        Kind::EmptyObject => Response::json(200, "{}"),
        Kind::Html => Response::html(200, gateway_page(200)),
        Kind::RateLimit { retry_after } => {
            let response = match host.kind {
                HostKind::Esplora | HostKind::Mempool => esplora::rate_answer(host),
                HostKind::Etherscan => etherscan::rate_answer(),
                HostKind::Evm => evm::rate_answer(),
                HostKind::Solana => solana::rate_answer(),
            };
            match retry_after {
                RetryAfter::None => response,
                RetryAfter::Seconds(seconds) => response.header("retry-after", seconds.to_string()),
                RetryAfter::HttpDate(seconds) => {
                    let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
                    let at: SystemTime = UNIX_EPOCH + now + Duration::from_secs(*seconds);
                    response.header("retry-after", httpdate::fmt_http_date(at))
                }
            }
        }
        _ => return None,
    };
    Some(response)
}

fn broken(mut response: Response, kind: &Kind) -> Response {
    let middle = response.body.len() / 2;
    match kind {
        Kind::Truncated => response.body.truncate(middle),
        Kind::CutOnWire => response.ending = Ending::Cut(middle),
        _ => {}
    }
    response
}

fn bare_status(code: u16, form: BodyForm) -> Response {
    match form {
        BodyForm::Empty => Response {
            status: code,
            headers: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            ending: Ending::Complete,
        },
        BodyForm::Html => Response::html(code, gateway_page(code)),
        BodyForm::Json => Response::json(code, format!(r#"{{"error":"{}"}}"#, phrase(code))),
        BodyForm::Text => Response::text(code, phrase(code)),
    }
}

fn gateway_page(code: u16) -> String {
    let title = format!("{code} {}", phrase(code));
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
}

fn phrase(code: u16) -> &'static str {
    let code = axum::http::StatusCode::from_u16(code).ok();
    code.and_then(|code| code.canonical_reason())
        .unwrap_or("Unknown")
}
