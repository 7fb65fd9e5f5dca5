//! JSON-RPC 2.0 over the host's HTTP: single calls and batches, matched by id.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::amount::{clipped, shortened};
use crate::{Cx, Error, ErrorKind, Request, strict};

/// One call: a method and its parameters as a JSON array.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcCall {
    /// The method.
    pub method: &'static str,
    /// The parameters.
    pub params: serde_json::Value,
}

impl RpcCall {
    /// A call of `method`.
    #[must_use]
    pub fn new(method: &'static str, params: serde_json::Value) -> Self {
        Self { method, params }
    }

    fn body(&self, id: usize) -> serde_json::Value {
        serde_json::json!({
            "jsonrpc": "2.0", "id": id, "method": self.method, "params": self.params,
        })
    }
}

/// The answers to a batch, by the index of their call.
#[derive(Debug)]
pub struct RpcReplies {
    replies: Vec<Option<Result<Box<RawValue>, Error>>>,
}

impl RpcReplies {
    fn with_delay(mut self, delay: Option<Duration>) -> Self {
        for reply in self.replies.iter_mut().flatten() {
            if let Err(error) = reply {
                *error = error.clone().with_delay(delay);
            }
        }
        self
    }

    /// The answer to the call at `index`, as `T`.
    ///
    /// # Errors
    ///
    /// [`Missing`](ErrorKind::Missing) where the batch left it out or answered it twice, the
    /// error that the provider gave, [`Malformed`](ErrorKind::Malformed) for another shape.
    pub fn take<T: for<'de> Deserialize<'de>>(&mut self, index: usize) -> Result<T, Error> {
        match self.replies.get_mut(index).and_then(Option::take) {
            None => Err(Error::missing("the batch left this call out")),
            Some(reply) => parse_json(&reply?),
        }
    }
}

impl Cx {
    /// One JSON-RPC call, posted to the endpoint itself.
    ///
    /// # Errors
    ///
    /// What the status tells ([`Response::ok`](crate::Response::ok)), what a JSON-RPC error tells
    /// (see below), or [`Malformed`](ErrorKind::Malformed): not JSON, no `result`, another id,
    /// another shape. A `null` is `Malformed` unless `T` takes it.
    ///
    /// The kinds of JSON-RPC errors: texts of limits of batch, request, response and gas:
    /// `TooLarge`, whatever the code. 429, -32005, -32007, -32029, -32429, and texts of rate
    /// limits: `RateLimited`. -32601: `Unsupported`. -32600 and -32602 and 3: `Refused`. All
    /// others: `ServerError`. A provider whose codes mean something else looks at [`Error::code`].
    pub async fn rpc<T: for<'de> Deserialize<'de>>(&self, call: RpcCall) -> Result<T, Error> {
        let body = serde_json::to_vec(&call.body(0)).expect("JSON values serialize");
        let response = self.send(Request::post_json("", body)).await?;
        let response = rpc_status(response)?;
        let delay = response.retry_after();
        let reply: Reply = response.json()?;
        if reply.id != Some(Id::Number(0)) && reply.error.is_none() {
            return Err(Error::malformed("the answer has another id than the call"));
        }
        let result = reply.into_result();
        parse_json(&result.map_err(|error| error.with_delay(delay))?)
    }

    /// Many calls in one request. Answers are matched by id: their order means nothing; a call
    /// that is answered twice counts as left out, and answers to nothing are ignored.
    ///
    /// # Errors
    ///
    /// The whole batch failed: as for [`rpc`](Self::rpc), also when a single error object came
    /// instead of the array, or an array of one error for more calls.
    pub async fn rpc_batch(&self, calls: &[RpcCall]) -> Result<RpcReplies, Error> {
        let bodies: Vec<_> = calls
            .iter()
            .enumerate()
            .map(|(id, call)| call.body(id))
            .collect();
        let body = serde_json::to_vec(&bodies).expect("JSON values serialize");
        // Providers count the calls of a batch, not the batch.
        let request = Request {
            weight: u32::try_from(calls.len()).unwrap_or(u32::MAX),
            ..Request::post_json("", body)
        };
        let response = self.send(request).await?;
        let response = rpc_status(response)?;
        let delay = response.retry_after();
        let answers = match Answers::read(&response)? {
            Answers::Many(answers) => answers,
            Answers::One(answer) if answer.error.is_none() && calls.len() == 1 => vec![answer],
            Answers::One(answer) => {
                let result = answer.into_result();
                result.map_err(|error| error.with_delay(delay))?;
                return Err(Error::malformed("one answer instead of a list"));
            }
        };
        let replies = by_id(calls.len(), answers).map_err(|error| error.with_delay(delay))?;
        Ok(replies.with_delay(delay))
    }
}

