//! JSON-RPC 2.0 as the EVM nodes and the Solana nodes frame it.

use serde_json::Value;

use super::asked::{Asked, Call};
use super::faults::{Fault, Kind, has, on_call};
use super::http::{Request, Response};

/// A result as JSON text.
pub(crate) type Raw = String;

/// A JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    /// JSON text.
    pub(crate) data: Option<Raw>,
}

/// What the two families of nodes do differently.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// Solana writes `id` last, geth second.
    pub(crate) id_last: bool,
    /// Requests above this are refused with 413.
    pub(crate) body_max: usize,
    /// Largest batch.
    pub(crate) batch_max: usize,
    /// What [`Kind::ErrorIn200`] says when it is told nothing.
    pub(crate) usual_error: (i64, &'static str),
    /// What [`Kind::RateLimitText`] says.
    pub(crate) rate_error: (i64, &'static str),
}

/// One call of a request.
#[derive(Clone, Debug)]
pub(crate) struct RpcCall {
    id: Value,
    pub(crate) method: String,
    pub(crate) params: Vec<Value>,
    pub(crate) asked: Call,
}

enum Parsed {
    One(RpcCall),
    Batch(Vec<RpcCall>),
}

// === impl RpcError ===

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    pub(crate) fn no_method(method: &str) -> Self {
        let message = format!("the method {method} does not exist/is not available");
        Self::new(-32601, message)
    }

    pub(crate) fn with_data(mut self, data: Raw) -> Self {
        self.data = Some(data);
        self
    }

    fn json(&self) -> Raw {
        let data = self.data.as_ref();
        let data = data
            .map(|data| format!(",\"data\":{data}"))
            .unwrap_or_default();
        let Self { code, message, .. } = self;
        format!("{{\"code\":{code},\"message\":{}{data}}}", quoted(message))
    }
}

// === impl Dialect ===

impl Dialect {
    pub(crate) fn reply(&self, id: &Value, outcome: &Result<Raw, RpcError>) -> Raw {
        let outcome = match outcome {
            Ok(result) => format!("\"result\":{result}"),
            Err(error) => format!("\"error\":{}", error.json()),
        };
        if self.id_last {
            format!("{{\"jsonrpc\":\"2.0\",{outcome},\"id\":{id}}}")
        } else {
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{outcome}}}")
        }
    }
}

/// What a request asks for; nothing when it is not JSON-RPC.
pub(crate) fn inspect(request: &Request, look: impl Fn(&str, &[Value]) -> Call) -> Asked {
    let calls = match parse(&request.body, look) {
        Ok(Parsed::One(call)) => vec![call.asked],
        Ok(Parsed::Batch(calls)) => calls.into_iter().map(|call| call.asked).collect(),
        Err(_) => vec![Call::bare("invalid")],
    };
    Asked { calls }
}

/// What `read` makes of the parameters of each call of this method.
pub(crate) fn sent<T>(
    request: &Request,
    method: &str,
    read: impl Fn(&[Value]) -> Option<T>,
) -> Vec<T> {
    let calls = match parse(&request.body, |method, _| Call::bare(method)) {
        Ok(Parsed::One(call)) => vec![call],
        Ok(Parsed::Batch(calls)) => calls,
        Err(_) => Vec::new(),
    };
    let calls = calls.iter().filter(|call| call.method == method);
    calls.filter_map(|call| read(&call.params)).collect()
}

/// Answers a request, call by call, with the faults of lists, ids and errors put in.
pub(crate) fn serve(
    request: &Request,
    dialect: &Dialect,
    faults: &[Fault],
    look: impl Fn(&str, &[Value]) -> Call,
    answer: impl Fn(&RpcCall) -> Result<Raw, RpcError>,
) -> Response {
    if request.method != "POST" {
        return Response::text(
            405,
            "Used HTTP Method is not allowed. POST or OPTIONS is required\n",
        );
    }
    let content_type = request.header_value("content-type");
    if content_type.is_some_and(|value| !value.starts_with("application/json")) {
        let text = "invalid content type, only application/json is supported\n";
        return Response::text(415, text);
    }
    if request.body.len() > dialect.body_max {
        return Response::text(413, "request body too large\n");
    }
    let outcome = |call: &RpcCall| {
        on_call(faults, &call.asked, |kind| {
            error_of(kind, dialect, &call.method)
        })
        .unwrap_or_else(|| {
            if has(faults, &call.asked, &Kind::Null) && call.asked.cells.len() < 2 {
                return Ok("null".to_owned());
            }
            answer(call)
        })
    };
    match parse(&request.body, look) {
        Err(error) => Response::json(200, dialect.reply(&Value::Null, &Err(error))),
        Ok(Parsed::One(call)) => {
            let foreign = has(faults, &call.asked, &Kind::Uninvited) && !positional(&call.method);
            let id = if foreign {
                foreign_id()
            } else {
                call.id.clone()
            };
            Response::json(200, dialect.reply(&id, &outcome(&call)))
        }
        Ok(Parsed::Batch(calls)) => Response::json(200, batch(&calls, dialect, faults, outcome)),
    }
}

