//! The provider: natives in groups, tokens one by one.

use std::collections::HashMap;
use std::time::Duration;

use alloy::primitives::{Address, address};
use scanhost_evm::{self as evm, Decimals};
use scanhost_plugin_api::prelude::*;
use serde_json::Value;

use crate::options::Options;
use crate::wire;

/// Most addresses in one `balancemulti`.
const ADDRESSES_MAX: u32 = 20;
/// Multicall3, at one address on every chain that has it.
const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");
/// The data of Multicall3's `getChainId()`.
const GET_CHAIN_ID: [u8; 4] = [0x34, 0x08, 0xe4, 0x70];

/// One key's access to the explorer of one chain.
pub(crate) struct BscScan {
    /// The chain id in decimal, as requests name it.
    chain: u64,
    decimals: Decimals,
}

#[async_trait]
impl Provider for BscScan {
    type Options = Options;

    fn open(_host: Host, settings: Settings<Options>) -> Result<Self, Error> {
        Ok(Self {
            chain: chain_id(settings.identity.as_deref())?,
            decimals: Decimals::default(),
        })
    }

    fn caps(&self) -> Caps {
        Caps {
            native: true,
            tokens: true,
            // No answer tells its block, so that no height can be promised.
            pinned: false,
            min_height: false,
            derive: true,
            cells_per_call_max: ADDRESSES_MAX,
            addresses_per_call_max: ADDRESSES_MAX,
            // So that a call is either one request for natives, or one per cell of one token.
            assets_per_call_max: 1,
            cost: Cost {
                native_batch: 1,
                token_cell: 1,
                once_per_token: 1,
                ..Cost::default()
            },
            token_scope: Scope::Wallet,
            commitment_default: Commitment::Latest,
        }
    }

    fn validate_address(&self, address: &str) -> Result<String, Error> {
        evm::parse_address(address).map(|address| evm::canonical(&address))
    }

    async fn identity(&self, cx: &Cx) -> Result<String, Error> {
        let told = match self.proxy(cx, "eth_chainId").await {
            Ok(id) => evm::quantity(&id)?,
            // The action works but is in no list of the documentation; `eth_call` is.
            Err(error) if matches!(error.kind, ErrorKind::Unsupported | ErrorKind::Refused) => {
                let word = self.eth_call(cx, MULTICALL3, &GET_CHAIN_ID).await?;
                let word = evm::token_word(&MULTICALL3, &word)?;
                evm::quantity(&evm::hex(&word.0))?
            }
            Err(error) => return Err(error),
        };
        Ok(told.to_string())
    }

    async fn balances(&self, cx: &Cx, request: &Balances) -> Result<Readings, Error> {
        if request.commitment() != Commitment::Latest {
            let message = "the explorer reads at `latest` only";
            return Err(Error::unsupported(message));
        }
        let mut call = Call::new(cx, request);
        self.check_height(cx, request.min_height()).await?;
        let (natives, tokens): (Vec<_>, Vec<_>) = request
            .cells()
            .partition(|cell| cell.asset().contract.is_none());
        for cells in natives.chunks(ADDRESSES_MAX as usize) {
            self.natives(&mut call, cells).await;
        }
        for cell in tokens {
            let amount = self.token(&mut call, cell).await;
            call.settle(cell, amount);
        }
        call.end()
    }

    fn derive(&self, request: &Derive) -> Result<Derived, Error> {
        evm::derive(request)
    }
}

impl BscScan {
    /// The explorer's amounts bear no height; one that is behind as a whole is still found. It is
    /// no promise: what counts blocks and what knows balances may be two servers.
    async fn check_height(&self, cx: &Cx, min_height: u64) -> Result<(), Error> {
        if min_height == 0 {
            return Ok(());
        }
        let height = evm::quantity(&self.proxy(cx, "eth_blockNumber").await?)?;
        if height >= min_height {
            return Ok(());
        }
        let message = format!("the explorer is at {height}, asked for {min_height} or later");
        Err(Error::new(ErrorKind::Lagging, message))
    }