fn by_id(calls: usize, answers: Vec<Reply>) -> Result<RpcReplies, Error> {
    // geth refuses a batch that is too large by one error that bears the first id.
    if calls > 1 && answers.len() == 1 && answers[0].error.is_some() {
        let error = answers.into_iter().next().expect("one").into_result();
        return Err(error.expect_err("it is an error"));
    }
    let mut replies: Vec<Option<_>> = (0..calls).map(|_| None).collect();
    let mut doubled = vec![false; calls];
    for answer in answers {
        let Some(Id::Number(id)) = answer.id else {
            continue;
        };
        let Some(index) = usize::try_from(id).ok().filter(|index| *index < calls) else {
            continue;
        };
        doubled[index] |= replies[index].is_some();
        replies[index] = Some(answer.into_result());
    }
    for (reply, doubled) in replies.iter_mut().zip(doubled) {
        if doubled {
            *reply = None;
        }
    }
    Ok(RpcReplies { replies })
}

/// Some servers tell a JSON-RPC error with a status of their own; the error says more.
fn rpc_status(response: crate::Response) -> Result<crate::Response, Error> {
    if response.status == 200 {
        return Ok(response);
    }
    let told = match Answers::read(&response) {
        Ok(Answers::One(reply)) => reply.error,
        _ => None,
    };
    let status = response.status;
    let by_status = response.ok().expect_err("the status is not 200");
    let keep_status = matches!(
        by_status.kind,
        ErrorKind::RateLimited | ErrorKind::Unauthorized | ErrorKind::Quota | ErrorKind::TooLarge
    );
    match told {
        Some(error) if !keep_status => {
            let error = error.into_error().with_delay(by_status.retry_after);
            Err(error.with_status(status))
        }
        _ => Err(by_status),
    }
}

enum Answers {
    Many(Vec<Reply>),
    One(Reply),
}

impl Answers {
    /// Told apart by the first byte: serde reads no raw value through an untagged enum.
    fn read(response: &crate::Response) -> Result<Self, Error> {
        let mut body = response.body.iter();
        match body.find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => response.json().map(Self::Many),
            _ => response.json().map(Self::One),
        }
    }
}

#[derive(Deserialize)]
struct Reply {
    id: Option<Id>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Box<RawValue>>,
    error: Option<RpcError>,
}

/// A `null` result is an answer; only an absent one is none.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize, PartialEq)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Other(serde_json::Value),
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    #[serde(default)]
    message: String,
}

impl Reply {
    fn into_result(self) -> Result<Box<RawValue>, Error> {
        match (self.error, self.result) {
            (Some(error), _) => Err(error.into_error()),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(Error::malformed("neither a result nor an error")),
        }
    }
}

impl RpcError {
    fn into_error(self) -> Error {
        let text = self.message.to_ascii_lowercase();
        let says = |texts: &[&str]| texts.iter().any(|needle| text.contains(needle));
        let kind = match self.code {
            // First, for "the batch size has exceeded the limit" is no rate, whatever its code.
            _ if says(SIZE_TEXTS) => ErrorKind::TooLarge,
            429 | -32005 | -32007 | -32029 | -32429 => ErrorKind::RateLimited,
            _ if says(RATE_TEXTS) => ErrorKind::RateLimited,
            _ if says(PLAN_TEXTS) => ErrorKind::Quota,
            -32601 => ErrorKind::Unsupported,
            -32600 | -32602 | 3 => ErrorKind::Refused,
            _ => ErrorKind::ServerError,
        };
        let message = format!("JSON-RPC error {}: {}", self.code, shortened(&self.message));
        Error::new(kind, message).with_code(self.code)
    }
}

// Source: the texts that eRPC's normalizer knows, and those of geth, erigon and public BSC nodes.
const RATE_TEXTS: &[&str] = &[
    "rate limit",
    "too many requests",
    "has exceeded",
    "exceeded the quota",
    "under too much load",
];
const PLAN_TEXTS: &[&str] = &["reached the free tier", "monthly capacity limit"];
const SIZE_TEXTS: &[&str] = &[
    "batch too large",
    "batch limit",
    "batch size",
    "too many requests in batch",
    "too many requests in a batch",
    "response too large",
    "response size",
    "out of gas",
    "too many inputs",
    "request entity too large",
    "request body too large",
    "request too large",
    "payload too large",
    "uri too long",
];

