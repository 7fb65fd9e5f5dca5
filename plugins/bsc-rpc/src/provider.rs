//! The provider: plans the reads, picks the way, settles the cells.

use std::collections::HashMap;

use alloy::primitives::Address;
use scanhost_evm::{self as evm, Decimals};
use scanhost_plugin_api::prelude::*;
use serde_json::json;

use crate::block::Block;
use crate::options::Options;
use crate::read::{Answers, Question, Read, no_method};
use crate::rungs::Rungs;
use crate::{batch, multicall, proof, singles};

/// One JSON-RPC endpoint.
pub(crate) struct BscRpc {
    options: Options,
    multicall: Option<Address>,
    rpc_batch: usize,
    /// The chain id that the configuration names.
    chain: Option<u64>,
    decimals: Decimals,
    rungs: Rungs,
}

#[async_trait]
impl Provider for BscRpc {
    type Options = Options;

    fn open(_host: Host, settings: Settings<Options>) -> Result<Self, Error> {
        let chain = settings.identity.as_deref().map(chain_id).transpose()?;
        let options = settings.options;
        Ok(Self {
            multicall: options.multicall()?,
            rpc_batch: usize::try_from(options.rpc_batch).unwrap_or(usize::MAX),
            chain,
            decimals: Decimals::default(),
            rungs: Rungs::default(),
            options,
        })
    }

    fn caps(&self) -> Caps {
        // The way that the options lead to; what else is found at run time is not known yet.
        let one_request = Cost {
            call: 1,
            ..Cost::default()
        };
        let (cells_max, cost) = match (self.multicall, self.rpc_batch) {
            (Some(_), _) => (usize::MAX, one_request),
            (None, batch::SMALLEST..) => (
                self.rpc_batch - batch::CANARIES,
                Cost {
                    // Decimals ride along, and push the first batch over its size.
                    once_tokens: 1,
                    ..one_request
                },
            ),
            (None, _) => (
                singles::CELLS_MAX,
                Cost {
                    call: 2,
                    native_cell: 1,
                    token_cell: 1,
                    once_per_token: 1,
                    ..Cost::default()
                },
            ),
        };
        let cells_max = u32::try_from(cells_max).unwrap_or(u32::MAX);
        let cells_max = cells_max.min(self.options.batch);
        Caps {
            native: true,
            tokens: true,
            pinned: true,
            min_height: true,
            derive: true,
            cells_per_call_max: cells_max,
            addresses_per_call_max: cells_max,
            assets_per_call_max: 1000,
            cost,
            token_scope: Scope::Wallet,
            commitment_default: Commitment::Latest,
        }
    }

    fn validate_address(&self, address: &str) -> Result<String, Error> {
        evm::parse_address(address).map(|address| evm::canonical(&address))
    }

    async fn identity(&self, cx: &Cx) -> Result<String, Error> {
        let id: String = cx.rpc(RpcCall::new("eth_chainId", json!([]))).await?;
        evm::quantity(&id).map(|id| id.to_string())
    }

    async fn balances(&self, cx: &Cx, request: &Balances) -> Result<Readings, Error> {
        let plan = Plan::new(request, &self.decimals);
        let answers = match plan.reads.is_empty() {
            true => Answers {
                height: None,
                amounts: Vec::new(),
            },
            false => {
                let question = Question {
                    reads: &plan.reads,
                    block: Block::of(request),
                    min_height: request.min_height(),
                    chain: self.chain,
                };
                self.ask(cx, &question).await?
            }
        };
        Ok(plan.settle(request, answers, &self.decimals))
    }

    fn derive(&self, request: &Derive) -> Result<Derived, Error> {
        evm::derive(request)
    }
}

impl BscRpc {
    /// Down the ladder: one call, batches, single calls. Only a definite answer leads down.
    async fn ask(&self, cx: &Cx, question: &Question<'_>) -> Result<Answers, Error> {
        let host = cx.host();
        if let Some(contract) = self.multicall
            && self.rungs.has_multicall(host)
        {
            let why = match multicall::ask(cx, contract, question).await {
                Ok(Some(answers)) => return Ok(answers),
                Ok(None) => format!("no Multicall3 at {}", evm::canonical(&contract)),
                Err(error) if no_method(&error) => error.message,
                Err(error) => return Err(error),
            };
            self.rungs.lose_multicall(host);
            let message = format!("{why}: reading in JSON-RPC batches for an hour");
            host.log(LogLevel::WARN, &message);
        }
        let batch_max = self.rungs.batch_max(host, self.rpc_batch);
        if batch_max >= batch::SMALLEST {
            if let Some(answers) = batch::ask(cx, &self.rungs, batch_max, question).await? {
                return proof::check(cx, question, answers).await;
            }
            // A provider that is sick refuses single calls too, and that teaches nothing.
            self.identity(cx).await?;
            self.rungs.learn_batch_max(host, 1);
            let message = "JSON-RPC batches are refused: reading one by one for an hour";
            host.log(LogLevel::WARN, message);
        }
        let answers = singles::ask(cx, question).await?;
        proof::check(cx, question, answers).await
    }
}

