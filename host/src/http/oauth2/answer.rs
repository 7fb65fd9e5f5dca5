//! What a token server said.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::super::error::NoToken;
use super::super::retry_after;
use super::super::secret::Redactor;
use super::super::transport::header_value;

/// A life beyond this is as good as this one, and no clock runs over.
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A token that the server gave.
pub(super) struct Granted {
    pub(super) token: SecretString,
    /// From its asking on; `None` where the server does not say.
    pub(super) life: Option<Duration>,
}

/// Reads an answer that is no redirect. Of a body with status 200 nothing is ever quoted: there may
/// be a token in it.
pub(super) fn read(
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
    now_s: i64,
    redactor: &Redactor,
) -> Result<Granted, NoToken> {
    let malformed = |why| NoToken::Malformed { status, why };
    let told =
        header_value(headers, "retry-after").and_then(|value| retry_after::parse(value, now_s));
    match (status, told) {
        (200, _) => granted(body).map_err(malformed),
        (429, retry_after) | (503, retry_after @ Some(_)) => Err(NoToken::Busy {
            status,
            retry_after,
        }),
        (400 | 401 | 403, _) => Err(NoToken::Refused {
            status,
            words: refusal(body, redactor),
        }),
        (500.., _) => Err(NoToken::Failed { status }),
        _ => Err(malformed("which is no answer to that")),
    }
}

fn granted(body: &[u8]) -> Result<Granted, &'static str> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| "which is not JSON")?;
    let token = answer["access_token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err("in which there is no `access_token`");
    }
    // Some servers leave the type out; another type than Bearer is used in another way.
    if let Some(kind) = answer.get("token_type")
        && !kind.as_str().is_some_and(is_bearer)
    {
        return Err("in which `token_type` is not `Bearer`");
    }
    Ok(Granted {
        token: token.into(),
        life: life(&answer["expires_in"]),
    })
}

fn is_bearer(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("bearer")
}

/// How long a token lives. A zero and what makes no sense tell as little as nothing at all: the
/// token is used until it is refused.
fn life(expires_in: &Value) -> Option<Duration> {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| *seconds > 0.0)?;
    let longest = LIFE_MAX.as_secs_f64();
    Duration::try_from_secs_f64(seconds.min(longest)).ok()
}

/// `error` and `error_description` of a refusal (RFC 6749, 5.2), where it has them.
fn refusal(body: &[u8], redactor: &Redactor) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let words = ["error", "error_description"].map(|name| answer[name].as_str());
    let words: Vec<_> = words.into_iter().flatten().collect();
    redactor.redact_line(&words.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Granted, NoToken> {
        let redactor = Redactor::default();
        redactor.learn("s3cret-of-mine");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        super::read(status, &headers, body.as_bytes(), 1_795_219_200, &redactor)
    }

    #[test]
    fn a_life_that_is_not_told_is_not_zero() {
        #[track_caller]
        fn check(expires_in: &str, expected_ms: Option<u64>) {
            let body = format!(r#"{{"access_token":"t","token_type":"bearer"{expires_in}}}"#);
            let granted = read(200, &[], &body).unwrap_or_else(|error| panic!("{error}"));
            let expected = expected_ms.map(Duration::from_millis);
            assert_eq!(granted.life, expected, "{expires_in}");
        }
        check(r#","expires_in":300"#, Some(300_000));
        check(r#","expires_in":"300""#, Some(300_000));
        check(r#","expires_in":0.5"#, Some(500));
        check(r#","expires_in":1e300"#, Some(2_592_000_000));
        check("", None);
        check(r#","expires_in":null"#, None);
        check(r#","expires_in":0"#, None);
        check(r#","expires_in":-1"#, None);
        check(r#","expires_in":"soon""#, None);
        check(r#","expires_in":"NaN""#, None);
        check(r#","expires_in":[300]"#, None);
    }

    #[test]
    fn what_is_no_token_is_told_without_the_body() {
        #[track_caller]
        fn check(status: u16, headers: &[(&str, &str)], body: &str, expected: &str) {
            let Err(error) = read(status, headers, body) else {
                panic!("{status} {body} gave a token");
            };
            assert_eq!(error.to_string(), expected, "{status} {body}");
        }
        let no_json = "it answered with HTTP 200, which is not JSON; check `token_url`";
        check(200, &[], "", no_json);
        check(200, &[], "<html>secret</html>", no_json);
        check(
            200,
            &[],
            r#"{"access_token":"","secret":1}"#,
            "it answered with HTTP 200, in which there is no `access_token`; check `token_url`",
        );
        check(
            200,
            &[],
            r#"{"access_token":"secret","token_type":"mac"}"#,
            "it answered with HTTP 200, in which `token_type` is not `Bearer`; check `token_url`",
        );
        check(
            404,
            &[],
            "secret",
            "it answered with HTTP 404, which is no answer to that; check `token_url`",
        );
        check(
            401,
            &[],
            r#"{"error":"invalid_client","error_description":"no s3cret-of-mine\nhere"}"#,
            "it refuses the client credentials (HTTP 401: invalid_client: no [redacted] here); \
             check `client_id`, `client_secret` and `scope` of `oauth2`",
        );
        check(
            400,
            &[],
            "<html>secret</html>",
            "it refuses the client credentials (HTTP 400); check `client_id`, `client_secret` and \
             `scope` of `oauth2`",
        );
        check(500, &[], "secret", "it failed with HTTP 500");
        check(503, &[], "secret", "it failed with HTTP 503");
        let pause = "it asks for a pause with HTTP 503";
        check(503, &[("retry-after", "7")], "secret", pause);
    }

    #[test]
    fn a_pause_is_as_long_as_told() {
        let told = |headers: &[(&str, &str)]| match read(429, headers, "") {
            Err(NoToken::Busy { retry_after, .. }) => retry_after,
            _ => panic!("a 429 asks for a pause"),
        };
        assert_eq!(told(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(told(&[]), None);
    }
}
