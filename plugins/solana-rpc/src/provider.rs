//! Cells in, `getMultipleAccounts` out, readings back.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};

use futures_util::future::{Either, select};
use scanhost_plugin_api::prelude::*;
use serde_json::json;
use solana_pubkey::Pubkey;

use crate::answers::Answers;
use crate::node::{self, Node};
use crate::options::{Options, TokenAccounts};
use crate::token::{HOLDING_SLICE, MINT_SLICE, Mint};
use crate::wire::{self, Account, View};

/// Cells of a call when each token cell is a request: at the 4 requests per second that public
/// nodes allow, these fit well into a call's deadline.
const CELLS_ONE_BY_ONE: u32 = 10;

/// A Solana JSON-RPC node.
pub(crate) struct SolanaRpc {
    options: Options,
    node: Node,
    mints: Mutex<HashMap<Pubkey, Mint>>,
    /// Held while mints are read, so that calls that start together read them once.
    mints_turn: futures_util::lock::Mutex<()>,
}

#[async_trait]
impl Provider for SolanaRpc {
    type Options = Options;

    fn open(_host: Host, settings: Settings<Options>) -> Result<Self, Error> {
        match settings.network.as_str() {
            "mainnet" | "testnet" | "devnet" => {}
            other => {
                return Err(Error::unsupported(format!(
                    "Solana has no network `{other}`: set `network` to mainnet, testnet or devnet"
                )));
            }
        }
        let options = settings.options;
        if !(1..=100).contains(&options.batch) {
            return Err(Error::unsupported(format!(
                "`batch` is {}: set it between 1 and 100",
                options.batch
            )));
        }
        Ok(Self {
            node: Node::new(options.batch),
            mints: Mutex::default(),
            mints_turn: futures_util::lock::Mutex::default(),
            options,
        })
    }

    fn caps(&self) -> Caps {
        let batch = self.options.batch;
        let (cells_max, cost, token_scope) = match self.options.token_accounts {
            TokenAccounts::Associated => {
                let cost = Cost {
                    call: 1,
                    once_tokens: 1,
                    ..Cost::default()
                };
                (batch, cost, Scope::Associated)
            }
            TokenAccounts::All => {
                let cost = Cost {
                    native_batch: 1,
                    token_cell: 1,
                    once_tokens: 1,
                    ..Cost::default()
                };
                (batch.min(CELLS_ONE_BY_ONE), cost, Scope::All)
            }
        };
        Caps {
            native: true,
            tokens: true,
            // A node reads its newest state only; `minContextSlot` keeps out what is older.
            pinned: false,
            min_height: true,
            derive: false,
            cells_per_call_max: cells_max,
            addresses_per_call_max: cells_max,
            assets_per_call_max: 1000,
            cost,
            token_scope,
            commitment_default: Commitment::Finalized,
        }
    }

    fn validate_address(&self, address: &str) -> Result<String, Error> {
        pubkey(address).map(|address| address.to_string())
    }

    fn derive(&self, _request: &Derive) -> Result<Derived, Error> {
        Err(Error::unsupported(
            "keys of Solana (ed25519, SLIP-10) have hardened children only, which no public key \
             gives: list the addresses instead",
        ))
    }

    async fn identity(&self, cx: &Cx) -> Result<String, Error> {
        let call = RpcCall::new("getGenesisHash", json!([]));
        let hash: String = cx.rpc(call).await.map_err(wire::by_code)?;
        // A hash has the form of an address.
        match hash.parse::<Pubkey>() {
            Ok(hash) => Ok(hash.to_string()),
            Err(_) => Err(Error::malformed("the genesis hash is not one")),
        }
    }

    async fn balances(&self, cx: &Cx, request: &Balances) -> Result<Readings, Error> {
        let mut answers = Answers::new(request);
        let assets = self.assets(cx, request).await;
        let mut lookups = Vec::new();
        let mut owners = Vec::new();
        for cell in request.cells() {
            let wallet = match pubkey(cell.address()) {
                Ok(wallet) => wallet,
                Err(error) => {
                    answers.invalid(cell, &error);
                    continue;
                }
            };
            match &assets[cell.asset_index()] {
                Asked::Native => lookups.push(Lookup {
                    cell,
                    account: wallet,
                    holding: None,
                }),
                Asked::Token(mint) if self.options.token_accounts == TokenAccounts::All => {
                    owners.push((cell, wallet, mint));
                }
                Asked::Token(mint) => match mint.associated(&wallet) {
                    Ok(account) => lookups.push(Lookup {
                        cell,
                        account,
                        holding: Some((wallet, mint)),
                    }),
                    Err(error) => answers.settle(cell, Err(error)),
                },
                Asked::Refuted(error) => answers.settle(cell, Err(error.clone())),
                Asked::Unread(error) => answers.fail(cell, error),
            }
        }
        let view = View {
            commitment: request.commitment(),
            min_slot: request.min_height(),
            slice: HOLDING_SLICE,
        };
        self.look_up(cx, view, &lookups, &mut answers).await;
        self.sum_owned(cx, view, &owners, &mut answers).await;
        answers.finish()
    }
}

