//! The built binary as a service, spoken to over HTTP.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use scanhost_tests::product::{Product, Run};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::lab::wait_until;
use crate::running::Running;

/// What does not come within this does not come.
const LONG: Duration = Duration::from_secs(60);

/// A running service.
pub(crate) struct Served {
    running: Running,
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub(crate) url: String,
    client: Client,
    runtime: Runtime,
    token: Option<String>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<i64>,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

/// A stream of events that is read piece by piece.
pub(crate) struct Stream {
    response: Response,
    text: String,
}

// === impl Served ===

impl Served {
    /// `scanhost serve` on a free port.
    pub(crate) fn start(product: &Product) -> Self {
        Self::with(product, &[])
    }

    /// The same, with more variables.
    pub(crate) fn with(product: &Product, variables: &[(&str, &str)]) -> Self {
        let mut command = product.command(&["serve"]);
        command.envs(variables.iter().copied());
        Self::of(command)
    }

    /// A command that becomes the service, on a free port.
    pub(crate) fn of(mut command: std::process::Command) -> Self {
        command.env("SCANHOST__SERVICE__LISTEN", "127.0.0.1:0");
        let mut running = Running::of(command);
        running.read_on();
        let url_of = |said: &str| {
            let line = said.lines().find_map(|it| it.split_once("listening at "));
            // In a line of JSON the message ends with a quote.
            let url = line.and_then(|(_, url)| url.split('"').next());
            url.map(|url| url.trim_end_matches('/').to_owned())
        };
        let starting = std::cell::RefCell::new(&mut running);
        wait_until(|| {
            let mut running = starting.borrow_mut();
            url_of(&running.said()).is_some() || running.has_ended()
        });
        let said = running.said();
        let url = url_of(&said).unwrap_or_else(|| panic!("it did not start:\n{said}"));
        Self {
            running,
            url,
            client: Client::builder().no_proxy().build().expect("a client"),
            runtime: Runtime::new().expect("a runtime starts"),
            token: None,
        }
    }

    /// Sends this token from now on.
    pub(crate) fn log_in(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    pub(crate) fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A request below `/api/v1`, or at the root with a leading slash.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = match path.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.url),
            None => format!("{}/api/v1/{path}", self.url),
        };
        let request = self.client.request(method, url).timeout(LONG);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    #[track_caller]
    pub(crate) fn send(&self, request: RequestBuilder) -> Answer {
        self.runtime.block_on(async {
            let response = request.send().await.expect("it answers");
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.expect("it is read to its end");
            Answer {
                status,
                headers,
                text,
            }
        })
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path))
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/json");
        self.send(request.body(body.to_string()))
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path))
    }

    /// Begins a scan of a chain's set; its id.
    #[track_caller]
    pub(crate) fn scan(&self, chain: &str) -> String {
        let begun = self.post("scans", &serde_json::json!({ "chain": chain }));
        let begun = begun.expect(202);
        begun["id"].as_str().expect("it has an id").to_owned()
    }

    /// Waits until a scan has ended, and tells it.
    #[track_caller]
    pub(crate) fn ended(&self, id: &str) -> Value {
        let scan = || self.get(&format!("scans/{id}")).expect(200);
        wait_until(|| scan()["ended_at"].is_string());
        scan()
    }

    /// The items of a list, page by page.
    #[track_caller]
    pub(crate) fn items(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let more = if cursor.is_empty() {
                String::new()
            } else {
                format!("{sign}cursor={cursor}")
            };
            let page = self.get(&format!("{path}{more}")).expect(200);
            items.extend(page["items"].as_array().expect("a list").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return items,
            }
        }
    }

    /// Follows the events; `query` begins with `?`.
    #[track_caller]
    pub(crate) fn events(&self, query: &str, last_id: Option<i64>) -> Stream {
        let url = format!("{}/api/v1/events{query}", self.url);
        let mut request = self.client.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = self.runtime.block_on(request.send()).expect("it answers");
        assert_eq!(response.status(), 200);
        Stream {
            response,
            text: String::new(),
        }
    }

    /// The events of a stream up to the first that is so, at most for a minute.
    #[track_caller]
    pub(crate) fn read_until(
        &self,
        stream: &mut Stream,
        is_last: impl Fn(&Event) -> bool,
    ) -> Vec<Event> {
        self.read_within(LONG, stream, is_last)
    }

    /// The same, at most for this long.
    #[track_caller]
    pub(crate) fn read_within(
        &self,
        patience: Duration,
        stream: &mut Stream,
        is_last: impl Fn(&Event) -> bool,
    ) -> Vec<Event> {
        let read = async {
            let mut events = Vec::new();
            loop {
                let event = stream.next().await.expect("the stream goes on");
                events.push(event);
                if events.last().is_some_and(&is_last) {
                    return events;
                }
            }
        };
        let read = async { tokio::time::timeout(patience, read).await };
        self.runtime.block_on(read).expect("the event comes")
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(self) -> Run {
        self.running.signal("-TERM");
        self.end()
    }

    /// SIGKILL.
    pub(crate) fn kill(self) -> Run {
        self.running.kill();
        self.end()
    }

    fn end(mut self) -> Run {
        wait_until_ended(&mut self.running);
        self.running.end()
    }
}

fn wait_until_ended(running: &mut Running) {
    let running = std::cell::RefCell::new(running);
    wait_until(|| running.borrow_mut().has_ended());
}

// === impl Answer ===

impl Answer {
    /// The JSON of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A problem document with this code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{problem}"
        );
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        problem
    }
}

// === impl Stream ===

impl Stream {
    /// The next event; `None` at the stream's end. Comments are passed over.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let event = Event::parse(frame);
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text
                .push_str(std::str::from_utf8(&chunk).expect("frames are whole"));
        }
    }
}

// === impl Event ===

impl Event {
    fn parse(frame: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = frame.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        Some(Self {
            id: field("id").map(|id| id.parse().expect("ids are numbers")),
            kind: field("event")?.to_owned(),
            data: serde_json::from_str(field("data")?).expect("data is JSON"),
        })
    }
}
