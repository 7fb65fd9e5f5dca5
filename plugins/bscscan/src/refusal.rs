//! What the texts of a refused request mean.

use std::time::Duration;

use scanhost_plugin_api::prelude::*;

/// The failure that a `NOTOK` answer tells.
///
/// A text that nobody documented is [`ServerError`](ErrorKind::ServerError): a provider that
/// answers every request with a new notice must open its breaker, which `Refused` would never do,
/// and the host splits a call of several cells before it judges, so that one bad cell does no harm.
pub(crate) fn refusal(message: &str, text: &str) -> Error {
    let said = format!("{message} {text}").to_ascii_lowercase();
    let known = TEXTS.iter().find(|(needle, ..)| said.contains(needle));
    let (kind, wait, hint) = match known {
        Some((_, kind, wait, hint)) => (*kind, *wait, *hint),
        None => (ErrorKind::ServerError, 0, ""),
    };
    let told: String = match text {
        "" => message,
        text => text,
    }
    .chars()
    .map(|char| if char.is_control() { ' ' } else { char })
    .take(160)
    .collect();
    let message = match hint {
        "" => format!("the explorer refused: {told}"),
        hint => format!("the explorer refused: {told} ({hint})"),
    };
    Error {
        retry_after: (wait > 0).then(|| Duration::from_secs(wait)),
        ..Error::new(kind, message)
    }
}

/// A piece of the text in lower case, its kind, seconds to wait, what to do. The first that fits
/// counts.
///
/// Source: Etherscan, "Common Error Messages"; the wordings of rate limits as seen in the field.
const TEXTS: &[(&str, ErrorKind, u64, &str)] = &[
    // Before the rate limits: its text has "rate limit reached" too.
    (
        "max daily",
        ErrorKind::Quota,
        0,
        "the day's allowance is spent until midnight UTC",
    ),
    // Five wrong keys within 30 s block the sender for 30 s; under load right keys get it as well.
    ("too many invalid api key", ErrorKind::RateLimited, 30, ""),
    ("rate limit", ErrorKind::RateLimited, 0, ""),
    (
        "invalid api key",
        ErrorKind::Unauthorized,
        0,
        "a new key takes minutes to work",
    ),
    (
        "missing/invalid api key",
        ErrorKind::Unauthorized,
        0,
        "set the provider's `api_key`",
    ),
    (
        "missing api key",
        ErrorKind::Unauthorized,
        0,
        "set the provider's `api_key`",
    ),
    (
        "unsupported chainid",
        ErrorKind::Quota,
        0,
        "correct the chain's `identity`",
    ),
    (
        "not supported for this chain",
        ErrorKind::Quota,
        0,
        "the key's plan lacks this chain",
    ),
    (
        "api pro endpoint",
        ErrorKind::Quota,
        0,
        "the key's plan lacks this request",
    ),
    // A notice of load on the free plan, not the end of the plan.
    ("temporarily unavailable", ErrorKind::RateLimited, 60, ""),
    (
        "deprecated v1 endpoint",
        ErrorKind::Unsupported,
        0,
        "the endpoint ends in /v2/api",
    ),
    ("invalid action name", ErrorKind::Unsupported, 0, ""),
    ("invalid module name", ErrorKind::Unsupported, 0, ""),
    ("maximum of", ErrorKind::TooLarge, 0, ""),
    ("uri too long", ErrorKind::TooLarge, 0, ""),
    ("invalid address format", ErrorKind::Refused, 0, ""),
    ("invalid contract address", ErrorKind::Refused, 0, ""),
    ("query timeout", ErrorKind::ServerError, 0, ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_documented_text_has_its_kind() {
        let check = |text: &str, kind, wait: Option<u64>| {
            let error = refusal("NOTOK", text);
            assert_eq!(error.kind, kind, "{text}");
            assert_eq!(error.retry_after, wait.map(Duration::from_secs), "{text}");
            assert!(error.message.contains(text) || text.len() > 160, "{text}");
        };
        let rate = ErrorKind::RateLimited;
        check(
            "Max rate limit reached, please use API Key for higher rate limit",
            rate,
            None,
        );
        check("Max rate limit reached", rate, None);
        check("Max calls per sec rate limit reached (3/sec)", rate, None);
        check("Max calls per sec rate limit reached (5/sec)", rate, None);
        check(
            "Max daily rate limit reached. 110000 (100%) of 100000 day/limit",
            ErrorKind::Quota,
            None,
        );
        check("Invalid API Key", ErrorKind::Unauthorized, None);
        check("Missing/Invalid API Key", ErrorKind::Unauthorized, None);
        check(
            "Too many invalid api key attempts, please try again later",
            rate,
            Some(30),
        );
        check(
            "Missing or unsupported chainid parameter (required for v2 api), please see \
             https://api.etherscan.io/v2/chainlist for the list of supported chainids",
            ErrorKind::Quota,
            None,
        );
        check(
            "Free API access is not supported for this chain. Please upgrade your api plan for \
             full chain coverage. https://etherscan.io/apis",
            ErrorKind::Quota,
            None,
        );
        check(
            "Free API access is temporarily unavailable due to unusually high network activity",
            rate,
            Some(60),
        );
        check(
            "You are using a deprecated V1 endpoint, switch to Etherscan API V2 using \
             https://docs.etherscan.io/v2-migration",
            ErrorKind::Unsupported,
            None,
        );
        check(
            "Error! Maximum of 20 addresses are allowed for each call",
            ErrorKind::TooLarge,
            None,
        );
        check("Error! Invalid address format", ErrorKind::Refused, None);
        check(
            "Error! Missing Or invalid Action name",
            ErrorKind::Unsupported,
            None,
        );
        check(
            "Query Timeout occured. Please select a smaller result dataset",
            ErrorKind::ServerError,
            None,
        );
        check("Something new", ErrorKind::ServerError, None);
    }

    #[test]
    fn the_text_may_stand_in_the_message() {
        assert_eq!(
            refusal("Max rate limit reached", "").kind,
            ErrorKind::RateLimited
        );
        assert_eq!(refusal("NOTOK", "").kind, ErrorKind::ServerError);
        assert_eq!(
            refusal("No transactions found", "").kind,
            ErrorKind::ServerError
        );
    }
}
