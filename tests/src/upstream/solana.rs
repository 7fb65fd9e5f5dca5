//! A Solana node's JSON-RPC.

mod account;

use serde_json::Value;
use solana_pubkey::Pubkey;

use self::account::{Account, Encoding, Form, TOKEN_ACCOUNT_RENT, lamports_json};
use super::asked::{Asked, Call, Cell, CellClass};
use super::broadcast;
use super::faults::{Fault, Kind, has, on_call, on_cell};
use super::host::Host;
use super::http::{Request, Response};
use super::ledger::{SolanaLedger, TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use super::rpc::{self, Dialect, Raw, RpcCall, RpcError, quoted};

const BODY_MAX: usize = 50 * 1024;
const API_VERSION: &str = "2.1.21";
/// Slots from the newest to the newest confirmed and finalized ones.
const CONFIRMED_SLOTS: u64 = 1;
const FINALIZED_SLOTS: u64 = 32;
/// How long a blockhash, and a recent status, is known.
const BLOCKHASH_BLOCKS: u64 = 150;
const SIGNATURES_MAX: usize = 256;

pub(crate) fn inspect(request: &Request, ledger: &SolanaLedger) -> Asked {
    rpc::inspect(request, |method, params| look(method, params, ledger))
}

pub(crate) fn answer(
    request: &Request,
    host: &Host,
    ledger: &SolanaLedger,
    faults: &[Fault],
    now_ms: i64,
) -> Response {
    let dialect = Dialect {
        id_last: true,
        body_max: BODY_MAX,
        batch_max: host.batch_max,
        usual_error: (-32603, "Internal error"),
        rate_error: (429, "Too many requests for a specific RPC call"),
    };
    let look = |method: &str, params: &[Value]| look(method, params, ledger);
    rpc::serve(request, &dialect, faults, look, |call| {
        let node = Node::new(call, host, ledger, faults, now_ms);
        node.answer(call)
    })
}

/// 429 of the public nodes.
pub(crate) fn rate_answer() -> Response {
    let body = r#"{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests for a specific RPC call"},"id":null}"#;
    Response::json(429, body)
}

fn look(method: &str, params: &[Value], ledger: &SolanaLedger) -> Call {
    let mut call = Call::bare(method);
    let first = params.first();
    match method {
        "getMultipleAccounts" => {
            let keys = first.and_then(Value::as_array).into_iter().flatten();
            let keys = keys.filter_map(Value::as_str);
            call.cells = keys.map(|key| cell_of(key, ledger)).collect();
        }
        "getBalance" | "getAccountInfo" => {
            let key = first.and_then(Value::as_str);
            call.cells.extend(key.map(|key| cell_of(key, ledger)));
        }
        "getTokenAccountsByOwner" => {
            let owner = first.and_then(Value::as_str);
            call.cells
                .extend(owner.map(|owner| Cell::new(CellClass::Token, owner)));
        }
        _ => {}
    }
    call
}

/// Wallets are points on the curve, derived accounts are not.
fn cell_of(key: &str, ledger: &SolanaLedger) -> Cell {
    let class = match key.parse::<Pubkey>() {
        Ok(pubkey) if ledger.mint(&pubkey).is_some() => CellClass::Other,
        Ok(pubkey) if ledger.account(&pubkey).is_some() => CellClass::Token,
        Ok(pubkey) if ledger.lamports.contains_key(&pubkey) => CellClass::Native,
        Ok(pubkey) if !pubkey.is_on_curve() => CellClass::Token,
        _ => CellClass::Native,
    };
    Cell::new(class, key)
}

struct Node<'a> {
    host: &'a Host,
    ledger: &'a SolanaLedger,
    faults: &'a [Fault],
    asked: &'a Call,
    head: u64,
}

// === impl Node ===

impl<'a> Node<'a> {
    fn new(
        call: &'a RpcCall,
        host: &'a Host,
        ledger: &'a SolanaLedger,
        faults: &'a [Fault],
        now_ms: i64,
    ) -> Self {
        let asked = &call.asked;
        let behind = on_call(faults, asked, |kind| match kind {
            Kind::Behind { blocks } => Some(*blocks),
            _ => None,
        });
        let head = ledger.blocks.height_at(now_ms);
        Self {
            host,
            ledger,
            faults,
            asked,
            head: head.saturating_sub(behind.unwrap_or(0)),
        }
    }

