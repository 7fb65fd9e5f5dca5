//! Secrets on their way out, and their removal from every text that goes anywhere else.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

/// What stands in a text where a secret stood.
const REMOVED: &str = "[redacted]";

/// Shorter secrets are removed from texts but not from answers' bodies, where a key such as `1`
/// would hit data.
const BODY_SECRET_LEN_MIN: usize = 8;

/// Secrets that pass, of which only the newest are kept: what is older is on no wire any more.
const PASSING_MAX: usize = 8;

/// Removes every secret it knows from any text.
///
/// Knows each secret as it is, percent-encoded and in base64, whatever the case (a URL's host and
/// hex digits change theirs). Clones share what they know, so a token that is fetched later is
/// removed everywhere.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Arc<RwLock<Needles>>,
}

#[derive(Default)]
struct Needles {
    lasting: Vec<SecretString>,
    passing: VecDeque<SecretString>,
    // Invariant: every form of the secrets above, none of them empty; longest first, so that no
    // part of a longer one stays.
    forms: Vec<SecretString>,
}

// === impl Redactor ===

impl Redactor {
    /// Adds a secret in all its forms; an empty one adds nothing.
    pub fn learn(&self, secret: &str) {
        let mut needles = self.needles.write().unwrap_or_else(PoisonError::into_inner);
        needles.lasting.push(secret.into());
        needles.add_forms_of(secret);
        needles.sort();
    }

    /// Adds a secret that others follow, in all its forms; the oldest such secret is forgotten for
    /// it when there are too many to look for.
    pub fn learn_passing(&self, secret: &str) {
        let mut needles = self.needles.write().unwrap_or_else(PoisonError::into_inner);
        needles.passing.push_back(secret.into());
        if needles.passing.len() > PASSING_MAX {
            needles.passing.pop_front();
            needles.forms.clear();
            let secrets: Vec<_> = needles
                .lasting
                .iter()
                .chain(&needles.passing)
                .cloned()
                .collect();
            for secret in secrets {
                needles.add_forms_of(secret.expose_secret());
            }
        } else {
            needles.add_forms_of(secret);
        }
        needles.sort();
    }

    /// Adds the user information of basic authentication: the password, and both together.
    pub fn learn_basic(&self, user: &str, password: &str) {
        self.learn(password);
        if !password.is_empty() {
            self.learn(&format!("{user}:{password}"));
        }
    }

