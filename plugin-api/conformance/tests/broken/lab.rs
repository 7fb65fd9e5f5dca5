//! A provider that can be broken in many ways, of a service that is in order.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scanhost_abi::abi_stable::std_types::RBox;
use scanhost_abi::host::settle;
use scanhost_abi::types::{
    AbiError, BalancesRequest, CAP_NATIVE, CAP_TOKENS, CallContext, Caps, Commitment, Cost,
    ErrorKind, HttpMethod, HttpRequest, HttpResponse, Once, Reading, ReadingKind, Scope,
};
use scanhost_abi::{
    BoxFuture, HostHandle, OpenRequest, ProviderAbi, ProviderObject, RNone, RSome, RString, RVec,
    Tuple2,
};
use scanhost_conformance::Answer;
use scanhost_conformance::offline::response;
use serde_json::{Value, json};

pub(super) const MANIFEST: &str = r#"{
    "manifest_version": 1, "name": "lab", "version": "0.1.0",
    "capabilities": ["native"], "commitments": ["latest"], "networks": ["mainnet"],
    "key": {"in": "query", "name": "apikey"}, "features": [],
    "options": {
        "type": "object", "additionalProperties": false,
        "properties": {"batch": {"type": "integer", "default": 4}}
    }
}"#;

thread_local! {
    /// In which way the providers that are opened on this thread are not in order.
    pub(super) static BROKEN: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A provider of a service that answers a list of balances in one request.
pub(super) struct Lab {
    host: HostHandle,
    broken: String,
    calls: AtomicUsize,
    /// The request of a call that was dropped, for the one that holds on to it.
    held: Mutex<Vec<BoxFuture<Result<HttpResponse, AbiError>>>>,
}

impl Lab {
    fn is(&self, broken: &str) -> bool {
        self.broken == broken
    }

    pub(super) fn open(
        host: HostHandle,
        request: &OpenRequest,
    ) -> Result<ProviderObject, AbiError> {
        let settings: Value = serde_json::from_str(&request.settings).expect("the host sends JSON");
        let broken = BROKEN.with_borrow(Clone::clone);
        let is_known = |(name, value): (&String, &Value)| name == "batch" && value.is_u64();
        let options = settings["options"].as_object();
        if !options.is_some_and(|options| options.iter().all(is_known)) {
            match broken.as_str() {
                "takes any option" => {}
                "refuses without a word" => return Err(fault(" ")),
                _ => return Err(fault("the only option is `batch`, a number")),
            }
        }
        match broken.as_str() {
            "does not open" => return Err(fault("it will not")),
            "panics in open" => panic!("no way"),
            "keeps the host" => std::mem::forget(host.clone()),
            _ => {}
        }
        Ok(ProviderObject::new(Arc::new(Self {
            host,
            broken,
            calls: AtomicUsize::new(0),
            held: Mutex::default(),
        })))
    }

    fn send(&self, call: CallContext, path: String) -> BoxFuture<Result<HttpResponse, AbiError>> {
        let header = |name: &str, value: &str| Tuple2(name.into(), value.into());
        let request = HttpRequest {
            method: HttpMethod::GET,
            path: match self.is("sends the key") {
                true => format!("{path}&apikey=1").into(),
                false if self.is("leaves the endpoint") => format!("/../..{path}").into(),
                false => path.into(),
            },
            headers: match self.is("sets a cookie") {
                true => [header("Cookie", "a=b")].into_iter().collect(),
                false => RVec::new(),
            },
            body: RVec::new(),
            timeout_ms: if self.is("waits too long") { 60_000 } else { 0 },
            reserved: [0; 4],
        };
        Box::pin(settle(self.host.http(call, request)))
    }

    /// The answer's body, if its status is one of success.
    fn body(&self, answer: HttpResponse) -> Result<Vec<u8>, AbiError> {
        let header = |name: &str| {
            let found = answer.headers.iter().find(|header| header.0 == name);
            found.map(|header| header.1.to_string())
        };
        let retry_after_ms = header("retry-after").and_then(|text| text.parse::<u64>().ok());
        let kind = match answer.status {
            200 => return Ok(answer.body.to_vec()),
            _ if self.is("reads whatever the status") => return Ok(answer.body.to_vec()),
            429 if self.is("takes 429 for an outage") => ErrorKind::SERVER_ERROR,
            429 => ErrorKind::RATE_LIMITED,
            400..=499 => ErrorKind::REFUSED,
            _ if self.is("takes 5xx for a refusal") => ErrorKind::REFUSED,
            _ => ErrorKind::SERVER_ERROR,
        };
        let quote = match self.is("quotes whole bodies") {
            true => String::from_utf8_lossy(&answer.body)
                .chars()
                .take(4000)
                .collect(),
            false => String::new(),
        };
        let told = header("www-authenticate").filter(|_| self.is("tells headers"));
        Err(AbiError {
            http_status: answer.status,
            retry_after_ms: match self.is("loses the delay") {
                true => 0,
                false => retry_after_ms.unwrap_or(0) * 1_000,
            },
            ..AbiError::new(
                kind,
                format!(
                    "status {} {quote}{}",
                    answer.status,
                    told.unwrap_or_default()
                ),
            )
        })
    }

    /// Amounts with their addresses, in the order of the answer.
    #[expect(clippy::cast_possible_truncation, reason = "it is a way to be broken")]
    fn amounts(&self, body: &[u8]) -> Result<Vec<(String, u64)>, AbiError> {
        let malformed = |why: &str| AbiError::new(ErrorKind::MALFORMED, why);
        if self.is("panics on nonsense") {
            let value: Value = serde_json::from_slice(body).expect("a service answers JSON");
            assert!(value.is_object(), "and an object");
        }
        let value: Value = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(_) if self.is("reads what is cut short") => {
                let text = String::from_utf8_lossy(body);
                let end = text.rfind('}').unwrap_or(0);
                let mended = format!("{}]}}", &text[..=end.min(text.len().saturating_sub(1))]);
                serde_json::from_str(&mended).map_err(|_| malformed("no JSON"))?
            }
            Err(error) => return Err(malformed(&error.to_string())),
        };
        let Some(list) = value["balances"].as_array() else {
            return match self.is("takes nothing for zero") {
                true => Ok(Vec::new()),
                false => Err(malformed("no list")),
            };
        };
        let mut amounts: Vec<(String, u64)> = Vec::new();
        for entry in list {
            let address = entry["address"]
                .as_str()
                .ok_or_else(|| malformed("no address"))?;
            let amount = match (&entry["amount"], self.broken.as_str()) {
                (Value::Number(number), "rounds numbers") => number
                    .as_f64()
                    .filter(|number| *number >= 0.0)
                    .map(|n| n as u64),
                (amount, "takes nonsense for zero") => Some(amount.as_u64().unwrap_or(0)),
                (Value::Number(number), "runs over") => number
                    .as_f64()
                    .filter(|number| *number >= 0.0 && number.fract() == 0.0)
                    .map(|number| number as u128 as u64),
                (amount, _) => amount.as_u64(),
            };
            let amount = amount.ok_or_else(|| malformed("no amount"))?;
            let before = amounts.iter_mut().find(|(known, _)| known == address);
            match before {
                None => amounts.push((address.to_owned(), amount)),
                Some(known) if self.is("takes the last of two") => known.1 = amount,
                Some(_) => return Err(malformed("an address twice")),
            }
        }
        Ok(amounts)
    }

    async fn read(
        self: Arc<Self>,
        call: CallContext,
        request: BalancesRequest,
    ) -> Result<RVec<Reading>, AbiError> {
        let count = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.broken.as_str() {
            "panics without a cell" => {
                let _first = request.cells[0];
            }
            "blocks" => std::thread::sleep(Duration::from_millis(600)),
            "waits for nobody" => std::future::pending().await,
            "crashes" => std::process::abort(),
            "writes to its output" => print_line("debugging"),
            "sleeps" => settle(self.host.sleep(Duration::from_secs(3_600))).await?,
            "fails the second time" if count > 0 => return Err(fault("again?")),
            _ => {}
        }
        let list: Vec<&str> = request.addresses.iter().map(|it| it.as_str()).collect();
        if list.len() > 4 && self.is("panics above its most") {
            panic!("too many");
        }
        let path = format!("/balances?of={}", list.join(","));
        let sending = self.send(call, path);
        let answer = match self.is("holds on to requests") {
            true => {
                self.held.lock().expect("nobody panics").push(sending);
                std::future::poll_fn(|context| {
                    let mut held = self.held.lock().expect("nobody panics");
                    held.last_mut()
                        .expect("it was put there")
                        .as_mut()
                        .poll(context)
                })
                .await
            }
            false => sending.await,
        };
        let answer = match answer {
            Err(error) if self.is("hides what broke") => {
                return Err(AbiError::new(ErrorKind::MALFORMED, error.message));
            }
            answer => answer?,
        };
        let amounts = match self.body(answer) {
            Err(error) if self.is("takes a refusal for zero") => {
                assert_ne!(error.http_status, 0);
                Vec::new()
            }
            body => self.amounts(&body?)?,
        };
        let of = |address: &str| {
            let found = amounts.iter().find(|(known, _)| known == address);
            found.map(|(_, amount)| *amount)
        };
        let mut readings = RVec::new();
        for (index, cell) in (0_u32..).zip(request.cells.iter()) {
            let address = request.addresses[cell.address as usize].as_str();
            let amount = match self.broken.as_str() {
                "answers by position" => amounts.get(cell.address as usize).map(|it| it.1),
                "counts its calls" => of(address).map(|it| it + count as u64),
                "leaves the last out" if index as usize == request.cells.len() - 1 => continue,
                "takes nothing for zero"
                | "takes what is left out for zero"
                | "takes a refusal for zero" => Some(of(address).unwrap_or(0)),
                _ => of(address),
            };
            readings.push(reading(index, amount));
            match self.broken.as_str() {
                "answers twice" => readings.push(reading(index, amount)),
                "invents a cell" => readings.push(reading(index + 1_000, amount)),
                "gives no reason" => {
                    readings.pop();
                    let mut unknown = reading(index, None);
                    unknown.error = RNone;
                    readings.push(unknown);
                }
                _ => {}
            }
        }
        Ok(readings)
    }
}

