//! One provider, asked and judged.

use std::time::Duration;

use crate::clock::SharedClock;
use crate::config::{self, Chain};
use crate::gate::{self, Call, HoldReason, Permit, Verdict};
use crate::model::{Amount, Asset, ChainName, Class, Commitment, ProviderError, ProviderName};
use crate::plugin::backend::{BalancesRequest, CallReport};
use crate::plugin::{Answer, CallError, Outcome};
use crate::pool::Member;
use crate::scan::identity::same_identity;

/// Longest wait for a provider whose limits leave no room.
const PACED_MAX: Duration = Duration::from_secs(15);

/// What is to be asked of one provider.
#[derive(Debug)]
pub(super) struct Check<'a> {
    pub(super) chain: &'a Chain,
    pub(super) provider: Option<&'a config::Provider>,
    pub(super) member: &'a Member,
    pub(super) commitment: Commitment,
    /// In canonical form; `None` where no address of the chain is at hand.
    pub(super) address: Option<&'a str>,
    pub(super) clock: &'a SharedClock,
}

/// What was found out about one provider of one chain.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) chain: ChainName,
    pub(super) provider: ProviderName,
    /// Whether anything is not as it should be.
    pub(super) failed: bool,
    pub(super) height: Option<u64>,
    /// The highest height that any provider of the chain told.
    pub(super) highest: Option<u64>,
    plugin: &'static str,
    identity: &'static str,
    /// In coins; `None` is not known.
    balance: Option<String>,
    key: KeyState,
    time: Option<Duration>,
    result: String,
}

/// What the provider thinks of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyState {
    /// None is configured.
    None,
    /// Nothing was answered that would tell.
    Unknown,
    Accepted,
    Refused,
}

// === impl Check ===