    /// `text` without any known secret.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let bytes = self.redact_longer_than(0, text.as_bytes());
        bytes.map_or_else(
            || text.to_owned(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// One line of at most 300 characters without secrets, for messages made of foreign text.
    #[must_use]
    pub fn redact_line(&self, text: &str) -> String {
        let redacted = self.redact(text);
        let mut line: String = redacted
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .take(300)
            .collect();
        if redacted.chars().nth(300).is_some() {
            line.push('…');
        }
        line
    }

    /// `body` without the secrets that are long enough to be told from data (8 bytes and more).
    #[must_use]
    pub fn redact_body(&self, body: Vec<u8>) -> Vec<u8> {
        self.redact_longer_than(BODY_SECRET_LEN_MIN - 1, &body)
            .unwrap_or(body)
    }

    /// `None` when there was nothing to remove.
    fn redact_longer_than(&self, len: usize, text: &[u8]) -> Option<Vec<u8>> {
        let needles = self.needles.read().unwrap_or_else(PoisonError::into_inner);
        let mut redacted: Option<Vec<u8>> = None;
        for needle in &needles.forms {
            let needle = needle.expose_secret().as_bytes();
            if needle.len() <= len {
                continue;
            }
            if let Some(without) = replace(redacted.as_deref().unwrap_or(text), needle) {
                redacted = Some(without);
            }
        }
        redacted
    }
}

// === impl Needles ===

impl Needles {
    fn add_forms_of(&mut self, secret: &str) {
        let forms = [
            secret.to_owned(),
            percent_encode(secret),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            // A body quotes `/` and `"` in its own way.
            secret.replace('/', "\\/"),
            secret.replace('\\', "\\\\").replace('"', "\\\""),
            // Without padding they are found with padding too.
            STANDARD_NO_PAD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ];
        for form in forms {
            let known = |needle: &SecretString| needle.expose_secret() == form;
            if !form.is_empty() && !self.forms.iter().any(known) {
                self.forms.push(SecretString::from(form));
            }
        }
    }

    fn sort(&mut self) {
        self.forms
            .sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

/// Every byte but RFC 3986's unreserved ones as `%XX`: safe in a path segment and in a query.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `None` when the needle is not there.
fn replace(text: &[u8], needle: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    let mut replaced: Option<Vec<u8>> = None;
    while let Some(at) = find(rest, needle) {
        let out = replaced.get_or_insert_with(|| Vec::with_capacity(text.len()));
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(REMOVED.as_bytes());
        rest = &rest[at + needle.len()..];
    }
    if let Some(out) = &mut replaced {
        out.extend_from_slice(rest);
    }
    replaced
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    // The first byte sorts nearly all places out; bodies are long.
    text.windows(needle.len()).position(|window| {
        window[0].eq_ignore_ascii_case(first) && window.eq_ignore_ascii_case(needle)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secret: &str) -> Redactor {
        let redactor = Redactor::default();
        redactor.learn(secret);
        redactor
    }

    #[test]
    fn every_form_of_a_secret_is_removed() {
        #[track_caller]
        fn check(secret: &str, text: &str, expected: &str) {
            assert_eq!(redactor(secret).redact(text), expected);
        }
        check("hunter2!", "a hunter2! b", "a [redacted] b");
        check("hunter2!", "hunter2!hunter2!", "[redacted][redacted]");
        check("hunter2!", "?k=hunter2%21&x", "?k=[redacted]&x");
        check("a b/c+d", "?k=a+b%2Fc%2Bd&x", "?k=[redacted]&x");
        check("a b/c+d", "?k=a%20b%2fc%2bd&x", "?k=[redacted]&x");
        check("a b/c+d", r#""a b\/c+d""#, r#""[redacted]""#);
        check(
            "AbCdEf",
            "https://abcdef.example/",
            "https://[redacted].example/",
        );
        check("user:pass", "Basic dXNlcjpwYXNz", "Basic [redacted]");
        check("user:pas", "Basic dXNlcjpwYXM=", "Basic [redacted]=");
        check("user:pas", "Basic dXNlcjpwYXM", "Basic [redacted]");
        check("", "nothing", "nothing");
        check("key", "ünïcode key ☃", "ünïcode [redacted] ☃");
    }

    #[test]
    fn a_longer_secret_goes_before_its_own_part() {
        let redactor = redactor("abc");
        redactor.learn("abcdef");
        assert_eq!(redactor.redact("abcdef abc"), "[redacted] [redacted]");
    }

    #[test]
    fn clones_share_what_was_learned_later() {
        let early = Redactor::default();
        let clone = early.clone();
        early.learn("fetched-token");
        assert_eq!(clone.redact("Bearer fetched-token"), "Bearer [redacted]");
    }

    #[test]
    fn of_passing_secrets_the_newest_are_removed() {
        let redactor = redactor("lasting-secret");
        // One of them is the lasting one too, which stays.
        redactor.learn_passing("lasting-secret");
        for number in 10..30 {
            redactor.learn_passing(&format!("token-{number}"));
        }
        let text = "lasting-secret token-10 token-21 token-22 token-29";
        let expected = "[redacted] token-10 token-21 [redacted] [redacted]";
        assert_eq!(redactor.redact(text), expected);
    }

    #[test]
    fn short_secrets_leave_data_alone() {
        let redactor = redactor("1");
        assert_eq!(
            redactor.redact_body(b"{\"amount\":100}".to_vec()),
            b"{\"amount\":100}"
        );
        assert_eq!(redactor.redact("key 1"), "key [redacted]");
    }

    #[test]
    fn long_secrets_leave_a_body() {
        let redactor = redactor("0123456789abcdef");
        let body = b"\xff bad key 0123456789abcdef \xfe".to_vec();
        assert_eq!(redactor.redact_body(body), b"\xff bad key [redacted] \xfe");
    }

    #[test]
    fn a_line_is_one_line_and_short() {
        let line = redactor("secret").redact_line(&format!("a\r\nb secret{}", "x".repeat(400)));
        assert!(line.starts_with("a  b [redacted]xxx"), "{line}");
        assert_eq!(line.chars().count(), 301);
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", redactor("secret")), "Redactor { .. }");
    }
}
