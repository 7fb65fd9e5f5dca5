//! The checks by their ids, and what comes of one.

use std::sync::Arc;

use scanhost_abi::guard::guard;
use scanhost_abi::types::{AbiError, Caps};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ask::{Amount, Ask, Reply, Session, Told, sound};
use crate::checks;
use crate::offline::{OfflineHost, Upstream, response};
use crate::sample::Sample;
use crate::subject::Subject;

/// One thing that a plugin must hold to.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// `C01` and so on; never given to another check.
    pub id: &'static str,
    /// What holds when it passes.
    pub what: &'static str,
    run: fn(&Bench<'_>) -> Outcome<String>,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    /// It holds; the text says what was looked at.
    Passed(String),
    /// It does not.
    Failed(String),
    /// It could not be looked at.
    Skipped(String),
}

/// Why a check ended early.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Failed(String),
    Skipped(String),
}

/// What a check goes on with.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A plugin and a sample, as the checks look at them.
pub struct Bench<'a> {
    pub(crate) subject: &'a dyn Subject,
    pub(crate) sample: &'a Sample,
}

/// What a plugin answers to the sample when all is well.
pub(crate) struct Baseline {
    pub(crate) ask: Ask,
    pub(crate) amounts: Vec<Amount>,
    /// The requests of the call with their answers, in order.
    pub(crate) exchanges: Vec<Exchange>,
}

/// A request and its answer.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) request: scanhost_abi::types::HttpRequest,
    pub(crate) answer: scanhost_abi::types::HttpResponse,
}

macro_rules! checks {
    ($($id:literal $run:path, $what:literal;)*) => {
        /// Every check, by id.
        pub const CHECKS: [Check; 23] = [$(Check { id: $id, what: $what, run: $run },)*];
    };
}

checks! {
    "C01" checks::opening::loads, "it loads, opens and describes itself";
    "C02" checks::opening::manifest, "what it describes is what its manifest says";
    "C03" checks::opening::defaults, "its options have a schema, whose defaults it accepts";
    "C04" checks::opening::bad_options, "bad options are refused with a message";
    "C05" checks::opening::leaks, "opened and closed many times, it keeps nothing";
    "C06" checks::questions::empty, "a question of no cell is no trouble";
    "C07" checks::questions::sizes, "one address, its most, and one more";
    "C08" checks::questions::order, "every cell is answered, whatever order the answers come in";
    "C09" checks::questions::invalid, "addresses are told from what is none";
    "C10" checks::faults::rate, "429 is a rate answer, and its Retry-After is kept";
    "C11" checks::faults::outages, "5xx, a timeout and a reset are what they are";
    "C12" checks::bodies::nonsense_bodies, "a body that is cut short, HTML, deep or huge is malformed";
    "C13" checks::bodies::ids, "answers that are doubled, missing or uninvited give no amount";
    "C14" checks::bodies::numbers, "numbers that are none give no amount";
    "C15" checks::calls::cancel, "a call may be dropped at every await";
    "C16" checks::calls::threads, "calls from eight threads do not disturb each other";
    "C17" checks::calls::polls, "no poll takes long";
    "C18" checks::build::imports, "it calls nothing that a plugin must not";
    "C19" checks::calls::silence, "it writes nothing to standard output and error";
    "C20" checks::calls::deadlines, "no request and no pause is longer than the call's deadline";
    "C21" checks::faults::secrets, "no credential is sent, logged or told";
    "C22" checks::build::abi, "older and newer hosts can load it";
    "C23" checks::bodies::arbitrary, "arbitrary bytes are no amount and no panic";
}

/// The check with this id.
#[must_use]
pub fn check(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id)
}

pub(crate) fn failed<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Failure::Failed(why.into()))
}

pub(crate) fn skipped<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Failure::Skipped(why.into()))
}

// === impl Check ===

impl Check {
    /// Looks at a plugin. A crash of the plugin is one of this process: run it in
    /// [one of its own](crate::child).
    #[must_use]
    pub fn run(&self, subject: &dyn Subject, sample: &Sample) -> Verdict {
        let bench = Bench { subject, sample };
        // An upstream of an author's may panic, or this kit.
        match guard(self.id, || (self.run)(&bench)) {
            Ok(Ok(note)) => Verdict::Passed(note),
            Ok(Err(Failure::Failed(why))) => Verdict::Failed(why),
            Ok(Err(Failure::Skipped(why))) => Verdict::Skipped(why),
            Err(panicked) => Verdict::Failed(panicked.message.into_string()),
        }
    }
}