impl Check<'_> {
    pub(super) async fn run(self) -> Finding {
        let mut finding = Finding {
            chain: self.chain.name.clone(),
            provider: self.member.name.clone(),
            failed: false,
            height: None,
            highest: None,
            plugin: "ok",
            identity: "-",
            balance: None,
            key: self.key(),
            time: None,
            result: "ok".to_owned(),
        };
        if let Err(error) = self.identity(&mut finding).await {
            finding.fail(&self, &error);
            return finding;
        }
        if let Err(error) = self.balance(&mut finding).await {
            finding.fail(&self, &error);
        }
        finding
    }

    fn key(&self) -> KeyState {
        let has = |it: &config::Provider| {
            it.api_key.is_some() || it.oauth2.is_some() || it.endpoint.holds_key()
        };
        if self.provider.is_some_and(has) {
            KeyState::Unknown
        } else {
            KeyState::None
        }
    }

    /// Asks who the chain is, as every provider is asked before its first work.
    async fn identity(&self, finding: &mut Finding) -> Result<(), CallError> {
        let permit = self.pass(Call::Identity).await?;
        finding.identity = "no answer";
        let start = self.clock.now();
        let report = self
            .member
            .backend
            .identity(self.member.budget(1, &permit))
            .await;
        finding.time = Some(self.clock.now() - start);
        self.count(&report);
        let told = match report.result {
            Ok(told) => told,
            Err(error) => {
                permit.record(verdict_of(&error));
                return Err(error);
            }
        };
        let Some(expected) = &self.chain.identity else {
            permit.record(Verdict::Success);
            finding.identity = "not checked";
            finding.result = format!("ok; to have it checked: identity = {told:?}");
            return Ok(());
        };
        if same_identity(expected, &told) {
            permit.record(Verdict::Success);
            finding.identity = "ok";
            return Ok(());
        }
        finding.identity = "another";
        let message = format!("it serves chain `{told}`, the configuration says `{expected}`");
        permit.record(Verdict::Hold {
            reason: HoldReason::WrongChain,
            lasts: None,
            message: message.clone(),
        });
        Err(CallError::new(Class::WrongChain, message))
    }

    /// Asks for one cell; its height is the provider's.
    async fn balance(&self, finding: &mut Finding) -> Result<(), CallError> {
        let Some(asset) = self.asset() else {
            "ok; it reads none of the chain's assets".clone_into(&mut finding.result);
            return Ok(());
        };
        self.knows_addresses().await?;
        let Some(address) = self.address else {
            let name = &self.chain.name;
            let hint = format!("no address to ask for: add [[chains.{name}.addresses]]");
            finding.result = format!("{}; {hint}", finding.result);
            return Ok(());
        };
        let permit = self.pass(Call::Work).await?;
        let request = BalancesRequest {
            addresses: vec![address.into()],
            assets: vec![asset.clone()],
            cells: vec![(0, 0)],
            commitment: self.commitment,
            min_height: 0,
            at_height: None,
        };
        let cost = self.member.caps().cost;
        let cell = if asset.is_native() {
            cost.native_batch.saturating_add(cost.native_cell)
        } else {
            cost.token_cell
        };
        let budget = self.member.budget(cost.call.saturating_add(cell), &permit);
        let start = self.clock.now();
        let report = self.member.backend.balances(request, budget).await;
        finding.time = Some(self.clock.now() - start);
        self.count(&report);
        match report.result.and_then(only_answer) {
            Ok((amount, height)) => {
                permit.record(Verdict::Success);
                let (coins, symbol) = (amount.in_coins(asset.decimals), &asset.symbol);
                finding.balance = Some(format!("{coins} {symbol}"));
                finding.height = height;
                if finding.key == KeyState::Unknown {
                    finding.key = KeyState::Accepted;
                }
                Ok(())
            }
            Err(error) => {
                permit.record(verdict_of(&error));
                Err(error)
            }
        }
    }

    /// The address may be another plugin's word; each one must know its own.
    async fn knows_addresses(&self) -> Result<(), CallError> {
        let asked = vec![self.address.unwrap_or("no address").to_owned()];
        let verdicts = self.member.backend.validate_addresses(asked).await?;
        match (self.address, verdicts.into_iter().next()) {
            (Some(address), Some(Err(why))) => {
                let message = format!("`{address}` is no address: {why}");
                Err(CallError::new(Class::InvalidAddress, message))
            }
            _ => Ok(()),
        }
    }

    /// The first asset that the provider reads, the native coin before tokens.
    fn asset(&self) -> Option<&Asset> {
        let assets = &self.chain.assets;
        let native = assets.iter().filter(|asset| asset.is_native());
        let tokens = assets.iter().filter(|asset| !asset.is_native());
        native
            .chain(tokens)
            .find(|asset| self.member.can_read(asset.is_native()))
    }

    /// Waits where limits leave no room for a little while; nothing else passes by waiting.
    async fn pass(&self, call: Call) -> Result<Permit, CallError> {
        let patience = self.clock.now() + PACED_MAX;
        loop {
            match self.member.gate.ask(call) {
                gate::Answer::Pass(permit) => return Ok(permit),
                gate::Answer::Wait { until, .. } if until <= patience => {
                    tokio::time::sleep_until(until).await;
                }
                gate::Answer::Wait { .. } | gate::Answer::Shut { .. } => break,
            }
        }
        let why = self.member.shut_reason().map(|why| why.message);
        let why = why.unwrap_or_else(|| "its gate is shut".to_owned());
        Err(CallError::new(Class::CircuitOpen, why))
    }

    fn count<T>(&self, report: &CallReport<T>) {
        for _ in 0..report.http_attempts {
            self.member.gate.count_http_attempt();
        }
    }
}

fn verdict_of(error: &CallError) -> Verdict {
    Verdict::of(
        error.class,
        error.message.as_str(),
        error.http_status,
        error.retry_after,
    )
}

/// The answer to a call of one cell: exactly one, for that cell.
fn only_answer(answers: Vec<Answer>) -> Result<(Amount, Option<u64>), CallError> {
    let mut answers = answers.into_iter();
    let (Some(answer), None) = (answers.next(), answers.next()) else {
        let message = "one balance was asked for, and none or several were answered";
        return Err(CallError::new(Class::Missing, message));
    };
    if answer.cell != 0 {
        let message = format!("an answer for cell {} of 1", answer.cell);
        return Err(CallError::new(Class::PluginFault, message));
    }
    match answer.outcome {
        Outcome::Known { amount, height, .. } => Ok((amount, height)),
        Outcome::Unknown(error) | Outcome::Invalid(error) => Err(error),
    }
}

// === impl Finding ===

impl Finding {
    /// A provider that could not be opened.
    pub(super) fn left_out(chain: &Chain, error: &ProviderError) -> Self {
        let message = &error.message;
        Self {
            chain: chain.name.clone(),
            provider: error.provider.clone(),
            failed: true,
            height: None,
            highest: None,
            plugin: "FAILED",
            identity: "-",
            balance: None,
            key: KeyState::Unknown,
            time: None,
            result: format!(
                "FAILED: {message}; next: mend the settings that it names, or see `scanhost \
                 plugins verify FILE`"
            ),
        }
    }

