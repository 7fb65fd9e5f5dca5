//! A drill: a recording in the network's place, faults on top of it, a recorder behind.
//!
//! It stands where a plugin's request enters its client, before any key: a recording holds what the
//! plugin asked and what it was told, and fits any key, limit or proxy.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scanhost_conformance::cassette::{self, Body, Exchange, Recorded};
use scanhost_conformance::fault::{self, Kind};
use scanhost_conformance::{Cassette, Faults};

use super::client::HttpClient;
use super::error::HttpError;
use super::observer::{AttemptEnd, HttpObserver, OpenAttempt};
use super::request::{Request, Response};
use super::retry_after;
use crate::model::Class;

/// What stands between the clients of a run and their providers.
#[derive(Debug, Default)]
pub struct Rig {
    replay: Option<Cassette>,
    faults: Faults,
    recorder: Option<Recorder>,
}

/// Writes down what is asked and answered, in the order in which it was answered.
#[derive(Debug)]
struct Recorder(Mutex<Tape>);

#[derive(Debug)]
struct Tape {
    path: PathBuf,
    /// Made with the first exchange, so that a run that never begins leaves no file.
    out: Option<File>,
    /// The first one; nothing is written after it.
    failed: Option<io::Error>,
}

/// What an answer is recorded by.
struct Question {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

// === impl Rig ===

impl Rig {
    /// Nothing is asked of the network; what was not recorded fails.
    #[must_use]
    pub fn replaying(mut self, cassette: Cassette) -> Self {
        self.replay = Some(cassette);
        self
    }

    /// These go wrong.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Everything is written to a new file.
    ///
    /// # Errors
    ///
    /// The file is there already, or its folder is not.
    pub fn recording(mut self, path: &Path) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if path
            .parent()
            .is_some_and(|it| it != Path::new("") && !it.is_dir())
        {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.recorder = Some(Recorder(Mutex::new(Tape {
            path: path.to_owned(),
            out: None,
            failed: None,
        })));
        Ok(self)
    }

    /// Whether what is asked must be the same each time.
    #[must_use]
    pub fn keeps_order(&self) -> bool {
        self.replay.is_some() || self.recorder.is_some()
    }

    /// Whether it does nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.replay.is_none() && self.faults.is_empty() && self.recorder.is_none()
    }

    /// Ends the recording.
    ///
    /// # Errors
    ///
    /// It is not complete.
    pub fn finish(&self) -> io::Result<()> {
        let Some(Recorder(tape)) = &self.recorder else {
            return Ok(());
        };
        let mut tape = tape.lock().unwrap_or_else(PoisonError::into_inner);
        match tape.failed.take() {
            Some(error) => Err(error),
            // Nothing was asked: that is a recording too.
            None => tape.file().map(|_| ()),
        }
    }

    /// [`HttpClient::send`], with what this is made of.
    pub(super) async fn send(
        &self,
        client: &HttpClient,
        request: Request,
        observer: &dyn HttpObserver,
    ) -> Result<Response, HttpError> {
        let question = self.recorder.is_some().then(|| Question::of(&request));
        let began = client.clock.now();
        let answer = self.answer(client, request, observer).await;
        if let (Some(question), Some(recorder)) = (question, &self.recorder) {
            let elapsed = client.clock.now().saturating_duration_since(began);
            recorder.write(client, question, &answer, elapsed);
        }
        answer
    }

    async fn answer(
        &self,
        client: &HttpClient,
        request: Request,
        observer: &dyn HttpObserver,
    ) -> Result<Response, HttpError> {
        let fault = self.faults.next(client.name.as_str());
        let failed = |class, message: &str| HttpError::Drill {
            class,
            message: message.to_owned(),
        };
        match fault {
            Some(Kind::Status(status)) => {
                let headers = fault::PAGE_HEADERS.map(|(name, value)| (name.into(), value.into()));
                let answer = Ok(response(status, headers.into(), fault::page(status)));
                attempt(client, &request, observer, answer)
            }
            Some(Kind::Timeout) => {
                let answer = Err(failed(Class::Timeout, "injected: no answer in time"));
                attempt(client, &request, observer, answer)
            }
            Some(Kind::Reset) => {
                let answer = Err(failed(Class::Transport, fault::RESET));
                attempt(client, &request, observer, answer)
            }
            Some(Kind::Delay(delay)) if delay >= client.timeout_of(&request) => {
                tokio::time::sleep(client.timeout_of(&request)).await;
                let answer = Err(failed(Class::Timeout, "injected: no answer in time"));
                attempt(client, &request, observer, answer)
            }
            None | Some(Kind::Delay(_) | Kind::Truncate | Kind::Garbage) => {
                if let Some(Kind::Delay(delay)) = fault {
                    tokio::time::sleep(delay).await;
                }
                let answer = match &self.replay {
                    Some(recording) => {
                        let answer = replayed(recording, client, &request);
                        attempt(client, &request, observer, answer)
                    }
                    None => client.send_out(request, observer).await,
                };
                answer.map(|answer| match fault {
                    Some(kind) => Response {
                        body: fault::spoil(kind, answer.body),
                        ..answer
                    },
                    None => answer,
                })
            }
        }
    }
}