// === impl Verdict ===

impl Verdict {
    /// The word for people and scripts: `passed`, `failed`, `skipped`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What was looked at, or why not, or what is wrong.
    #[must_use]
    pub fn why(&self) -> &str {
        let (Self::Passed(why) | Self::Failed(why) | Self::Skipped(why)) = self;
        why
    }
}

// === impl Bench ===

impl Bench<'_> {
    /// The manifest.
    pub(crate) fn manifest(&self) -> Outcome<Value> {
        serde_json::from_str(self.subject.manifest())
            .map_err(|error| Failure::Failed(format!("the manifest is no JSON: {error}")))
    }

    /// Opens a provider with the sample's options over `upstream`.
    pub(crate) fn open(&self, upstream: Upstream) -> Outcome<Session> {
        self.open_over(Arc::new(OfflineHost::new(upstream)))
    }

    pub(crate) fn open_over(&self, host: Arc<OfflineHost>) -> Outcome<Session> {
        match self.try_open(&host, &self.sample.options) {
            Ok(provider) => Ok(Session { provider, host }),
            Err(error) => {
                sound(&error)?;
                failed(format!(
                    "it does not open with the sample's settings: {}",
                    error.message
                ))
            }
        }
    }

    /// Opens a provider with any options.
    pub(crate) fn try_open(
        &self,
        host: &Arc<OfflineHost>,
        options: &Value,
    ) -> Result<scanhost_abi::ProviderObject, AbiError> {
        let settings = self.sample.settings(options);
        self.subject.open(Session::handle(host), &settings)
    }

    /// What a provider with the sample's options can do.
    pub(crate) fn caps(&self) -> Outcome<Caps> {
        describe(&self.open(unreachable_upstream())?)
    }

    /// Addresses in the form that the host would send them in.
    pub(crate) fn addresses(&self, session: &Session, count: usize) -> Outcome<Vec<String>> {
        let given = self.sample.addresses_up_to(count);
        if given.is_empty() {
            return skipped("there is no address to ask for: the sample names none");
        }
        let mut canonical = Vec::new();
        for address in given {
            match session.validate(&address)? {
                Ok(form) => canonical.push(form),
                Err(error) => {
                    return failed(format!(
                        "`{address}` of the sample is refused: {}",
                        error.message
                    ));
                }
            }
        }
        Ok(canonical)
    }

    /// A question that fits one call, of the sample's addresses and assets.
    pub(crate) fn ask(&self, session: &Session) -> Outcome<Ask> {
        let caps = describe(session)?;
        let addresses = self.addresses(session, self.sample.addresses.len().max(1))?;
        Ok(Ask::within(&caps, addresses, &self.sample.assets()))
    }

    /// The same, one question for each part of the assets that one call takes.
    fn asks(&self, session: &Session) -> Outcome<Vec<Ask>> {
        let caps = describe(session)?;
        let addresses = self.addresses(session, self.sample.addresses.len().max(1))?;
        let most = usize::try_from(caps.assets_per_call_max).unwrap_or(usize::MAX);
        let assets = self.sample.assets();
        let parts = assets.chunks(most.max(1));
        Ok(parts
            .map(|assets| Ask::within(&caps, addresses.clone(), assets))
            .collect())
    }

    /// The upstream in good order.
    pub(crate) fn good(&self) -> Outcome<Upstream> {
        match &self.sample.upstream {
            Some(upstream) => Ok(upstream.clone()),
            None => skipped("nothing answers as the service does; give recorded traffic"),
        }
    }

    /// Asks the sample's questions while all is well, each of a provider that was just opened;
    /// every cell must become known.
    pub(crate) fn baselines(&self) -> Outcome<Vec<Baseline>> {
        let session = self.open(unreachable_upstream())?;
        let asks = self.asks(&session)?.into_iter();
        asks.map(|ask| self.baseline_of(ask)).collect()
    }

    /// The first of them.
    pub(crate) fn baseline(&self) -> Outcome<Baseline> {
        let session = self.open(unreachable_upstream())?;
        self.baseline_of(self.ask(&session)?)
    }

    fn baseline_of(&self, ask: Ask) -> Outcome<Baseline> {
        let (upstream, exchanges) = recording(self.good()?);
        let session = self.open(upstream)?;
        let reply = session.balances(&ask)?;
        let amounts = all_known(&ask, &reply)?;
        let exchanges = exchanges.take();
        Ok(Baseline {
            ask,
            amounts,
            exchanges,
        })
    }
}