impl ProviderAbi for Lab {
    fn describe(&self) -> Caps {
        Caps {
            can: match self.is("describes too much") {
                true => CAP_NATIVE | CAP_TOKENS,
                false => CAP_NATIVE,
            },
            cells_per_call_max: if self.is("takes no cell") { 0 } else { 4 },
            addresses_per_call_max: 4,
            assets_per_call_max: 1,
            cost: Cost::default(),
            token_scope: Scope::WALLET,
            commitment_default: Commitment::LATEST,
            once: Once::default(),
            reserved: [0; 6],
        }
    }

    fn validate_address(&self, address: &str) -> Result<String, AbiError> {
        if self.is("takes any address") {
            return Ok(address.to_owned());
        }
        if self.is("has no canonical form") {
            return Ok(format!("{address}+"));
        }
        let is_one = (3..=8).contains(&address.len())
            && address.bytes().all(|byte| byte.is_ascii_alphabetic());
        let kind = match self.is("blames the service for addresses") {
            true => ErrorKind::MALFORMED,
            false => ErrorKind::INVALID_ADDRESS,
        };
        match is_one {
            true => Ok(address.to_ascii_lowercase()),
            false => Err(AbiError::new(kind, "three to eight letters")),
        }
    }

    fn identity(self: Arc<Self>, call: CallContext) -> BoxFuture<Result<RString, AbiError>> {
        Box::pin(async move {
            let answer = self.send(call, "/identity?".to_owned()).await?;
            let body = self.body(answer)?;
            let value: Value = serde_json::from_slice(&body)
                .map_err(|_| AbiError::new(ErrorKind::MALFORMED, "no JSON"))?;
            match value["chain"].as_str() {
                Some(chain) => Ok(chain.into()),
                None => Err(AbiError::new(ErrorKind::MALFORMED, "no chain")),
            }
        })
    }

