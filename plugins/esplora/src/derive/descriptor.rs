//! Descriptors of one key with a range.

use scanhost_keys::{ExtendedKey, Purpose};
use scanhost_plugin_api::Error;

use super::checksum::checksum;
use super::{Branch, Script, invalid, no_branch};

/// What is understood, for messages.
const UNDERSTOOD: &str = "understood are pkh(KEY), wpkh(KEY), sh(wpkh(KEY)) and tr(KEY), where KEY \
     is an xpub or tpub that ends with `/*`, as in wpkh([d34db33f/84h/0h/0h]xpub…/<0;1>/*)";

/// A descriptor.
#[derive(Debug)]
pub(super) struct Descriptor {
    script: Script,
    origin: Option<String>,
    key: ExtendedKey,
    steps: Vec<Step>,
}

/// A step of the path behind the key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    One(u32),
    /// One of these by the branch, BIP 389.
    Any(Vec<u32>),
}

impl Descriptor {
    /// Reads a descriptor; nothing about it is guessed.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let text = checked(text.trim())?;
        let inner = |head: &str, tail: &str| text.strip_prefix(head)?.strip_suffix(tail);
        let forms = [
            (Script::Pkh, inner("pkh(", ")")),
            (Script::Wpkh, inner("wpkh(", ")")),
            (Script::ShWpkh, inner("sh(wpkh(", "))")),
            (Script::Tr, inner("tr(", ")")),
        ];
        let form = forms
            .into_iter()
            .find_map(|(script, key)| Some((script, key?)));
        let Some((script, expression)) = form else {
            return Err(invalid(format!(
                "a descriptor that is not understood; {UNDERSTOOD}"
            )));
        };
        if expression.contains(['(', ')', ',', '{']) {
            return Err(invalid(format!(
                "a descriptor of more than one key; {UNDERSTOOD}"
            )));
        }
        let (origin, rest) = origin(expression)?;
        let mut parts = rest.split('/');
        let key = key(parts.next().unwrap_or_default())?;
        let steps = steps(parts)?;
        Ok(Self {
            script,
            origin,
            key,
            steps,
        })
    }

    /// One of its branches.
    pub(super) fn branch(self, branch: u32) -> Result<Branch, Error> {
        let alternatives = self.steps.iter().find_map(|step| match step {
            Step::Any(steps) => Some(steps.len()),
            Step::One(_) => None,
        });
        let of = alternatives.map_or(1, |of| u32::try_from(of).unwrap_or(u32::MAX));
        if branch >= of {
            return Err(no_branch(branch, of));
        }
        let step = |step| match step {
            Step::One(step) => step,
            // `branch` is one of them.
            Step::Any(steps) => steps[branch as usize],
        };
        Ok(Branch {
            script: self.script,
            origin: self.origin,
            key: self.key,
            steps: self.steps.into_iter().map(step).collect(),
            of,
        })
    }
}

/// The descriptor without its checksum, which must be right where there is one.
fn checked(text: &str) -> Result<&str, Error> {
    let (descriptor, given) = match text.split_once('#') {
        Some((descriptor, given)) => (descriptor, Some(given)),
        None => (text, None),
    };
    let Some(right) = checksum(descriptor) else {
        return Err(invalid("a descriptor with a character that none has"));
    };
    match given {
        Some(given) if given != right => Err(invalid(
            "the checksum behind `#` is not that of the descriptor: a character is mistyped or \
             left out",
        )),
        _ => Ok(descriptor),
    }
}

/// The path from the master key in `[fingerprint/path]`, and what is behind it.
fn origin(expression: &str) -> Result<(Option<String>, &str), Error> {
    let Some(rest) = expression.strip_prefix('[') else {
        return Ok((None, expression));
    };
    let wrong = || {
        invalid("the origin of the key is not 8 hex digits and a path in brackets: [d34db33f/84h]")
    };
    let (origin, rest) = rest.split_once(']').ok_or_else(wrong)?;
    let mut parts = origin.split('/');
    let fingerprint = parts.next().unwrap_or_default();
    if fingerprint.len() != 8 || !fingerprint.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut path = "m".to_owned();
    for part in parts {
        let (number, mark) = match part.strip_suffix(['h', '\'']) {
            Some(number) => (number, "'"),
            None => (part, ""),
        };
        let number = number_of(number).ok_or_else(wrong)?;
        path.push_str(&format!("/{number}{mark}"));
    }
    Ok((Some(path), rest))
}

fn key(text: &str) -> Result<ExtendedKey, Error> {
    let is_alone =
        matches!(text.len(), 64 | 66 | 130) && text.bytes().all(|it| it.is_ascii_hexdigit());
    if is_alone {
        return Err(invalid(format!(
            "a single public key, which has one address; {UNDERSTOOD}"
        )));
    }
    let key = ExtendedKey::parse(text)?;
    match key.purpose {
        Purpose::Plain => Ok(key),
        _ => Err(invalid(format!(
            "a descriptor says itself what its addresses are, so its key is an xpub or tpub, not \
             {}; write it as one, or give the {} without a descriptor",
            key.name, key.name
        ))),
    }
}

/// The steps to the range, which is last.
fn steps<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if part.ends_with(['h', 'H', '\'']) || part.ends_with("h>") || part.ends_with("'>") {
            return Err(invalid(
                "a hardened step behind the key, which a public key cannot take; export the key \
                 below that step",
            ));
        }
        if part == "*" {
            return match parts.peek() {
                None => Ok(steps),
                Some(_) => Err(invalid("`*` is not the last step of the path")),
            };
        }
        let step = match part.strip_prefix('<').and_then(|it| it.strip_suffix('>')) {
            Some(_) if steps.iter().any(|step| matches!(step, Step::Any(_))) => {
                return Err(invalid(
                    "two steps of several numbers, `<0;1>`, in one path",
                ));
            }
            Some(numbers) => Step::Any(alternatives(numbers)?),
            None => Step::One(number_of(part).ok_or_else(|| no_number("a step"))?),
        };
        steps.push(step);
    }
    Err(invalid(format!(
        "a descriptor without a range, which has one address; {UNDERSTOOD}"
    )))
}

fn alternatives(numbers: &str) -> Result<Vec<u32>, Error> {
    let mut known = Vec::new();
    for number in numbers.split(';') {
        let number = number_of(number).ok_or_else(|| no_number("one of `<0;1>`"))?;
        if known.contains(&number) {
            return Err(invalid(format!("the number {number} twice in `<0;1>`")));
        }
        known.push(number);
    }
    match known.len() {
        0 | 1 => Err(invalid(
            "one number alone in `<0;1>`; write it without brackets",
        )),
        _ => Ok(known),
    }
}

fn no_number(what: &str) -> Error {
    invalid(format!(
        "{what} of the path is not a number from 0 to 2147483647"
    ))
}

/// Digits alone, below 2³¹.
fn number_of(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let number = digits.then(|| text.parse::<u32>().ok())??;
    (number < 1 << 31).then_some(number)
}
