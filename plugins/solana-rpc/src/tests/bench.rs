//! The provider behind its ABI, over a ledger that answers as a node does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use scanhost_plugin_api::__private::{Adapter, abi};
use scanhost_plugin_api::Error;
use scanhost_plugin_api::test_kit::Kit;
use serde_json::{Value, json};
use solana_pubkey::Pubkey;

use crate::provider::SolanaRpc;
use crate::token::Mint;

pub(super) const ALICE: &str = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk";
pub(super) const BOB: &str = "7oPa2PHQdZmjSPqvpZN7MQxnC7Dcf3uL7oRqPdkEg2tz";
pub(super) const NOBODY: &str = "B8UwBUUnKwCyKuGMbFKWaG7exYdDk2ozZrPg72NyVbfj";
pub(super) const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
pub(super) const PYUSD: &str = "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo";
pub(super) const GENESIS: &str = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d";
pub(super) const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
pub(super) const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
pub(super) const SYSTEM: &str = "11111111111111111111111111111111";

/// What the chain holds, and how its node is set up.
#[derive(Clone)]
pub(super) struct Ledger {
    pub(super) slot: u64,
    pub(super) accounts_max: usize,
    pub(super) accounts: BTreeMap<String, Account>,
}

#[derive(Clone)]
pub(super) struct Account {
    pub(super) lamports: u64,
    pub(super) owner: &'static str,
    pub(super) data: Vec<u8>,
}

impl Account {
    fn json(&self, slice: &Value) -> Value {
        let offset = usize::try_from(slice["offset"].as_u64().unwrap()).unwrap();
        let length = usize::try_from(slice["length"].as_u64().unwrap()).unwrap();
        let data = self.data.get(offset..).unwrap_or_default();
        let data = &data[..data.len().min(length)];
        json!({
            "data": [BASE64_STANDARD.encode(data), "base64"],
            "executable": false,
            "lamports": self.lamports,
            "owner": self.owner,
            "rentEpoch": u64::MAX,
            "space": self.data.len(),
        })
    }
}

impl Ledger {
    /// Alice has 5 SOL, 7 USDC units and 9 PYUSD units; Bob has 1 lamport and no token account.
    pub(super) fn new() -> Self {
        let mut ledger = Self {
            slot: 335_501_794,
            accounts_max: 100,
            accounts: BTreeMap::new(),
        };
        ledger.put(ALICE, SYSTEM, 5_000_000_000, vec![]);
        ledger.put(BOB, SYSTEM, 1, vec![]);
        ledger.put(USDC, TOKEN, 1, mint_data(6));
        let mut extended = mint_data(6);
        extended.resize(165, 0);
        extended.extend([1, 0, 0, 0, 0]);
        ledger.put(PYUSD, TOKEN_2022, 1, extended);
        ledger.put(&associated(ALICE, USDC, TOKEN), TOKEN, 1, {
            holding_data(ALICE, USDC, 7)
        });
        let mut extended = holding_data(ALICE, PYUSD, 9);
        extended.extend([2, 0, 0, 0, 0]);
        let address = associated(ALICE, PYUSD, TOKEN_2022);
        ledger.put(&address, TOKEN_2022, 1, extended);
        ledger
    }

    pub(super) fn put(&mut self, at: &str, owner: &'static str, lamports: u64, data: Vec<u8>) {
        let account = Account {
            lamports,
            owner,
            data,
        };
        self.accounts.insert(at.to_owned(), account);
    }

    /// The account at an address that stands in this ledger.
    pub(super) fn at(&mut self, address: &str) -> &mut Account {
        self.accounts.get_mut(address).unwrap()
    }

    /// What the node answers to a request.
    pub(super) fn answer(&self, request: &Value) -> Value {
        let params = &request["params"];
        let result = match request["method"].as_str().unwrap() {
            "getGenesisHash" => Ok(json!(GENESIS)),
            "getMultipleAccounts" => self.multiple_accounts(params),
            "getTokenAccountsByOwner" => self.by_owner(params),
            other => Err(error(-32601, &format!("Method not found: {other}"))),
        };
        let mut reply = json!({"jsonrpc": "2.0", "id": request["id"]});
        match result {
            Ok(result) => reply["result"] = result,
            Err(error) => reply["error"] = error,
        }
        reply
    }

    fn multiple_accounts(&self, params: &Value) -> Result<Value, Value> {
        let addresses = params[0].as_array().unwrap();
        if addresses.len() > self.accounts_max {
            let message = format!("Too many inputs provided; max {}", self.accounts_max);
            return Err(error(-32602, &message));
        }
        let find = |address: &Value| {
            let account = self.accounts.get(address.as_str().unwrap());
            account.map(|account| account.json(&params[1]["dataSlice"]))
        };
        self.stamped(&params[1], addresses.iter().map(find).collect())
    }

