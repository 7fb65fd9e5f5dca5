//! The simulator behind HTTP on a loopback port.
//!
//! Tests in other processes steer it under `/_control`: `GET log`, `DELETE log`, `GET counters`,
//! `GET faults`, `POST faults` (one fault or a list, in the form of [`super::Fault`]), `DELETE
//! faults`.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Ending, Fault, LogEntry, Request, Response, World};

const BODY_MAX: usize = 64 * 1024 * 1024;

/// A running simulator; dropping it closes the listener and all connections' tasks.
#[derive(Debug)]
pub struct Upstream {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub base_url: String,
    world: SharedWorld,
    task: JoinHandle<io::Result<()>>,
    /// Each host's own listener: in reality no two of them share an origin.
    hosts: HashMap<String, HostListener>,
}

#[derive(Debug)]
struct HostListener {
    base_url: String,
    task: JoinHandle<io::Result<()>>,
}

type SharedWorld = Arc<Mutex<World>>;

// === impl Upstream ===

impl Upstream {
    /// Serves a world on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn start(world: World) -> io::Result<Self> {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), world).await
    }

    /// Serves a world on this address.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn listen(address: SocketAddr, world: World) -> io::Result<Self> {
        let names: Vec<String> = world.hosts().map(|(name, _)| name.to_owned()).collect();
        let world = Arc::new(Mutex::new(world));
        let (base_url, task) = serve(address, &world).await?;
        let mut hosts = HashMap::new();
        for name in names {
            let (base_url, task) = serve(SocketAddr::new(address.ip(), 0), &world).await?;
            hosts.insert(name, HostListener { base_url, task });
        }
        Ok(Self {
            base_url,
            world,
            task,
            hosts,
        })
    }

    /// The endpoint of a host as it is written in TOML.
    ///
    /// # Panics
    ///
    /// When there is no such host.
    #[must_use]
    pub fn endpoint(&self, host: &str) -> String {
        let base_path = self.with(|world| {
            let mut hosts = world.hosts();
            hosts
                .find(|(name, _)| *name == host)
                .map(|(_, host)| host.base_path())
        });
        let base_path = base_path.unwrap_or_else(|| panic!("no simulated host `{host}`"));
        let own = self.hosts.get(host).map(|listener| &listener.base_url);
        format!("{}/{host}{base_path}", own.unwrap_or(&self.base_url))
    }

    /// Looks at the world, or changes it, between two requests.
    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        with(&self.world, look)
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        self.with(|world| world.faults.add(fault));
    }

    /// Removes all faults.
    pub fn mend(&self) {
        self.with(|world| world.faults.clear());
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.with(|world| world.log().to_vec())
    }

    /// Waits until the listener breaks, which it does not by itself.
    ///
    /// # Errors
    ///
    /// When the listener broke.
    pub async fn run(mut self) -> io::Result<()> {
        let ended = (&mut self.task).await;
        ended.map_err(io::Error::other)?
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
        for listener in self.hosts.values() {
            listener.task.abort();
        }
    }
}

/// Serves the world on one more address; where, and the task that does it.
async fn serve(
    address: SocketAddr,
    world: &SharedWorld,
) -> io::Result<(String, JoinHandle<io::Result<()>>)> {
    let listener = TcpListener::bind(address).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(carry).with_state(Arc::clone(world));
    let task = tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((base_url, task))
}

fn with<T>(world: &SharedWorld, look: impl FnOnce(&mut World) -> T) -> T {
    look(&mut world.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Carries one exchange: request in, response out, with what the network does to it.
async fn carry(
    State(world): State<SharedWorld>,
    request: http::Request<Body>,
) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return plain(Response::text(413, "request body too large"), Body::from);
    };
    let headers = parts.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().to_owned(), value.into_owned())
    });
    let request = Request {
        method: parts.method.as_str().to_owned(),
        target: parts.uri.to_string(),
        headers: headers.collect(),
        body: body.to_vec(),
    };
    let response = match control(&request, &world) {
        Some(response) => response,
        None => with(&world, |world| world.handle(&request, now_ms())),
    };
    tokio::time::sleep(response.delay).await;
    match response.ending {
        Ending::Complete => plain(response, Body::from),
        Ending::Hang => std::future::pending().await,
        Ending::Reset => plain(response, |_| broken_after(Bytes::new())),
        Ending::Cut(length) => plain(response, |mut body| {
            body.truncate(length);
            broken_after(body.into())
        }),
    }
}

fn plain(response: Response, body: impl FnOnce(Vec<u8>) -> Body) -> http::Response<Body> {
    let mut built = http::Response::builder();
    built = match response.ending {
        // A length that never comes makes the server poll the body, which breaks the connection
        // before the head is flushed.
        Ending::Hang | Ending::Reset => built.header("content-length", 1),
        Ending::Complete | Ending::Cut(_) => {
            let built = built.status(response.status);
            built.header("content-length", response.body.len())
        }
    };
    for (name, value) in &response.headers {
        built = built.header(name, value);
    }
    let refused = |_| http::Response::new(Body::from("a fault has an impossible status or header"));
    built.body(body(response.body)).unwrap_or_else(refused)
}

/// A body that sends this much and then breaks the connection.
fn broken_after(sent: Bytes) -> Body {
    let parts = futures_util::stream::unfold((sent, false), |(sent, flush)| async move {
        if flush {
            // A pause lets the server flush what it has; without one nothing is sent at all.
            tokio::task::yield_now().await;
        }
        if sent.is_empty() {
            return Some((
                Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                (sent, false),
            ));
        }
        Some((Ok(sent), (Bytes::new(), true)))
    });
    Body::from_stream(parts)
}

fn control(request: &Request, world: &SharedWorld) -> Option<Response> {
    let (host, path) = request.host_and_rest();
    if host != "_control" {
        return None;
    }
    let shown = |value: serde_json::Result<Vec<u8>>| match value {
        Ok(body) => Response::json(200, body),
        Err(error) => Response::text(500, error.to_string()),
    };
    let response = match (request.method.as_str(), path) {
        ("GET", "/log") => shown(with(world, |world| serde_json::to_vec(world.log()))),
        ("DELETE", "/log") => {
            with(world, World::clear_log);
            Response::json(200, "[]")
        }
        ("GET", "/counters") => shown(with(world, |world| serde_json::to_vec(&world.counters()))),
        ("GET", "/faults") => shown(with(world, |world| serde_json::to_vec(world.faults.list()))),
        ("POST", "/faults") => match faults_of(&request.body) {
            Ok(faults) => {
                with(world, |world| {
                    faults.into_iter().for_each(|fault| world.faults.add(fault))
                });
                shown(with(world, |world| serde_json::to_vec(world.faults.list())))
            }
            Err(error) => Response::text(400, format!("failed to read the faults: {error}")),
        },
        ("DELETE", "/faults") => {
            with(world, |world| world.faults.clear());
            Response::json(200, "[]")
        }
        _ => Response::text(404, "log, counters and faults are what there is"),
    };
    Some(response)
}

fn faults_of(body: &[u8]) -> serde_json::Result<Vec<Fault>> {
    match serde_json::from_slice(body)? {
        value @ Value::Array(_) => serde_json::from_value(value),
        value => Ok(vec![serde_json::from_value(value)?]),
    }
}

/// The time of the simulator's log, in milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a server outside of the host has no clock passed in"
)]
#[must_use]
pub fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since_epoch.unwrap_or_default().as_millis();
    i64::try_from(millis).unwrap_or(i64::MAX)
}
