//! Accounts from the node behind the endpoint.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use scanhost_plugin_api::{Cx, Error, LogLevel, RpcCall};
use serde_json::json;
use solana_pubkey::Pubkey;

use crate::token::Mint;
use crate::wire::{self, Account, Keyed, Stamped, View};

/// A cap is one node's; behind a balancer the next one may take more.
const TOLD_MAX_MS: u64 = 60 * 60 * 1000;

/// The node, as far as it told of itself.
pub(crate) struct Node {
    batch: usize,
    told_max: Mutex<Option<ToldMax>>,
}

/// A cap of the node behind the endpoint, and until when it is believed.
#[derive(Clone, Copy)]
struct ToldMax {
    max: usize,
    until_ms: u64,
}

/// One value of a complete answer.
pub(crate) struct Found {
    pub(crate) slot: u64,
    pub(crate) account: Result<Option<Account>, Error>,
}

impl Node {
    /// A node that is asked for at most `batch` accounts in one request.
    pub(crate) fn new(batch: u32) -> Self {
        Self {
            batch: batch as usize,
            told_max: Mutex::default(),
        }
    }

    /// The accounts at `addresses`, in that order; in one request if the node takes as many.
    ///
    /// A request that fails ends it: what was not asked yet has the same error.
    pub(crate) async fn accounts(
        &self,
        cx: &Cx,
        view: View,
        addresses: &[Pubkey],
    ) -> Vec<Result<Found, Error>> {
        let mut found = Vec::with_capacity(addresses.len());
        while found.len() < addresses.len() {
            let rest = &addresses[found.len()..];
            let accounts_max = self.accounts_max(cx);
            let chunk = &rest[..rest.len().min(accounts_max)];
            match multiple_accounts(cx, view, chunk).await {
                Ok(accounts) => found.extend(accounts.into_iter().map(Ok)),
                Err(error) => match wire::inputs_max(&error) {
                    Some(max) if max < chunk.len() => {
                        self.believe(cx, max);
                    }
                    _ => found.extend(rest.iter().map(|_| Err(error.clone()))),
                },
            }
        }
        found
    }

    fn accounts_max(&self, cx: &Cx) -> usize {
        match *lock(&self.told_max) {
            Some(told) if cx.host().monotonic_ms() < told.until_ms => told.max.min(self.batch),
            _ => self.batch,
        }
    }

    fn believe(&self, cx: &Cx, max: usize) {
        let line = format!("the node takes {max} accounts in one request");
        cx.host().log(LogLevel::INFO, &line);
        *lock(&self.told_max) = Some(ToldMax {
            max,
            until_ms: cx.host().monotonic_ms().saturating_add(TOLD_MAX_MS),
        });
    }
}

/// The slot and the sum over all token accounts of the mint that the wallet owns.
pub(crate) async fn owned(
    cx: &Cx,
    view: View,
    wallet: &Pubkey,
    mint: &Mint,
) -> Result<(u64, Result<u64, Error>), Error> {
    let params = json!([
        wallet.to_string(),
        {"mint": mint.address.to_string()},
        view.config(),
    ]);
    let call = RpcCall::new("getTokenAccountsByOwner", params);
    let answer: Stamped = cx.rpc(call).await.map_err(wire::by_code)?;
    let slot = view.check(&answer.context)?;
    let mut seen = HashSet::new();
    let mut sum: u64 = 0;
    let mut add = |raw| {
        let keyed: Keyed = wire::value(raw)?;
        if !seen.insert(keyed.pubkey) {
            return Err(Error::malformed(format!(
                "the token account `{}` stands twice in the answer",
                keyed.pubkey
            )));
        }
        let amount = mint.holding(wallet, &keyed.account)?;
        sum = sum
            .checked_add(amount)
            .ok_or_else(|| Error::malformed("token accounts that hold more than there can be"))?;
        Ok(())
    };
    let added = answer.value.iter().try_for_each(|raw| add(raw));
    Ok((slot, added.map(|()| sum)))
}

async fn multiple_accounts(cx: &Cx, view: View, addresses: &[Pubkey]) -> Result<Vec<Found>, Error> {
    let texts: Vec<_> = addresses.iter().map(Pubkey::to_string).collect();
    let call = RpcCall::new("getMultipleAccounts", json!([texts, view.config()]));
    let answer: Stamped = cx.rpc(call).await.map_err(wire::by_code)?;
    let slot = view.check(&answer.context)?;
    let asked = addresses.len();
    let told = answer.value.len();
    // Values are matched by their place alone, and nothing tells which one a shorter list left
    // out; so none of it can be used.
    if told < asked {
        return Err(Error::missing(format!(
            "{told} accounts for {asked} addresses"
        )));
    }
    if told > asked {
        return Err(Error::malformed(format!(
            "{told} accounts for {asked} addresses"
        )));
    }
    let found = |raw: Box<_>| Found {
        slot,
        account: wire::value(&raw),
    };
    Ok(answer.value.into_iter().map(found).collect())
}

/// Values are stored whole, so a panic elsewhere cannot have left half of one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