    /// Natives of at most 20 addresses, matched by account.
    async fn natives(&self, call: &mut Call<'_>, cells: &[Cell<'_>]) {
        let addresses: Vec<_> = cells.iter().map(Cell::address).collect();
        let balances = match call.may_ask() {
            Ok(()) => self.balance_multi(call.cx, &addresses).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &balances {
            call.failed(error);
        }
        for cell in cells {
            let amount = match &balances {
                Ok(balances) => balances
                    .get(cell.address())
                    .cloned()
                    .unwrap_or_else(|| Err(Error::missing("the answer left this address out"))),
                Err(error) => Err(error.clone()),
            };
            call.settle(*cell, amount);
        }
    }

    /// Balances by canonical address; a doubled account is missing.
    async fn balance_multi(
        &self,
        cx: &Cx,
        addresses: &[&str],
    ) -> Result<HashMap<String, Result<Amount, Error>>, Error> {
        let query = format!(
            "module=account&action=balancemulti&address={}&tag=latest",
            addresses.join(",")
        );
        let result = self.enveloped(cx, &query).await?;
        let Value::Array(items) = result else {
            let start: String = result.to_string().chars().take(80).collect();
            return Err(Error::malformed(format!("`{start}` instead of a list")));
        };
        let mut balances = HashMap::new();
        for item in items {
            let Some(account) = item["account"].as_str() else {
                return Err(Error::malformed("a balance without its account"));
            };
            let account = account.to_ascii_lowercase();
            let balance = match balances.contains_key(&account) {
                true => Err(Error::missing("the answer names this address twice")),
                false => wire::text(item["balance"].clone())
                    .and_then(|balance| Amount::from_decimal(&balance)),
            };
            balances.insert(account, balance);
        }
        match addresses
            .iter()
            .any(|address| balances.contains_key(*address))
        {
            true => Ok(balances),
            false => Err(Error::malformed("the answer names none of the addresses")),
        }
    }

    async fn token(&self, call: &mut Call<'_>, cell: Cell<'_>) -> Result<Amount, Error> {
        let asset = cell.asset();
        let contract = asset.contract.unwrap_or_default();
        let token = evm::parse_address(contract).map_err(|error| {
            let message = format!("`{contract}` is not a contract: {error}; correct the asset");
            Error::new(ErrorKind::Refused, message)
        })?;
        let decimals = self.decimals(call, token).await?;
        evm::check_decimals(&token, asset.decimals, decimals)?;
        call.may_ask()?;
        let query = format!(
            "module=account&action=tokenbalance&contractaddress={}&address={}&tag=latest",
            evm::canonical(&token),
            cell.address()
        );
        let result = self.enveloped(call.cx, &query).await;
        let amount = result
            .and_then(wire::text)
            .and_then(|text| Amount::from_decimal(&text));
        amount.inspect_err(|error| call.failed(error))
    }

    /// From the chain, once per contract; a failure stands for the rest of the call. Without code
    /// there is no token, whatever balance the explorer would tell.
    async fn decimals(&self, call: &mut Call<'_>, token: Address) -> Result<u8, Error> {
        if let Some(decimals) = self.decimals.get(&token) {
            return Ok(decimals);
        }
        if let Some(error) = call.no_decimals.get(&token) {
            return Err(error.clone());
        }
        call.may_ask()?;
        let returned = self.eth_call(call.cx, token, &evm::decimals()).await;
        let learned = returned
            .inspect_err(|error| {
                // What the contract refuses is no failure of the explorer.
                if error.kind != ErrorKind::Refused {
                    call.failed(error);
                }
            })
            .and_then(|returned| evm::token_word(&token, &returned))
            .and_then(|word| self.decimals.learn(token, &word));
        learned.map_err(|error| {
            let error = Error {
                message: format!("the token's decimals were not read: {error}"),
                ..error
            };
            call.no_decimals.insert(token, error.clone());
            error
        })
    }

    async fn eth_call(&self, cx: &Cx, target: Address, data: &[u8]) -> Result<Vec<u8>, Error> {
        let target = evm::canonical(&target);
        let action = format!("eth_call&to={target}&data={}&tag=latest", evm::hex(data));
        evm::data(&self.proxy(cx, &action).await?)
    }

    async fn proxy(&self, cx: &Cx, action: &str) -> Result<String, Error> {
        let path = self.path(&format!("module=proxy&action={action}"));
        wire::proxied(cx.get(&path).await?)
    }

    async fn enveloped(&self, cx: &Cx, query: &str) -> Result<Value, Error> {
        let answered = wire::enveloped(cx.get(&self.path(query)).await?)?;
        if let Some(remark) = answered.remark {
            let message = format!("the explorer answers, but remarks `{remark}`");
            cx.host().log(LogLevel::WARN, &message);
        }
        Ok(answered.result)
    }

    fn path(&self, query: &str) -> String {
        format!("?chainid={}&{query}", self.chain)
    }
}