    fn answer(&self, call: &RpcCall) -> Result<Raw, RpcError> {
        let params = &call.params;
        match call.method.as_str() {
            "getGenesisHash" => Ok(quoted(self.genesis())),
            "getHealth" => Ok(quoted("ok")),
            "getVersion" => Ok(format!(
                r#"{{"feature-set":3271415109,"solana-core":"{API_VERSION}"}}"#
            )),
            "getSlot" | "getBlockHeight" => Ok(self.slot(params.first())?.to_string()),
            "getBalance" => self.get_balance(params),
            "getAccountInfo" => {
                let key = pubkey(params.first())?;
                let form = Form::of(params.get(1), Encoding::Base58)?;
                let slot = self.slot(params.get(1))?;
                let account = self.account_json(&key, self.asked.cells.first(), &form, slot)?;
                Ok(with_context(slot, &account))
            }
            "getMultipleAccounts" => self.get_multiple(params),
            "getTokenAccountsByOwner" => self.get_by_owner(params),
            "getLatestBlockhash" => self.latest_blockhash(params),
            "getSignatureStatuses" => self.signature_statuses(params),
            "sendTransaction" => match broadcast::solana_id(params) {
                Some(signature) => Ok(quoted(&signature)),
                None => Err(RpcError::params("failed to deserialize the transaction")),
            },
            _ => Err(RpcError::new(-32601, "Method not found")),
        }
    }

    fn genesis(&self) -> &str {
        let wrong = has(self.faults, self.asked, &Kind::WrongChain);
        match (wrong, self.ledger.genesis.as_str()) {
            (false, genesis) => genesis,
            (true, SolanaLedger::MAINNET_GENESIS) => SolanaLedger::DEVNET_GENESIS,
            (true, _) => SolanaLedger::MAINNET_GENESIS,
        }
    }

