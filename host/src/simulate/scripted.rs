//! A provider that answers by a script instead of a network.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::calls::CallLog;
use super::world::{CellIndex, World, index_of};
use crate::config::{Latency, Script, What};
use crate::gate::pacer::Slot;
use crate::model::{Amount, Class, Commitment};
use crate::plugin::backend::{BalancesRequest, CallBudget, CallReport};
use crate::plugin::{Answer, Backend, CallError, Caps, Cost, Outcome};

/// What a simulated chain says of itself where the scenario names nothing.
const IDENTITY: &str = "simulated";
/// How that of another chain differs.
const OTHER: &str = "another chain than";

/// A scripted provider.
#[derive(Debug)]
pub(super) struct Scripted {
    script: Script,
    /// Its place in the pool: what its dice are thrown with.
    place: usize,
    /// Assets that it reads in one call.
    assets: u32,
    /// What an honest answer says of the chain.
    identity: String,
    world: Arc<World>,
    log: Mutex<CallLog>,
}

/// What the script says to one call.
struct Turn {
    number: usize,
    latency: Duration,
    dice: fastrand::Rng,
    faults: Vec<What>,
}

/// What becomes of a call as a whole.
enum Fate {
    Answers,
    Fails(CallError),
    Hangs,
}

/// A question to the provider.
#[derive(Clone, Copy)]
enum Question<'a> {
    Identity,
    Balances(&'a BalancesRequest),
}

impl Scripted {
    pub(super) fn new(
        script: Script,
        place: usize,
        assets: u32,
        chain_identity: Option<&str>,
        world: Arc<World>,
    ) -> Self {
        let identity = script.identity.as_deref().or(chain_identity);
        Self {
            identity: identity.unwrap_or(IDENTITY).to_owned(),
            script,
            place,
            assets,
            world,
            log: Mutex::default(),
        }
    }

    pub(super) fn script(&self) -> &Script {
        &self.script
    }

    pub(super) fn log(&self) -> MutexGuard<'_, CallLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the call meets, decided the moment it comes in.
    fn turn(&self) -> Turn {
        let now = self.world.now();
        let number = self.log().begin(now);
        let mut dice = self.world.dice(self.place, number);
        let mut latency = draw(self.script.latency, &mut dice);
        let mut faults = Vec::new();
        for fault in &self.script.faults {
            // Thrown for each, so that one fault's end changes nothing for the others.
            let met = dice.f64() < fault.share;
            if !met || !fault.is_active(now) {
                continue;
            }
            match &fault.what {
                What::Slow { latency: slow } => latency = draw(*slow, &mut dice),
                what => faults.push(what.clone()),
            }
        }
        Turn {
            number,
            latency,
            dice,
            faults,
        }
    }

    /// One request, sent as the host's HTTP client sends one: in a slot of the pacer, which is told
    /// how it was answered. `answer` makes the answer and counts the cells in it.
    async fn send<T>(
        &self,
        question: Question<'_>,
        budget: CallBudget,
        answer: impl FnOnce(&mut Turn) -> (T, usize),
    ) -> CallReport<T> {
        let slot = match budget.slots.take(1).await {
            Ok(slot) => slot,
            Err(paced_out) => {
                return CallReport {
                    result: Err(CallError::new(Class::RateLimited, paced_out.to_string())),
                    http_attempts: 0,
                };
            }
        };
        let mut turn = self.turn();
        let met = self.meet(&turn, question, budget.deadline).await;
        tell(slot, met.as_ref().err());
        let result = met.map(|()| answer(&mut turn));
        let told = result.as_ref();
        let told = told.map(|(_, cells)| u32::try_from(*cells).unwrap_or(u32::MAX));
        self.log().end(turn.number, self.world.now(), told);
        CallReport {
            result: result.map(|(answer, _)| answer),
            http_attempts: 1,
        }
    }