/// What to read for a request, and which read answers which cell.
struct Plan {
    reads: Vec<Read>,
    /// By asset: the token's address; `None` is the native coin.
    tokens: Vec<Option<Result<Address, Error>>>,
    /// By cell: the index of its read.
    cells: Vec<Result<usize, Error>>,
}

impl Plan {
    fn new(request: &Balances, decimals: &Decimals) -> Self {
        let tokens: Vec<_> = request
            .assets()
            .map(|asset| asset.contract.map(token))
            .collect();
        let mut reads = Vec::new();
        for token in tokens.iter().flatten().flatten() {
            let read = Read::Decimals(*token);
            if decimals.get(token).is_none() && !reads.contains(&read) {
                reads.push(read);
            }
        }
        let holders: Vec<_> = request.addresses().map(evm::parse_address).collect();
        let mut plan_cell = |cell: Cell<'_>| {
            let holder = holders[cell.address_index()].clone()?;
            reads.push(match &tokens[cell.asset_index()] {
                None => Read::Native(holder),
                Some(token) => Read::Token {
                    token: token.clone()?,
                    holder,
                },
            });
            Ok(reads.len() - 1)
        };
        let cells = request.cells().map(&mut plan_cell).collect();
        Self {
            reads,
            tokens,
            cells,
        }
    }

    fn settle(self, request: &Balances, answers: Answers, decimals: &Decimals) -> Readings {
        let mut failures = HashMap::new();
        for (read, amount) in self.reads.iter().zip(&answers.amounts) {
            if let Read::Decimals(token) = read {
                let learned = amount
                    .clone()
                    .and_then(|word| decimals.learn(*token, &word));
                if let Err(error) = learned {
                    failures.insert(*token, error);
                }
            }
        }
        let check = |token: &Address, configured: u8| match decimals.get(token) {
            Some(chain) => evm::check_decimals(token, configured, chain),
            None => Err(failures.get(token).map_or_else(
                || Error::missing("the token's decimals were not read"),
                |error| Error {
                    message: format!("the token's decimals were not read: {error}"),
                    ..error.clone()
                },
            )),
        };
        let mut readings = Readings::new(request);
        readings.at(Mark {
            height: answers.height,
            block_hash: None,
        });
        for (cell, read) in request.cells().zip(self.cells) {
            let read = match read {
                Ok(read) => read,
                Err(error) if error.kind == ErrorKind::InvalidAddress => {
                    readings.invalid(cell, &error);
                    continue;
                }
                Err(error) => {
                    readings.unknown(cell, &error);
                    continue;
                }
            };
            let amount = answers.amounts.get(read).cloned();
            let amount = amount.unwrap_or_else(|| Err(Error::missing("not answered")));
            let checked = match &self.tokens[cell.asset_index()] {
                Some(Ok(token)) => check(token, cell.asset().decimals),
                _ => Ok(()),
            };
            readings.settle(cell, checked.and(amount));
        }
        readings
    }
}

/// A mistyped contract is the configuration's fault; only addresses of a list can be `invalid`.
fn token(contract: &str) -> Result<Address, Error> {
    evm::parse_address(contract).map_err(|error| {
        let message = format!("`{contract}` is not a contract: {error}; correct the asset");
        Error::new(ErrorKind::Refused, message)
    })
}

fn chain_id(identity: &str) -> Result<u64, Error> {
    let digits = !identity.is_empty() && identity.bytes().all(|byte| byte.is_ascii_digit());
    let id = identity.parse().ok().filter(|_| digits);
    id.ok_or_else(|| {
        let message = format!(
            "the chain's `identity` is `{identity}`: an EVM chain's is its id in decimal, \
             as \"56\" for BNB Smart Chain"
        );
        Error::new(ErrorKind::PluginFault, message)
    })
}