    /// The slot of the bank that the options mean.
    fn slot(&self, options: Option<&Value>) -> Result<u64, RpcError> {
        let option = |name: &str| options.and_then(|options| options.get(name));
        let behind = match option("commitment").and_then(Value::as_str) {
            Some("processed") => 0,
            Some("confirmed") => CONFIRMED_SLOTS,
            None | Some("finalized") => FINALIZED_SLOTS,
            Some(other) => {
                let message = format!(
                    "Invalid params: unknown variant `{other}`, expected one of `processed`, `confirmed`, `finalized`."
                );
                return Err(RpcError::params(message));
            }
        };
        let slot = self.head.saturating_sub(behind);
        match option("minContextSlot").and_then(Value::as_u64) {
            Some(least) if least > slot => {
                let message = "Minimum context slot has not been reached";
                let data = format!(r#"{{"contextSlot":{slot}}}"#);
                Err(RpcError::new(-32016, message).with_data(data))
            }
            _ => Ok(slot),
        }
    }

    fn get_balance(&self, params: &[Value]) -> Result<Raw, RpcError> {
        let key = pubkey(params.first())?;
        let slot = self.slot(params.get(1))?;
        let fault = self.fault(self.asked.cells.first())?;
        let account = self.faulty(&key, fault, slot);
        let lamports = account.map_or(0, |account| account.lamports);
        Ok(with_context(slot, &lamports_json(lamports, fault)))
    }

    fn get_multiple(&self, params: &[Value]) -> Result<Raw, RpcError> {
        let keys = params.first().and_then(Value::as_array);
        let keys = keys.ok_or_else(|| RpcError::params("Invalid params: invalid type"))?;
        let max = self.host.accounts_max;
        if keys.len() > max {
            return Err(RpcError::params(format!(
                "Too many inputs provided; max {max}"
            )));
        }
        let keys: Vec<Pubkey> = keys
            .iter()
            .map(|key| pubkey(Some(key)))
            .collect::<Result<_, _>>()?;
        let form = Form::of(params.get(1), Encoding::Base64)?;
        let slot = self.slot(params.get(1))?;
        if self.has(&Kind::Null) {
            return Ok(with_context(slot, "null"));
        }
        let accounts = keys.iter().zip(&self.asked.cells);
        let accounts = accounts.map(|(key, cell)| self.account_json(key, Some(cell), &form, slot));
        let accounts: Vec<Raw> = accounts.collect::<Result<_, _>>()?;
        let accounts = self.list(accounts, || Account::wallet(1).json(&form, None));
        Ok(with_context(slot, &accounts?))
    }

    fn get_by_owner(&self, params: &[Value]) -> Result<Raw, RpcError> {
        let owner = pubkey(params.first())?;
        let filter = |name: &str| params.get(1).and_then(|filter| filter.get(name));
        let (mint, program) = match (filter("mint"), filter("programId")) {
            (Some(mint), None) => (Some(pubkey(Some(mint))?), None),
            (None, Some(program)) => (None, Some(pubkey(Some(program))?)),
            _ => {
                return Err(RpcError::params(
                    "Invalid params: expected `mint` or `programId`",
                ));
            }
        };
        if mint.is_some_and(|mint| self.ledger.mint(&mint).is_none()) {
            return Err(RpcError::params("Invalid param: could not find mint"));
        }
        let known = program.is_none_or(|id| id == TOKEN_PROGRAM || id == TOKEN_2022_PROGRAM);
        if !known {
            return Err(RpcError::params(
                "Invalid param: unrecognized Token program id",
            ));
        }
        let form = Form::of(params.get(2), Encoding::Base64)?;
        let slot = self.slot(params.get(2))?;
        if self.has(&Kind::Null) {
            return Ok(with_context(slot, "null"));
        }
        let accounts = self.ledger.accounts_of(&owner).filter(|(key, account)| {
            let exists = self.ledger.account_at(key, slot).is_some();
            let its_program = self.ledger.mint(&account.mint).map(|mint| mint.program);
            exists
                && mint.is_none_or(|mint| mint == account.mint)
                && (program.is_none() || program == its_program)
        });
        let keyed =
            |key: Pubkey, account: Raw| format!(r#"{{"account":{account},"pubkey":"{key}"}}"#);
        let accounts = accounts.map(|(key, _)| {
            let account = self.account_json(&key, self.asked.cells.first(), &form, slot)?;
            Ok(keyed(key, account))
        });
        let accounts: Vec<Raw> = accounts.collect::<Result<_, RpcError>>()?;
        let accounts = self.list(accounts, || {
            let key = Pubkey::new_from_array([0xee; 32]);
            Ok(keyed(key, Account::wallet(1).json(&form, None)?))
        });
        Ok(with_context(slot, &accounts?))
    }

    fn latest_blockhash(&self, params: &[Value]) -> Result<Raw, RpcError> {
        let slot = self.slot(params.first())?;
        let hash = hex::decode(self.ledger.blocks.hash(slot)).unwrap_or_default();
        let hash = bitcoin::base58::encode(&hash);
        let last = slot + BLOCKHASH_BLOCKS;
        let value = format!(r#"{{"blockhash":"{hash}","lastValidBlockHeight":{last}}}"#);
        Ok(with_context(slot, &value))
    }

    fn signature_statuses(&self, params: &[Value]) -> Result<Raw, RpcError> {
        let signatures = params.first().and_then(Value::as_array);
        let signatures = signatures.map(Vec::as_slice).unwrap_or_default();
        if signatures.len() > SIGNATURES_MAX {
            let message = format!("Too many inputs provided; max {SIGNATURES_MAX}");
            return Err(RpcError::params(message));
        }
        let search = params
            .get(1)
            .and_then(|options| options.get("searchTransactionHistory"));
        let search = search.and_then(Value::as_bool).unwrap_or(false);
        let statuses = signatures.iter().map(|signature| {
            let signature = signature.as_str().unwrap_or_default();
            self.signature_status(signature, search)
        });
        let statuses: Vec<Raw> = statuses.collect();
        let statuses = self.list(statuses, || Ok("null".to_owned()))?;
        Ok(with_context(self.head, &statuses))
    }

    /// `null` for what is unknown, not landed yet, or too old for the recent statuses.
    fn signature_status(&self, signature: &str, search: bool) -> Raw {
        let blocks = &self.ledger.blocks;
        let slot = blocks.mined(signature, self.head);
        let age = slot.map(|slot| self.head - slot);
        let (Some(slot), Some(age)) = (slot, age.filter(|age| search || *age < BLOCKHASH_BLOCKS))
        else {
            return "null".to_owned();
        };
        let (confirmations, word) = match age {
            0 => ("0".to_owned(), "processed"),
            age if age < FINALIZED_SLOTS => (age.to_string(), "confirmed"),
            _ => ("null".to_owned(), "finalized"),
        };
        let error = r#"{"InstructionError":[0,{"Custom":1}]}"#;
        let reverted = blocks
            .transactions
            .get(signature)
            .is_some_and(|known| known.reverted);
        let (err, status) = match reverted {
            true => (error, format!(r#"{{"Err":{error}}}"#)),
            false => ("null", r#"{"Ok":null}"#.to_owned()),
        };
        format!(
            r#"{{"slot":{slot},"confirmations":{confirmations},"err":{err},"status":{status},"confirmationStatus":"{word}"}}"#
        )
    }

    fn list(
        &self,
        mut items: Vec<Raw>,
        uninvited: impl Fn() -> Result<Raw, RpcError>,
    ) -> Result<Raw, RpcError> {
        if self.has(&Kind::Short) {
            items.pop();
        }
        if let (true, Some(first)) = (self.has(&Kind::Doubled), items.first()) {
            items.push(first.clone());
        }
        if self.has(&Kind::Uninvited) {
            items.push(uninvited()?);
        }
        Ok(format!("[{}]", items.join(",")))
    }

    fn has(&self, kind: &Kind) -> bool {
        has(self.faults, self.asked, kind)
    }

    fn fault(&self, cell: Option<&Cell>) -> Result<Option<&Kind>, RpcError> {
        let fault = cell.and_then(|cell| on_cell(self.faults, self.asked, cell));
        match fault {
            Some(Kind::ItemError) => Err(RpcError::params("Invalid param: WrongSize")),
            fault => Ok(fault),
        }
    }

    fn account_json(
        &self,
        key: &Pubkey,
        cell: Option<&Cell>,
        form: &Form,
        slot: u64,
    ) -> Result<Raw, RpcError> {
        let fault = self.fault(cell)?;
        match self.faulty(key, fault, slot) {
            Some(account) => account.json(form, fault),
            None => Ok("null".to_owned()),
        }
    }

    fn faulty(&self, key: &Pubkey, fault: Option<&Kind>, slot: u64) -> Option<Account> {
        let Some(mut token) = self.ledger.account_at(key, slot) else {
            let mut account = self.account(key, slot)?;
            if fault == Some(&Kind::Lie) {
                account.lamports = account.lamports.saturating_add(1);
            }
            return Some(account);
        };
        let mint = self.ledger.mint(&token.mint)?;
        match fault {
            Some(Kind::WrongOwner) => token.owner = Pubkey::new_from_array([0xee; 32]),
            Some(Kind::WrongMint) => token.mint = Pubkey::new_from_array([0xee; 32]),
            Some(Kind::NotATokenAccount) => return Some(Account::wallet(TOKEN_ACCOUNT_RENT)),
            Some(Kind::Lie) => token.amount = token.amount.saturating_add(1),
            _ => {}
        }
        let mut account = Account::token(&token, mint);
        if fault == Some(&Kind::EmptyReturnData) {
            account.data.clear();
        }
        Some(account)
    }

    /// An account that is no token account.
    fn account(&self, key: &Pubkey, slot: u64) -> Option<Account> {
        if let Some(mint) = self.ledger.mint(key) {
            let wrong = self.faults.iter().find_map(|fault| match fault.what {
                Kind::WrongDecimals { decimals } => Some(decimals),
                _ => None,
            });
            let decimals = wrong.unwrap_or(mint.decimals);
            return Some(Account::mint(mint, decimals, self.ledger.supply(key)));
        }
        self.ledger.lamports_at(key, slot).map(Account::wallet)
    }
}

fn with_context(slot: u64, value: &str) -> Raw {
    format!(r#"{{"context":{{"apiVersion":"{API_VERSION}","slot":{slot}}},"value":{value}}}"#)
}

fn pubkey(value: Option<&Value>) -> Result<Pubkey, RpcError> {
    let text = value.and_then(Value::as_str);
    let text = text.ok_or_else(|| RpcError::params("Invalid params: invalid type"))?;
    text.parse::<Pubkey>().map_err(|_| {
        let base58 = bitcoin::base58::decode(text).is_ok();
        let reason = if base58 { "WrongSize" } else { "Invalid" };
        RpcError::params(format!("Invalid param: {reason}"))
    })
}