    /// Waits as long as the script says and tells whether there is an answer at all.
    async fn meet(
        &self,
        turn: &Turn,
        question: Question<'_>,
        deadline: Duration,
    ) -> Result<(), CallError> {
        let over = self.over_limit(turn.number).map(Fate::Fails);
        let faults = || turn.faults.iter().find_map(|what| fate(what, question));
        let fate = over.or_else(faults).unwrap_or(Fate::Answers);
        if matches!(fate, Fate::Hangs) || turn.latency >= deadline {
            tokio::time::sleep(deadline).await;
            let waited = deadline.as_secs_f64();
            let message = format!("no answer within {waited} s");
            return Err(CallError::new(Class::Timeout, message));
        }
        tokio::time::sleep(turn.latency).await;
        match fate {
            Fate::Fails(error) => Err(error),
            Fate::Answers | Fate::Hangs => Ok(()),
        }
    }

    /// The answer to a call that the provider's own limits do not allow.
    fn over_limit(&self, number: usize) -> Option<CallError> {
        let log = self.log();
        let windows = self.script.limits.iter();
        let wait = windows
            .filter_map(|window| log.over(number, *window))
            .max()?;
        // `Retry-After` is told in whole seconds.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Some(rate_limited(Some(Duration::from_secs(seconds))))
    }

    fn is_other_chain(turn: &Turn) -> bool {
        turn.faults.contains(&What::WrongChain)
    }

    fn answers(&self, turn: &mut Turn, request: &BalancesRequest) -> Vec<Answer> {
        let other_chain = Self::is_other_chain(turn);
        let mut answers = Vec::with_capacity(request.cells.len());
        for (place, (address, asset)) in (0_u32..).zip(&request.cells) {
            let address = index_of(&request.addresses[*address as usize]);
            let asset = asset_index(request, *asset);
            let Some(cell) = address.zip(asset) else {
                continue;
            };
            self.answer(turn, place, cell, other_chain, &mut answers);
        }
        answers
    }

    /// The answer for one cell: none, one or two.
    fn answer(
        &self,
        turn: &mut Turn,
        place: u32,
        cell: CellIndex,
        other_chain: bool,
        answers: &mut Vec<Answer>,
    ) {
        let (mut lies, mut doubled) = (other_chain, false);
        for what in &turn.faults {
            match what {
                What::Missing { cells_share } if turn.dice.f64() < *cells_share => return,
                What::Doubled { cells_share } => doubled |= turn.dice.f64() < *cells_share,
                What::Lie { cells_share } => lies |= turn.dice.f64() < *cells_share,
                _ => {}
            }
        }
        let other = self.world.other_amount(cell);
        if lies {
            answers.push(known(place, other));
        } else {
            answers.push(known(place, self.world.amount(cell)));
        }
        if doubled {
            answers.push(known(place, other));
        } else if !lies {
            self.world.note_told(cell);
        }
    }
}

#[async_trait]
impl Backend for Scripted {
    fn caps(&self) -> Caps {
        Caps {
            native: true,
            tokens: true,
            pinned: false,
            min_height: false,
            derive: false,
            cells_max: self.script.batch as usize,
            addresses_max: self.script.addresses_per_call as usize,
            assets_max: self.assets as usize,
            cost: Cost {
                call: 1,
                ..Cost::default()
            },
            token_scope: "wallet",
            commitment_default: Commitment::Latest,
        }
    }

    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<String, String>>, CallError> {
        Ok(addresses.into_iter().map(Ok).collect())
    }

    async fn identity(&self, budget: CallBudget) -> CallReport<String> {
        let answer = |turn: &mut Turn| match Self::is_other_chain(turn) {
            true => (format!("{OTHER} {}", self.identity), 0),
            false => (self.identity.clone(), 0),
        };
        self.send(Question::Identity, budget, answer).await
    }