/// An answer that no network gave counts as an attempt like any other.
fn attempt(
    client: &HttpClient,
    request: &Request,
    observer: &dyn HttpObserver,
    answer: Result<Response, HttpError>,
) -> Result<Response, HttpError> {
    let path = client.redactor.redact(&request.path_and_query);
    let url = format!("{}{path}", client.origin);
    let observers = [observer, &*client.watcher];
    let mut open = OpenAttempt::start(observers, &client.clock, request.method, &url);
    match &answer {
        Ok(response) => {
            open.bytes = response.body.len() as u64;
            open.ended(AttemptEnd::Status(response.status));
        }
        Err(error) => open.ended(AttemptEnd::Failed(error.class())),
    }
    answer
}

fn replayed(
    recording: &Cassette,
    client: &HttpClient,
    request: &Request,
) -> Result<Response, HttpError> {
    let (method, path) = (request.method.as_str(), &request.path_and_query);
    let failed = |class, message| Err(HttpError::Drill { class, message });
    match recording.answer(client.name.as_str(), method, path, &request.body) {
        None => {
            let path = client.redactor.redact_line(path);
            failed(Class::Transport, cassette::not_recorded(method, &path))
        }
        Some(Recorded::Failure { class, why }) => {
            let class = Class::parse(class).unwrap_or(Class::Transport);
            failed(class, format!("recorded: {why}"))
        }
        Some(Recorded::Response {
            status,
            headers,
            body,
        }) => {
            // It was judged when the file was read.
            let body = body.bytes().unwrap_or_default();
            let mut response = response(*status, headers.clone(), body);
            let waits = headers.iter().find(|(name, _)| name == "retry-after");
            let now = client.clock.unix_ms().div_euclid(1000);
            response.retry_after = waits.and_then(|(_, value)| retry_after::parse(value, now));
            Ok(response)
        }
    }
}

fn response(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Response {
    Response {
        status,
        headers,
        body,
        truncated: false,
        retry_after: None,
        elapsed: Duration::ZERO,
    }
}

// === impl Tape ===

impl Tape {
    fn file(&mut self) -> io::Result<&mut File> {
        if self.out.is_none() {
            let mut out = File::create_new(&self.path)?;
            writeln!(out, "{}", cassette::head())?;
            self.out = Some(out);
        }
        self.out
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// As a whole, so that a process that is killed leaves no half of one.
    fn write(&mut self, mut line: String) -> io::Result<()> {
        line.push('\n');
        self.file()?.write_all(line.as_bytes())
    }
}

// === impl Question ===

impl Question {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method.as_str(),
            path: request.path_and_query.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        }
    }
}

// === impl Recorder ===

impl Recorder {
    fn write(
        &self,
        client: &HttpClient,
        question: Question,
        answer: &Result<Response, HttpError>,
        elapsed: Duration,
    ) {
        let redactor = &client.redactor;
        // Said by nobody else than us.
        if matches!(answer, Err(HttpError::PacedOut { .. })) {
            return;
        }
        let answer = match answer {
            Ok(response) => {
                // A date would be over when it is replayed.
                let wait = response.retry_after.map(|wait| wait.as_secs().max(1));
                let headers = response.headers.iter();
                let mut headers: Vec<_> = headers
                    .filter(|(name, _)| name != "retry-after")
                    .cloned()
                    .collect();
                headers.extend(wait.map(|wait| ("retry-after".to_owned(), wait.to_string())));
                Recorded::Response {
                    status: response.status,
                    headers,
                    body: Body::of(&response.body),
                }
            }
            Err(error) => Recorded::Failure {
                class: error.class().as_str().to_owned(),
                why: error.to_string(),
            },
        };
        let headers = question.headers.into_iter();
        let exchange = Exchange {
            provider: client.name.as_str().to_owned(),
            method: question.method.to_owned(),
            // As it is asked again; a plugin knows no key that could stand in it.
            path: question.path,
            request_headers: headers
                .map(|(name, value)| (name, redactor.redact(&value)))
                .collect(),
            body: Body::of(&question.body),
            answer,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        };
        let line = exchange.to_line().map_err(io::Error::other);
        let mut tape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tape.failed.is_none()
            && let Err(error) = line.and_then(|line| tape.write(line))
        {
            tape.failed = Some(error);
        }
    }
}