    fn balances(
        self: Arc<Self>,
        call: CallContext,
        request: BalancesRequest,
    ) -> BoxFuture<Result<RVec<Reading>, AbiError>> {
        Box::pin(self.read(call, request))
    }
}

fn reading(cell: u32, amount: Option<u64>) -> Reading {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&amount.unwrap_or(0).to_be_bytes());
    Reading {
        cell,
        kind: match amount {
            Some(_) => ReadingKind::KNOWN,
            None => ReadingKind::UNKNOWN,
        },
        flags: 0,
        amount: bytes,
        height: 0,
        block_hash: [0; 32],
        pending: [0; 16],
        error: match amount {
            Some(_) => RNone,
            None => RSome(RBox::new(AbiError::new(
                ErrorKind::MISSING,
                "the answer left it out",
            ))),
        },
        reserved: [0; 2],
    }
}

fn fault(why: &str) -> AbiError {
    AbiError::new(ErrorKind::PLUGIN_FAULT, why)
}

fn print_line(line: &str) {
    use std::io::Write as _;
    // As a library does that was told to debug: past the test harness.
    writeln!(std::io::stdout(), "{line}").expect("somebody listens");
}

/// The service: different balances at different addresses, in one list.
pub(super) fn service(request: &HttpRequest) -> Answer {
    let say = |status, body: Value| Ok(response(status, &[], body.to_string()));
    let path = request.path.as_str();
    if path == "/identity?" {
        return say(200, json!({"chain": "lab-1"}));
    }
    let Some(list) = path.strip_prefix("/balances?of=") else {
        return say(404, json!({"error": "nothing is here"}));
    };
    let is_letters = |it: &str| it.bytes().all(|byte| byte.is_ascii_lowercase());
    if !list.split(',').all(is_letters) {
        return say(400, json!({"error": "no such address"}));
    }
    let entries: Vec<_> = list
        .split(',')
        .filter(|address| !address.is_empty())
        .map(|address| {
            let amount = address
                .bytes()
                .fold(1_000_000_u64, |sum, it| sum * 7 % 1_000_003 + u64::from(it));
            json!({"address": address, "amount": amount})
        })
        .collect();
    say(200, json!({"balances": entries}))
}