    async fn balances(
        &self,
        request: BalancesRequest,
        budget: CallBudget,
    ) -> CallReport<Vec<Answer>> {
        let answer = |turn: &mut Turn| {
            let answers = self.answers(turn, &request);
            let cells = answers.len();
            (answers, cells)
        };
        self.send(Question::Balances(&request), budget, answer)
            .await
    }
}

/// Tells the pacer what the status of the answer means for it, as the HTTP client does; a text
/// within a 200 is for the plugin to find.
fn tell(slot: Slot, error: Option<&CallError>) {
    match error {
        None => slot.answered(),
        Some(error) if error.http_status == Some(429) => slot.rate_limited(error.retry_after),
        Some(error) if error.http_status.is_some_and(|status| status < 400) => slot.answered(),
        Some(_) => slot.ended(),
    }
}

/// What the fault makes of such a call as a whole, if anything.
fn fate(what: &What, question: Question<'_>) -> Option<Fate> {
    match what {
        What::Timeout => Some(Fate::Hangs),
        what => failure(what, question).map(Fate::Fails),
    }
}

fn failure(what: &What, question: Question<'_>) -> Option<CallError> {
    let status = |class, status, message: &str| CallError {
        http_status: Some(status),
        ..CallError::new(class, message)
    };
    let request = match question {
        Question::Balances(request) => Some(request),
        Question::Identity => None,
    };
    match what {
        What::Down => Some(CallError::new(Class::Transport, "connection refused")),
        What::ServerError => Some(status(Class::ServerError, 500, "internal server error")),
        What::RateLimited { retry_after } => Some(rate_limited(*retry_after)),
        What::RateText => Some(status(Class::RateLimited, 200, "max rate limit reached")),
        What::Unauthorized => Some(status(Class::Unauthorized, 401, "invalid key")),
        What::Garbage => Some(status(Class::Malformed, 200, "the answer is no JSON")),
        What::Html => {
            let message = "a page instead of an answer: Access denied";
            Some(status(Class::Malformed, 200, message))
        }
        What::NoIdentity if request.is_none() => {
            Some(CallError::new(Class::Transport, "connection reset"))
        }
        What::Lagging if request.is_some() => {
            Some(CallError::new(Class::Lagging, "the node is behind"))
        }
        What::Poison {
            addresses,
            is_refused,
        } => {
            let mut asked = request?.addresses.iter().filter_map(|it| index_of(it));
            let poisoned = asked.any(|address| addresses.contains(&address));
            poisoned.then(|| match is_refused {
                true => status(Class::Refused, 400, "bad request"),
                false => status(Class::ServerError, 500, "internal server error"),
            })
        }
        What::TooLarge { cells_max } => {
            let too_large = request?.cells.len() > *cells_max as usize;
            too_large.then(|| status(Class::TooLarge, 413, "payload too large"))
        }
        What::Timeout
        | What::Slow { .. }
        | What::WrongChain
        | What::NoIdentity
        | What::Lagging
        | What::Missing { .. }
        | What::Doubled { .. }
        | What::Lie { .. } => None,
    }
}

fn rate_limited(retry_after: Option<Duration>) -> CallError {
    CallError {
        http_status: Some(429),
        retry_after,
        ..CallError::new(Class::RateLimited, "too many requests")
    }
}

fn known(cell: u32, amount: Amount) -> Answer {
    Answer {
        cell,
        outcome: Outcome::Known {
            amount,
            pending: None,
            height: None,
            block_hash: None,
            used: None,
        },
    }
}

/// Evenly out of the range, in whole milliseconds: what virtual time is counted in.
fn draw(latency: Latency, dice: &mut fastrand::Rng) -> Duration {
    let ms = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(dice.u64(ms(latency.least)..=ms(latency.most)))
}

/// Which of the chain's assets the request's `asset` is: tokens are named by their number.
fn asset_index(request: &BalancesRequest, asset: u16) -> Option<u16> {
    match &request.assets[usize::from(asset)].contract {
        None => Some(0),
        Some(contract) => contract.strip_prefix("token")?.parse().ok(),
    }
}