/// An id that nobody asks with.
fn foreign_id() -> Value {
    Value::from(4_112_000_111_u64)
}

fn batch(
    calls: &[RpcCall],
    dialect: &Dialect,
    faults: &[Fault],
    outcome: impl Fn(&RpcCall) -> Result<Raw, RpcError>,
) -> Raw {
    let Some(first) = calls.first() else {
        let error = RpcError::new(-32600, "empty batch");
        return dialect.reply(&Value::Null, &Err(error));
    };
    if calls.len() > dialect.batch_max {
        let error = RpcError::new(-32600, "batch too large");
        return format!("[{}]", dialect.reply(&first.id, &Err(error)));
    }
    let replies = calls
        .iter()
        .map(|call| dialect.reply(&call.id, &outcome(call)));
    let mut replies: Vec<Raw> = replies.collect();
    let any = |kind: &Kind| calls.iter().any(|call| has(faults, &call.asked, kind));
    if any(&Kind::Short) {
        replies.pop();
    }
    if any(&Kind::Doubled) {
        replies.push(replies[0].clone());
    }
    if any(&Kind::Uninvited) {
        replies.push(dialect.reply(&foreign_id(), &outcome(first)));
    }
    if any(&Kind::Reordered) {
        replies.reverse();
    }
    format!("[{}]", replies.join(","))
}

/// Methods whose one result is itself a list by position, which carries the list's faults.
fn positional(method: &str) -> bool {
    matches!(
        method,
        "eth_call" | "getMultipleAccounts" | "getTokenAccountsByOwner"
    )
}

fn error_of(kind: &Kind, dialect: &Dialect, method: &str) -> Option<Result<Raw, RpcError>> {
    let error = match kind {
        Kind::ErrorIn200 { code, message } => {
            let (usual_code, usual) = dialect.usual_error;
            let message = message.clone().unwrap_or_else(|| usual.to_owned());
            RpcError::new(code.unwrap_or(usual_code), message)
        }
        Kind::RateLimitText => {
            let (code, message) = dialect.rate_error;
            RpcError::new(code, message)
        }
        Kind::NoSuchMethod if dialect.id_last => RpcError::new(-32601, "Method not found"),
        Kind::NoSuchMethod => RpcError::no_method(method),
        _ => return None,
    };
    Some(Err(error))
}

fn parse(body: &[u8], look: impl Fn(&str, &[Value]) -> Call) -> Result<Parsed, RpcError> {
    let value: Value =
        serde_json::from_slice(body).map_err(|_| RpcError::new(-32700, "parse error"))?;
    let call = |value: Value| {
        let method = value.get("method").and_then(Value::as_str);
        let method = method.ok_or_else(|| RpcError::new(-32600, "invalid request"))?;
        let params = match value.get("params") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(params)) => params.clone(),
            Some(_) => return Err(RpcError::params("non-array args")),
        };
        Ok(RpcCall {
            id: value.get("id").cloned().unwrap_or_default(),
            asked: look(method, &params),
            method: method.to_owned(),
            params,
        })
    };
    match value {
        Value::Array(items) => {
            let calls: Result<_, _> = items.into_iter().map(call).collect();
            Ok(Parsed::Batch(calls?))
        }
        value => Ok(Parsed::One(call(value)?)),
    }
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> Raw {
    Value::from(text).to_string()
}

/// A single reply with the id 1, as a proxy before geth writes it.
pub(crate) fn geth_reply(outcome: &Result<Raw, RpcError>) -> Raw {
    match outcome {
        Ok(result) => format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{result}}}"),
        Err(error) => format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}}",
            error.json()
        ),
    }
}