    fn by_owner(&self, params: &Value) -> Result<Value, Value> {
        let wallet = bytes(params[0].as_str().unwrap());
        let mint = bytes(params[1]["mint"].as_str().unwrap());
        let owned = self.accounts.iter().filter(|(_, account)| {
            account.data.get(..32) == Some(&mint) && account.data.get(32..64) == Some(&wallet)
        });
        let keyed = |(address, account): (&String, &Account)| json!({"pubkey": address, "account": account.json(&params[2]["dataSlice"])});
        self.stamped(&params[2], owned.map(keyed).collect())
    }

    fn stamped(&self, config: &Value, value: Value) -> Result<Value, Value> {
        assert_eq!(config["encoding"], "base64");
        if config["minContextSlot"].as_u64() > Some(self.slot) {
            return Err(error(-32016, "Minimum context slot has not been reached"));
        }
        Ok(json!({"context": {"apiVersion": "2.1.21", "slot": self.slot}, "value": value}))
    }
}

pub(super) fn error(code: i64, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn bytes(address: &str) -> [u8; 32] {
    address.parse::<Pubkey>().unwrap().to_bytes()
}

pub(super) fn mint_data(decimals: u8) -> Vec<u8> {
    let mut data = vec![0; 82];
    data[44] = decimals;
    data[45] = 1;
    data
}

pub(super) fn holding_data(wallet: &str, mint: &str, amount: u64) -> Vec<u8> {
    let mut data = [bytes(mint), bytes(wallet)].concat();
    data.extend(amount.to_le_bytes());
    data.resize(165, 0);
    data[108] = 1;
    data
}

pub(super) fn associated(wallet: &str, mint: &str, program: &str) -> String {
    let mint = Mint {
        address: mint.parse().unwrap(),
        program: program.parse().unwrap(),
        decimals: 0,
    };
    let account = mint.associated(&wallet.parse().unwrap()).unwrap();
    account.to_string()
}

/// Status, headers and body of an answer.
pub(super) type Answer = (u16, Vec<(&'static str, &'static str)>, String);

/// What a reading says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Amount and slot.
    Known(u64, u64),
    Unknown(abi::ErrorKind),
    Invalid(abi::ErrorKind),
    /// No reading.
    Absent,
}

type Upstream = dyn Fn(&Value) -> Answer + Send + Sync;

struct Node {
    upstream: Box<Upstream>,
    requests: Mutex<Vec<Value>>,
    now_ms: AtomicU64,
}

impl abi::HostServices for Node {
    fn http(
        &self,
        _call: abi::CallContext,
        request: abi::HttpRequest,
    ) -> abi::BoxFuture<Result<abi::HttpResponse, abi::AbiError>> {
        assert_eq!(request.method, abi::HttpMethod::POST);
        assert_eq!(request.path, "", "the request goes to the endpoint itself");
        let request: Value = serde_json::from_slice(&request.body).unwrap();
        let (status, headers, body) = (self.upstream)(&request);
        self.requests.lock().unwrap().push(request);
        let headers = headers.into_iter();
        let response = abi::HttpResponse {
            status,
            headers: headers
                .map(|(name, value)| abi::Tuple2(name.into(), value.into()))
                .collect(),
            body: body.into_bytes().into(),
            reserved: [0; 4],
        };
        Box::pin(async move {
            // Others get their turn while the answer is under way.
            let mut polled = false;
            std::future::poll_fn(|context| match std::mem::replace(&mut polled, true) {
                true => std::task::Poll::Ready(()),
                false => {
                    context.waker().wake_by_ref();
                    std::task::Poll::Pending
                }
            })
            .await;
            match response.status {
                0 => Err(abi::AbiError::new(abi::ErrorKind::TIMEOUT, "no answer")),
                _ => Ok(response),
            }
        })
    }

    fn sleep(&self, _duration: Duration) -> abi::BoxFuture<()> {
        // Nothing that a test here waits for takes that long.
        Box::pin(std::future::pending())
    }

    fn unix_ms(&self) -> i64 {
        0
    }

    fn monotonic_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn log(&self, _level: abi::LogLevel, _message: &str) {}
}

/// An opened provider and what it asked.
pub(super) struct Bench {
    node: Arc<Node>,
    pub(super) provider: abi::ProviderObject,
}

impl Bench {
    pub(super) fn new(
        options: Value,
        upstream: impl Fn(&Value) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let node = Arc::new(Node {
            upstream: Box::new(upstream),
            requests: Mutex::default(),
            now_ms: AtomicU64::new(0),
        });
        let provider = open(node.clone(), "mainnet", options).unwrap();
        Self { node, provider }
    }

    /// Over a node in good order.
    pub(super) fn over(ledger: Ledger) -> Self {
        Self::with(json!({}), ledger)
    }

    pub(super) fn with(options: Value, ledger: Ledger) -> Self {
        Self::new(options, move |request| ok(&ledger.answer(request)))
    }

    /// Over a node whose answers to `method` are spoilt.
    pub(super) fn spoilt(
        options: Value,
        method: &'static str,
        spoil: impl Fn(&Value, Value) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let ledger = Ledger::new();
        Self::new(options, move |request| {
            let answer = ledger.answer(request);
            let mints = request["params"][0][0] == USDC;
            if request["method"] == method && !mints {
                return spoil(request, answer);
            }
            ok(&answer)
        })
    }