impl std::fmt::Debug for Bench<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").finish_non_exhaustive()
    }
}

// === impl Baseline ===

impl Baseline {
    /// Fails where an amount is told that differs from the one that is right.
    pub(crate) fn no_other_amount(
        &self,
        reply: &Reply,
        while_: &dyn Fn() -> String,
    ) -> Outcome<()> {
        let Ok(told) = reply else { return Ok(()) };
        for (index, (told, right)) in told.iter().zip(&self.amounts).enumerate() {
            if let Some(amount) = told.known().filter(|amount| amount != right) {
                return failed(format!(
                    "{}: {} is told as {amount:?}, which is not its balance {right:?}",
                    while_(),
                    self.ask.name_of(index)
                ));
            }
        }
        Ok(())
    }
}

impl Ask {
    /// A cell for people.
    pub(crate) fn name_of(&self, cell: usize) -> String {
        let Some(cell) = self.cells.get(cell) else {
            return format!("cell {cell}");
        };
        let address = usize::try_from(cell.address).ok();
        let address = address.and_then(|index| self.addresses.get(index));
        let asset = self.assets.get(usize::from(cell.asset));
        let contract = asset.and_then(|asset| asset.contract.as_deref());
        format!(
            "{} of `{}`",
            contract.unwrap_or("the native coin"),
            address.map_or("?", String::as_str)
        )
    }
}

/// The amounts of a reply in which everything is known.
pub(crate) fn all_known(ask: &Ask, reply: &Reply) -> Outcome<Vec<Amount>> {
    let told = match reply {
        Ok(told) => told,
        Err(error) => {
            return failed(format!(
                "the whole call fails while all is well: {}",
                crate::ask::describe(error)
            ));
        }
    };
    let amounts = told.iter().enumerate().map(|(index, told)| {
        told.known().ok_or_else(|| {
            let cell = ask.name_of(index);
            Failure::Failed(format!("{cell} is not known while all is well: {told}"))
        })
    });
    amounts.collect()
}

/// Fails where any amount is told.
pub(crate) fn no_amount(ask: &Ask, reply: &Reply, while_: &dyn Fn() -> String) -> Outcome<()> {
    let Ok(told) = reply else { return Ok(()) };
    match told.iter().position(|told| told.known().is_some()) {
        Some(cell) => failed(format!(
            "{}: {} is told as {}, an amount that nobody gave",
            while_(),
            ask.name_of(cell),
            told[cell]
        )),
        None => Ok(()),
    }
}

/// Every failure of a reply: the whole call's, or one per cell.
pub(crate) fn errors(reply: &Reply) -> Vec<&AbiError> {
    match reply {
        Ok(told) => told.iter().filter_map(Told::error).collect(),
        Err(error) => vec![error],
    }
}

pub(crate) fn describe(session: &Session) -> Outcome<Caps> {
    session
        .provider
        .describe()
        .map_err(|error| Failure::Failed(format!("it does not describe itself: {}", error.message)))
}

/// An upstream for what must not ask one.
pub(crate) fn unreachable_upstream() -> Upstream {
    Arc::new(|_| Ok(response(404, &[], "nothing is here")))
}

/// What went through a [`recording`] upstream.
#[derive(Clone, Default)]
pub(crate) struct Exchanges(Arc<std::sync::Mutex<Vec<Exchange>>>);

impl Exchanges {
    pub(crate) fn take(&self) -> Vec<Exchange> {
        let mut exchanges = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *exchanges)
    }
}

/// The same upstream, with what it answers kept.
pub(crate) fn recording(upstream: Upstream) -> (Upstream, Exchanges) {
    let exchanges = Exchanges::default();
    let kept = exchanges.clone();
    let recording: Upstream = Arc::new(move |request| {
        let answer = upstream(request);
        if let Ok(answer) = &answer {
            let mut kept = kept
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            kept.push(Exchange {
                request: request.clone(),
                answer: answer.clone(),
            });
        }
        answer
    });
    (recording, exchanges)
}