/// Reads a value as strictly as [`Response::json`](crate::Response::json) reads a body.
///
/// # Errors
///
/// [`Malformed`](ErrorKind::Malformed), with the beginning of the value.
pub fn parse_json<T: serde::de::DeserializeOwned>(raw: &RawValue) -> Result<T, Error> {
    strict::from_slice(raw.get().as_bytes()).map_err(|error| {
        let message = format!(
            "not the result that was expected ({}): {}",
            clipped(&error),
            shortened(raw.get())
        );
        Error::malformed(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(calls: usize, body: &str) -> Result<RpcReplies, Error> {
        by_id(calls, serde_json::from_str(body).unwrap())
    }

    #[test]
    fn a_batch_is_read_from_its_bytes() {
        let answer = |body: &str| {
            let response = crate::Response {
                status: 200,
                headers: vec![],
                body: body.into(),
            };
            let kit = crate::test_kit::Kit::new(move |_| Ok(response.clone()));
            let calls = ["a", "b"].map(|method| RpcCall::new(method, serde_json::json!([])));
            kit.run(async |cx| cx.rpc_batch(&calls).await)
        };
        let mut replies = answer(r#" [{"id":1,"result":"b"},{"id":0,"result":7}]"#).unwrap();
        assert_eq!(replies.take::<u64>(0).unwrap(), 7);
        assert_eq!(replies.take::<String>(1).unwrap(), "b");
        let refused = r#"{"id":null,"error":{"code":-32000,"message":"batch limit 100 exceeded"}}"#;
        assert_eq!(answer(refused).unwrap_err().kind, ErrorKind::TooLarge);
        let one = r#"{"id":0,"result":7}"#;
        assert_eq!(answer(one).unwrap_err().kind, ErrorKind::Malformed);
        // A list is no object with its fields in order, and no key stands twice.
        let list = r#"[[0,"0x0",null],[1,"0x0",null]]"#;
        let doubled = r#"[{"id":0,"result":"7","result":"0"},{"id":1,"result":"0"}]"#;
        for bad in [
            "", "7", "null", "\"x\"", "<html>", "[7]", "[null]", list, doubled,
        ] {
            assert_eq!(answer(bad).unwrap_err().kind, ErrorKind::Malformed, "{bad}");
        }
    }

    #[test]
    fn order_means_nothing() {
        let body =
            r#"[{"jsonrpc":"2.0","id":1,"result":"b"},{"jsonrpc":"2.0","id":0,"result":"a"}]"#;
        let mut replies = replies(2, body).unwrap();
        assert_eq!(replies.take::<String>(0).unwrap(), "a");
        assert_eq!(replies.take::<String>(1).unwrap(), "b");
    }

    #[test]
    fn doubled_uninvited_and_absent_answers_are_missing() {
        let body = r#"[{"id":0,"result":"a"},{"id":0,"result":"a"},{"id":9,"result":"x"},
                       {"id":"1","result":"y"},{"id":2,"result":"c"}]"#;
        let mut replies = replies(3, body).unwrap();
        assert_eq!(
            replies.take::<String>(0).unwrap_err().kind,
            ErrorKind::Missing
        );
        assert_eq!(
            replies.take::<String>(1).unwrap_err().kind,
            ErrorKind::Missing
        );
        assert_eq!(replies.take::<String>(2).unwrap(), "c");
    }

    #[test]
    fn nothing_is_not_a_result() {
        let mut answers = replies(
            3,
            r#"[{"id":0},{"id":1,"result":null},{"id":2,"result":7}]"#,
        )
        .unwrap();
        for index in 0..3 {
            assert_eq!(
                answers.take::<String>(index).unwrap_err().kind,
                ErrorKind::Malformed
            );
        }
        let mut answers = replies(1, r#"[{"id":0,"result":null}]"#).unwrap();
        assert_eq!(answers.take::<Option<String>>(0).unwrap(), None);
    }

    #[test]
    fn a_refused_batch_is_one_error() {
        let body =
            r#"[{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"batch too large"}}]"#;
        assert_eq!(replies(2, body).unwrap_err().kind, ErrorKind::TooLarge);
    }

    #[test]
    fn codes_and_texts_tell_the_kind() {
        let check = |code, message: &str, kind| {
            let error = RpcError {
                code,
                message: message.into(),
            }
            .into_error();
            assert_eq!(
                (error.kind, error.code),
                (kind, Some(code)),
                "{code} {message}"
            );
        };
        check(-32005, "limit exceeded", ErrorKind::RateLimited);
        check(
            429,
            "Too many requests for a specific RPC call",
            ErrorKind::RateLimited,
        );
        check(-32000, "Rate limit exceeded", ErrorKind::RateLimited);
        check(
            -32000,
            "batch limit 100 exceeded: 142 requests given",
            ErrorKind::TooLarge,
        );
        check(-32003, "response too large", ErrorKind::TooLarge);
        for (code, message) in [
            (-32600, "Batch size too large"),
            (-32005, "batch size is too large"),
            (429, "The batch size has exceeded the limit of 10"),
            (-32005, "too many requests in a batch"),
            (-32008, "Response size exceeded the limit"),
            (-32602, "Too many inputs provided; max 5"),
            (-32600, "request body too large"),
        ] {
            check(code, message, ErrorKind::TooLarge);
        }
        check(-32600, "invalid request", ErrorKind::Refused);
        check(-32000, "out of gas", ErrorKind::TooLarge);
        check(
            -32601,
            "the method x does not exist/is not available",
            ErrorKind::Unsupported,
        );
        check(-32602, "invalid argument 0", ErrorKind::Refused);
        check(3, "execution reverted", ErrorKind::Refused);
        check(-32000, "header not found", ErrorKind::ServerError);
        check(-32603, "internal error", ErrorKind::ServerError);
    }
}