    pub(super) fn ask(&self, request: &Ask<'_>) -> Result<Vec<Read>, abi::AbiError> {
        run(self.asking(request))
    }

    pub(super) async fn asking(&self, request: &Ask<'_>) -> Result<Vec<Read>, abi::AbiError> {
        let cells = request.cells();
        let context = abi::CallContext {
            deadline_ms: 15_000,
            ..Default::default()
        };
        let answer = self.provider.balances(context, request.abi()).await;
        let mut reads = vec![Read::Absent; cells];
        for reading in answer.into_result()? {
            let cell = &mut reads[reading.cell as usize];
            assert_eq!(*cell, Read::Absent, "a cell was read twice");
            *cell = read(&reading);
        }
        Ok(reads)
    }

    pub(super) fn identity(&self) -> Result<String, abi::AbiError> {
        run(async {
            let identity = self.provider.identity(abi::CallContext::default()).await;
            identity.into_result().map(abi::RString::into_string)
        })
    }

    pub(super) fn advance(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap();
        self.node.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// The requests of a method so far.
    pub(super) fn requests(&self, method: &str) -> Vec<Value> {
        let requests = self.node.requests.lock().unwrap();
        let of_method = requests
            .iter()
            .filter(|request| request["method"] == method);
        of_method.cloned().collect()
    }
}

fn read(reading: &abi::Reading) -> Read {
    let kind = || match &reading.error {
        abi::RSome(error) => error.kind,
        abi::RNone => panic!("no reason"),
    };
    match reading.kind {
        abi::ReadingKind::KNOWN => {
            assert_eq!(reading.flags, abi::READING_HAS_HEIGHT);
            assert_eq!(reading.amount[..24], [0; 24]);
            let amount = reading.amount[24..].try_into().unwrap();
            Read::Known(u64::from_be_bytes(amount), reading.height)
        }
        abi::ReadingKind::UNKNOWN => Read::Unknown(kind()),
        abi::ReadingKind::INVALID => Read::Invalid(kind()),
        other => panic!("{other:?}"),
    }
}

/// Opens a provider over a node in good order.
pub(super) fn open_on(network: &str, options: Value) -> Result<abi::ProviderObject, abi::AbiError> {
    let ledger = Ledger::new();
    let node = Node {
        upstream: Box::new(move |request| ok(&ledger.answer(request))),
        requests: Mutex::default(),
        now_ms: AtomicU64::new(0),
    };
    open(Arc::new(node), network, options)
}

fn open(
    node: Arc<Node>,
    network: &str,
    options: Value,
) -> Result<abi::ProviderObject, abi::AbiError> {
    let settings = json!({
        "chain": "sol", "provider": "test", "network": network, "identity": null,
        "options": options,
    });
    let request = abi::OpenRequest {
        settings: settings.to_string().into(),
        reserved: [0; 4],
    };
    Adapter::<SolanaRpc>::open(abi::HostHandle::new(node), &request)
}

/// Runs a call to its end.
pub(super) fn run<T>(call: impl Future<Output = T>) -> T {
    let kit = Kit::new(|_| unreachable!("the node has a host of its own"));
    kit.run(|_| async { Ok::<_, Error>(call.await) }).unwrap()
}

/// A request for every pair of wallet and asset; no mint is SOL.
pub(super) struct Ask<'a> {
    pub(super) wallets: &'a [&'a str],
    pub(super) assets: &'a [(Option<&'a str>, u8)],
    pub(super) min_height: u64,
    pub(super) at_height: u64,
    pub(super) commitment: abi::Commitment,
}

impl<'a> Ask<'a> {
    pub(super) fn new(wallets: &'a [&'a str], assets: &'a [(Option<&'a str>, u8)]) -> Self {
        Self {
            wallets,
            assets,
            min_height: 0,
            at_height: 0,
            commitment: abi::Commitment::FINALIZED,
        }
    }

    fn cells(&self) -> usize {
        self.wallets.len() * self.assets.len()
    }

    fn abi(&self) -> abi::BalancesRequest {
        let assets = self.assets.iter().map(|(mint, decimals)| abi::AssetRef {
            contract: mint.map_or(abi::RNone, |mint| abi::RSome(mint.into())),
            decimals: *decimals,
            reserved: [0; 2],
        });
        let cells = (0..self.cells()).map(|cell| abi::CellRef {
            address: u32::try_from(cell / self.assets.len()).unwrap(),
            asset: u16::try_from(cell % self.assets.len()).unwrap(),
        });
        abi::BalancesRequest {
            addresses: self.wallets.iter().map(|wallet| (*wallet).into()).collect(),
            assets: assets.collect(),
            cells: cells.collect(),
            commitment: self.commitment,
            min_height: self.min_height,
            at_height: self.at_height,
            reserved: [0; 3],
        }
    }
}

pub(super) fn ok(body: &Value) -> Answer {
    (200, vec![], body.to_string())
}