    fn fail(&mut self, check: &Check<'_>, error: &CallError) {
        self.failed = true;
        if error.class == Class::Unauthorized && self.key != KeyState::None {
            self.key = KeyState::Refused;
        }
        let (class, message) = (error.class, &error.message);
        let status = error.http_status.map(|status| format!("HTTP {status}"));
        let status = match status.filter(|status| !message.contains(status)) {
            Some(status) => format!(" ({status})"),
            None => String::new(),
        };
        let next = next_step(error.class, check.chain, &check.member.name);
        self.result = format!("FAILED: {class}{status}: {message}; next: {next}");
    }

    pub(super) fn cells(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        let lag = self.highest.zip(self.height);
        let lag = lag.map(|(highest, height)| (highest - height).to_string());
        let height = self.height.map(|height| height.to_string());
        let time = self.time.map(|time| format!("{} ms", time.as_millis()));
        let key = match self.key {
            KeyState::None => "none",
            KeyState::Unknown => "?",
            KeyState::Accepted => "accepted",
            KeyState::Refused => "REFUSED",
        };
        vec![
            self.chain.to_string(),
            self.provider.to_string(),
            self.plugin.to_owned(),
            self.identity.to_owned(),
            height.unwrap_or_else(dash),
            lag.unwrap_or_else(dash),
            self.balance.clone().unwrap_or_else(|| "unknown".to_owned()),
            key.to_owned(),
            time.unwrap_or_else(dash),
            self.result.clone(),
        ]
    }
}

/// What an operator can do about a failure.
fn next_step(class: Class, chain: &Chain, provider: &ProviderName) -> String {
    let table = format!("[providers.{provider}]");
    match class {
        Class::Timeout | Class::Transport => {
            format!("check `endpoint` of {table}, the network and `proxy`")
        }
        Class::ServerError | Class::Missing | Class::Lagging | Class::CircuitOpen => {
            "try again later; if it stays, use another provider".to_owned()
        }
        Class::RateLimited => format!("wait, and set lower `limits` in {table}"),
        Class::Quota => {
            format!("wait until the allowance is renewed, or change the plan of {provider}")
        }
        Class::Unauthorized => {
            format!("check `api_key` (or `oauth2`) of {table} and what its plan allows")
        }
        Class::Malformed | Class::Refused | Class::TooLarge | Class::Unsupported => format!(
            "check that `endpoint` of {table} is the base that its plugin wants (`scanhost plugins \
             inspect FILE`)"
        ),
        Class::WrongChain => {
            format!(
                "correct `endpoint` of {table}, or `identity` of [chains.{}]",
                chain.name
            )
        }
        Class::DecimalsMismatch => {
            format!("correct `decimals` in [[chains.{}.assets]]", chain.name)
        }
        Class::InvalidAddress => {
            format!("correct `network` of [chains.{}], or its list", chain.name)
        }
        Class::PluginFault => "see the log, and `scanhost plugins verify FILE`".to_owned(),
        Class::NoProvider | Class::Cancelled | Class::GaveUp => "try again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(cell: u32) -> Answer {
        let outcome = Outcome::Known {
            amount: "7".parse().unwrap(),
            pending: None,
            height: Some(9),
            block_hash: None,
            used: None,
        };
        Answer { cell, outcome }
    }

    #[test]
    fn one_balance_is_one_answer() {
        let class = |answers| only_answer(answers).unwrap_err().class;
        let amount = "7".parse().unwrap();
        assert_eq!(only_answer(vec![known(0)]), Ok((amount, Some(9))));
        assert_eq!(class(vec![]), Class::Missing);
        assert_eq!(class(vec![known(0), known(0)]), Class::Missing);
        assert_eq!(class(vec![known(1)]), Class::PluginFault);
        let refused = CallError::new(Class::Refused, "no");
        let outcome = Outcome::Unknown(refused);
        assert_eq!(class(vec![Answer { cell: 0, outcome }]), Class::Refused);
    }

    #[test]
    fn what_is_not_known_is_never_told_as_a_number() {
        let finding = Finding {
            chain: "bsc".into(),
            provider: "seed".into(),
            failed: true,
            height: None,
            highest: Some(9),
            plugin: "ok",
            identity: "no answer",
            balance: None,
            key: KeyState::Unknown,
            time: None,
            result: "FAILED".to_owned(),
        };
        let cells = finding.cells();
        assert_eq!(cells[4..8], ["-", "-", "unknown", "?"]);
        let finding = Finding {
            height: Some(7),
            ..finding
        };
        assert_eq!(finding.cells()[5], "2");
    }
}
