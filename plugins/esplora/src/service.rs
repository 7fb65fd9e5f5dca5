//! What sets one operator of the API apart from another.

use std::time::Duration;

use scanhost_plugin_api::prelude::*;

use crate::address;

/// An operator of the Esplora API.
///
/// The protocol is the same everywhere; the gateways in front of it are not.
pub trait Service: Send + Sync + 'static {
    /// Said beside a rate answer: what is known of the limits and what the operator can do.
    const RATE_ADVICE: &'static str;

    /// What a 403 means. `None`: the key is refused. Otherwise the caller's address is banned, and
    /// the service is left alone for this long.
    const BAN: Option<Duration>;

    /// Whether addresses are derived of public keys: of Bitcoin's alone.
    const DERIVES: bool = true;

    /// The canonical form of an address of a network, of which there is one name each in the
    /// manifest; Bitcoin's by default.
    ///
    /// # Errors
    ///
    /// It is none; or the chain has no such network.
    fn canonical(address: &str, network: &str) -> Result<String, Error> {
        address::canonical(address, address::network(network)?)
    }

    /// Refuses a network that the chain does not have.
    ///
    /// # Errors
    ///
    /// Which there are.
    fn check_network(network: &str) -> Result<(), Error> {
        address::network(network).map(|_| ())
    }
}

/// The answer to `request` if its status is 200, else the failure as this service means it.
pub(crate) async fn ask<S: Service>(cx: &Cx, request: Request) -> Result<Response, Error> {
    let answer = cx.send(request).await?.ok().and_then(no_notice);
    answer.map_err(explain::<S>)
}

/// Gateways were seen to tell their limit with status 200; no answer of the API has these words.
fn no_notice(response: Response) -> Result<Response, Error> {
    const HEAD: usize = 1024;
    let head = &response.body[..response.body.len().min(HEAD)];
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.contains("too many requests") {
        return Ok(response);
    }
    let error = Error {
        retry_after: response.retry_after(),
        ..Error::new(ErrorKind::RateLimited, response.quote())
    };
    Err(error.with_status(response.status))
}

fn explain<S: Service>(mut error: Error) -> Error {
    if let (Some(403), Some(ban)) = (error.http_status, S::BAN) {
        error.kind = ErrorKind::RateLimited;
        error.retry_after = error.retry_after.or(Some(ban));
    }
    if error.kind == ErrorKind::RateLimited {
        error.message = format!("{}; {}", error.message, S::RATE_ADVICE);
    }
    error
}
