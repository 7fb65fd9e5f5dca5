//! Answers in either of the two shapes that the API has.

use scanhost_plugin_api::prelude::*;
use serde_json::Value;

use crate::refusal::refusal;

/// The shape of every module but `proxy`, and of every refusal.
#[derive(Deserialize)]
struct Envelope {
    status: String,
    message: String,
    /// Changes its type on a refusal.
    result: Value,
}

/// The shape of the `proxy` module.
#[derive(Deserialize)]
struct JsonRpc {
    result: Option<Value>,
    error: Option<JsonRpcError>,
}

#[derive(Deserialize)]
struct JsonRpcError {
    code: i64,
    message: String,
}

/// Data, and what the explorer remarks about it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) result: Value,
    pub(crate) remark: Option<String>,
}

/// The result of a module with an envelope.
pub(crate) fn enveloped(response: Response) -> Result<Answered, Error> {
    open(read(object(response)?)?)
}

/// The result of the `proxy` module: text as JSON-RPC, or the failure in either shape.
pub(crate) fn proxied(response: Response) -> Result<String, Error> {
    let value = object(response)?;
    if value.get("status").is_some() {
        open(read(value)?)?;
        return Err(Error::malformed("an envelope instead of a JSON-RPC result"));
    }
    let answer: JsonRpc = read(value)?;
    match (answer.error, answer.result) {
        (Some(error), _) => Err(rpc_refusal(&error)),
        (None, Some(result)) => text(result),
        (None, None) => Err(Error::malformed("neither a result nor an error")),
    }
}

/// The result as text; a number is none.
pub(crate) fn text(result: Value) -> Result<String, Error> {
    match result {
        Value::String(text) => Ok(text),
        other => {
            let start: String = other.to_string().chars().take(80).collect();
            Err(Error::malformed(format!("`{start}` instead of text")))
        }
    }
}

fn open(envelope: Envelope) -> Result<Answered, Error> {
    if envelope.status != "1" {
        // Also "No transactions found": for a balance that is no answer.
        let text = envelope.result.as_str().unwrap_or_default();
        return Err(refusal(&envelope.message, text));
    }
    // A missing key once came as "OK-Missing/Invalid API Key, rate limit of 1/5sec applied", with
    // data that is right.
    if !envelope.message.starts_with("OK") {
        let start: String = envelope.message.chars().take(80).collect();
        return Err(Error::malformed(format!("status 1 with message `{start}`")));
    }
    Ok(Answered {
        result: envelope.result,
        remark: (envelope.message != "OK").then_some(envelope.message),
    })
}

/// The API tells a refused key with status 200; a 403 is the gateway turning the sender away.
fn status(response: Response) -> Result<Response, Error> {
    response.ok().map_err(|error| match error.http_status {
        Some(403) => Error {
            kind: ErrorKind::RateLimited,
            ..error
        },
        _ => error,
    })
}

fn rpc_refusal(error: &JsonRpcError) -> Error {
    let told = refusal("", &error.message);
    // A call that the contract itself refuses says nothing about the explorer.
    let reverted = error.code == 3 || error.message.to_ascii_lowercase().contains("revert");
    let kind = match (told.kind, error.code) {
        (ErrorKind::ServerError, _) if reverted => ErrorKind::Refused,
        (ErrorKind::ServerError, -32601) => ErrorKind::Unsupported,
        (ErrorKind::ServerError, -32602 | -32600) => ErrorKind::Refused,
        (ErrorKind::ServerError, -32005 | 429) => ErrorKind::RateLimited,
        (kind, _) => kind,
    };
    Error { kind, ..told }.with_code(error.code)
}

/// A list would pass for an object with its fields in order.
fn object(response: Response) -> Result<Value, Error> {
    let response = status(response)?;
    let value: Value = response.json()?;
    if value.is_object() {
        return Ok(value);
    }
    let message = format!("not a JSON object: {}", response.quote());
    Err(Error::malformed(message))
}

fn read<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, Error> {
    let raw = serde_json::value::to_raw_value(&value)
        .map_err(|error| Error::malformed(format!("not the JSON that was expected ({error})")))?;
    scanhost_plugin_api::parse_json(&raw)
}