/// The readings of one call, and whether it makes sense to ask on.
struct Call<'a> {
    cx: &'a Cx,
    started_ms: u64,
    readings: Readings,
    answered: bool,
    /// The first request that failed, whatever it asked.
    failure: Option<Error>,
    /// The failure that the next request would only repeat.
    stopped: Option<Error>,
    no_decimals: HashMap<Address, Error>,
}

impl<'a> Call<'a> {
    fn new(cx: &'a Cx, request: &Balances) -> Self {
        Self {
            cx,
            started_ms: cx.host().monotonic_ms(),
            readings: Readings::new(request),
            answered: false,
            failure: None,
            stopped: None,
            no_decimals: HashMap::new(),
        }
    }

    /// Refuses the next request once the provider failed, or the time is better spent on telling
    /// what was answered: a call that the host gives up loses all of it.
    fn may_ask(&self) -> Result<(), Error> {
        if let Some(error) = &self.stopped {
            return Err(error.clone());
        }
        let now_ms = self.cx.host().monotonic_ms();
        let spent = Duration::from_millis(now_ms.saturating_sub(self.started_ms));
        match self.answered && spent > self.cx.deadline() / 2 {
            true => Err(Error::missing(
                "not asked: the time of the call was spent on the cells before",
            )),
            false => Ok(()),
        }
    }

    fn failed(&mut self, error: &Error) {
        let of_this_cell = matches!(
            error.kind,
            ErrorKind::Refused | ErrorKind::Malformed | ErrorKind::Missing | ErrorKind::Unsupported
        );
        if !of_this_cell {
            self.stopped.get_or_insert_with(|| error.clone());
        }
        self.failure.get_or_insert_with(|| error.clone());
    }

    fn settle(&mut self, cell: Cell<'_>, amount: Result<Amount, Error>) {
        self.answered |= amount.is_ok();
        self.readings.settle(cell, amount);
    }

    fn end(self) -> Result<Readings, Error> {
        match self.failure {
            Some(error) if !self.answered => Err(error),
            _ => Ok(self.readings),
        }
    }
}

fn chain_id(identity: Option<&str>) -> Result<u64, Error> {
    let fault = |message: String| Error::new(ErrorKind::PluginFault, message);
    let Some(identity) = identity else {
        return Err(fault(
            "the chain has no `identity`, and every request must name the chain's id: \
             set it, as identity = \"56\" for BNB Smart Chain"
                .to_owned(),
        ));
    };
    let digits = !identity.is_empty() && identity.bytes().all(|byte| byte.is_ascii_digit());
    let id = identity.parse().ok().filter(|_| digits);
    id.ok_or_else(|| {
        fault(format!(
            "the chain's `identity` is `{identity}`: an EVM chain's is its id in decimal, \
             as \"56\" for BNB Smart Chain"
        ))
    })
}