impl SolanaRpc {
    /// The request's assets by index. Trouble with mints is the tokens' alone.
    async fn assets(&self, cx: &Cx, request: &Balances) -> Vec<Asked> {
        let parsed: Vec<_> = request
            .assets()
            .map(|asset| asset.contract.map(mint_address))
            .collect();
        // In one order, so that the same question is asked in the same words.
        let wanted: BTreeSet<Pubkey> = parsed.iter().flatten().flatten().copied().collect();
        // A node from before a mint would tell that there is none.
        let view = View {
            commitment: request.commitment(),
            min_slot: request.min_height(),
            slice: MINT_SLICE,
        };
        let mut unread = self.read_mints(cx, wanted, view).await;
        let mints = self.mints();
        let ask = |(asset, parsed): (Asset<'_>, _)| match parsed {
            None => Asked::Native,
            Some(Err(error)) => Asked::Refuted(error),
            Some(Ok(address)) => match mints.get(&address) {
                Some(mint) => match mint.check_decimals(asset.decimals) {
                    Ok(()) => Asked::Token(mint.clone()),
                    Err(error) => Asked::Refuted(error),
                },
                None => unread.remove(&address).unwrap_or_else(|| {
                    Asked::Unread(Error::missing(format!("the mint `{address}` was not read")))
                }),
            },
        };
        request.assets().zip(parsed).map(ask).collect()
    }

    /// Reads those of `wanted` that are not known yet; gives those that are not known then.
    async fn read_mints(
        &self,
        cx: &Cx,
        wanted: BTreeSet<Pubkey>,
        view: View,
    ) -> HashMap<Pubkey, Asked> {
        let unknown = || -> Vec<Pubkey> {
            let mints = self.mints();
            let unknown = wanted.iter().filter(|mint| !mints.contains_key(mint));
            unknown.copied().collect()
        };
        if unknown().is_empty() {
            return HashMap::new();
        }
        // A call that waits has no request open, so it asks by itself long before its deadline.
        let patience = pin!(cx.sleep(cx.deadline() / 2));
        let _turn = match select(self.mints_turn.lock(), patience).await {
            Either::Left((turn, _)) => Some(turn),
            Either::Right(_) => None,
        };
        let addresses = unknown();
        let found = self.node.accounts(cx, view, &addresses).await;
        let mut unread = HashMap::new();
        let mut mints = self.mints();
        for (address, found) in addresses.into_iter().zip(found) {
            let account = match found {
                Ok(found) => found.account,
                Err(error) => {
                    unread.insert(address, Asked::Unread(error));
                    continue;
                }
            };
            match account.and_then(|account| Mint::read(address, account.as_ref())) {
                Ok(mint) => {
                    mints.insert(address, mint);
                }
                Err(error) => {
                    unread.insert(address, Asked::Refuted(error));
                }
            }
        }
        unread
    }

    async fn look_up(&self, cx: &Cx, view: View, lookups: &[Lookup<'_>], answers: &mut Answers) {
        let addresses: Vec<_> = lookups.iter().map(|lookup| lookup.account).collect();
        let found = self.node.accounts(cx, view, &addresses).await;
        for (lookup, found) in lookups.iter().zip(found) {
            match found {
                Ok(found) => {
                    answers.at(found.slot);
                    let amount = found.account.and_then(|account| lookup.amount(account));
                    answers.settle(lookup.cell, amount.map(Amount::from));
                }
                Err(error) => answers.fail(lookup.cell, &error),
            }
        }
    }

    async fn sum_owned(
        &self,
        cx: &Cx,
        view: View,
        owners: &[(Cell<'_>, Pubkey, &Mint)],
        answers: &mut Answers,
    ) {
        for (index, (cell, wallet, mint)) in owners.iter().enumerate() {
            match node::owned(cx, view, wallet, mint).await {
                Ok((slot, amount)) => {
                    answers.at(slot);
                    answers.settle(*cell, amount.map(Amount::from));
                }
                // It concerns this cell; the next one may be answered.
                Err(error) if matches!(error.kind, ErrorKind::Refused | ErrorKind::TooLarge) => {
                    answers.fail(*cell, &error);
                }
                Err(error) => {
                    for (cell, ..) in &owners[index..] {
                        answers.fail(*cell, &error);
                    }
                    return;
                }
            }
        }
    }

    fn mints(&self) -> MutexGuard<'_, HashMap<Pubkey, Mint>> {
        node::lock(&self.mints)
    }
}

/// What there is to an asset of a request.
enum Asked {
    Native,
    Token(Mint),
    /// The chain answered, and the token cannot be read as configured.
    Refuted(Error),
    /// The chain did not answer about the mint.
    Unread(Error),
}

/// A cell and the account that answers it.
struct Lookup<'a> {
    cell: Cell<'a>,
    account: Pubkey,
    /// For a token: whose the account must be.
    holding: Option<(Pubkey, &'a Mint)>,
}

impl Lookup<'_> {
    /// `None` is an account that does not exist. It holds nothing: the answer was complete, and a
    /// token's mint is known to exist.
    fn amount(&self, account: Option<Account>) -> Result<u64, Error> {
        match (account, self.holding) {
            (None, _) => Ok(0),
            (Some(account), None) => Ok(account.lamports),
            (Some(account), Some((wallet, mint))) => mint.holding(&wallet, &account),
        }
    }
}

fn pubkey(address: &str) -> Result<Pubkey, Error> {
    address.parse().map_err(|_| {
        Error::invalid_address("a Solana address is 32 bytes in base58, without spaces")
    })
}

fn mint_address(contract: &str) -> Result<Pubkey, Error> {
    contract.parse().map_err(|_| {
        let message = format!("the mint `{contract}` is not 32 bytes in base58: mend the asset");
        Error::new(ErrorKind::Refused, message)
    })
}
