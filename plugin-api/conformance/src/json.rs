//! Good answers spoilt on purpose: numbers that are none, entries doubled, left out or invented.

use std::fmt::Write as _;

use serde_json::Value;

/// Stands for a literal until the text is made; nothing in real traffic looks like it.
const MARK: &str = "\u{1}literal\u{1}";

/// A place in a JSON value that holds a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Its JSON pointer.
    pub(crate) pointer: String,
    /// The number is a text: `"100"`, `"0x64"`.
    pub(crate) is_text: bool,
    is_hex: bool,
}

/// A list whose entries say themselves whom they answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    /// The list's JSON pointer; empty is the whole value.
    pub(crate) pointer: String,
    /// The field that says it.
    pub(crate) key: String,
}

/// A body that is a JSON object or list; a mere text or number says too little to be spoilt.
pub(crate) fn structured(body: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(body).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}

/// Every number within `value`, at most `limit`.
pub(crate) fn leaves(value: &Value, limit: usize) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    walk(value, &mut String::new(), &mut |pointer, value| {
        let leaf = |is_text, is_hex| Leaf {
            pointer: pointer.to_owned(),
            is_text,
            is_hex,
        };
        match value {
            Value::Number(_) => leaves.push(leaf(false, false)),
            Value::String(text) if is_hex_number(text) => leaves.push(leaf(true, true)),
            Value::String(text) if is_decimal(text) => leaves.push(leaf(true, false)),
            _ => {}
        }
    });
    leaves.truncate(limit);
    leaves
}

/// What may stand in the place of a number and is none: never an amount.
pub(crate) fn nonsense(leaf: &Leaf) -> &'static [&'static str] {
    match (leaf.is_text, leaf.is_hex) {
        (false, _) => &[
            "-1", "1.5", "1e30", TWO_TO_256, "\"x\"", "null", "[]", "true",
        ],
        (true, false) => &[
            "\"-1\"",
            "\"1.5\"",
            "\"1e5\"",
            "\"\"",
            QUOTED_TWO_TO_256,
            "\"0x\"",
        ],
        (true, true) => &[
            "\"-0x1\"",
            "\"0xzz\"",
            "\"1.5\"",
            "\"\"",
            QUOTED_HEX_TWO_TO_256,
        ],
    }
}

/// A number larger than 64 bits hold.
pub(crate) fn large(leaf: &Leaf) -> &'static str {
    match (leaf.is_text, leaf.is_hex) {
        (false, _) => "18446744073709551616",
        (true, false) => "\"18446744073709551616\"",
        (true, true) => "\"0x10000000000000000\"",
    }
}

const TWO_TO_256: &str =
    "115792089237316195423570985008687907853269984665640564039457584007913129639936";
const QUOTED_TWO_TO_256: &str =
    "\"115792089237316195423570985008687907853269984665640564039457584007913129639936\"";
const QUOTED_HEX_TWO_TO_256: &str =
    "\"0x10000000000000000000000000000000000000000000000000000000000000000\"";

/// The text of `value` with `literal` in the place of `leaf`.
pub(crate) fn with_literal(value: &Value, leaf: &Leaf, literal: &str) -> Vec<u8> {
    let mut value = value.clone();
    if let Some(place) = value.pointer_mut(&leaf.pointer) {
        *place = Value::String(MARK.to_owned());
    }
    let quoted = Value::String(MARK.to_owned()).to_string();
    value.to_string().replacen(&quoted, literal, 1).into_bytes()
}

/// The lists within `value` whose entries have an `id`, or name one of `addresses`.
pub(crate) fn keyed_lists(value: &Value, addresses: &[String]) -> Vec<Keyed> {
    let mut lists = Vec::new();
    let mut look = |pointer: &str, value: &Value| {
        let Some(entries) = value.as_array().filter(|entries| !entries.is_empty()) else {
            return;
        };
        let key = entries[0].as_object().and_then(|first| {
            first.iter().find_map(|(field, value)| {
                let names_one = value.as_str().is_some_and(|text| {
                    addresses
                        .iter()
                        .any(|address| address.eq_ignore_ascii_case(text))
                });
                (field == "id" || names_one).then(|| field.clone())
            })
        });
        if let Some(key) = key
            && entries.iter().all(|entry| entry.get(&key).is_some())
        {
            lists.push(Keyed {
                pointer: pointer.to_owned(),
                key,
            });
        }
    };
    walk(value, &mut String::new(), &mut look);
    lists
}

/// The text of `value` with a list changed.
pub(crate) fn with_list(
    value: &Value,
    list: &Keyed,
    change: impl FnOnce(&mut Vec<Value>),
) -> Vec<u8> {
    let mut value = value.clone();
    if let Some(Value::Array(entries)) = value.pointer_mut(&list.pointer) {
        change(entries);
    }
    value.to_string().into_bytes()
}

/// The same entry for somebody whom nobody asked for.
pub(crate) fn uninvited(entry: &Value, key: &str) -> Value {
    let mut entry = entry.clone();
    if let Some(place) = entry.get_mut(key) {
        *place = match place.take() {
            Value::String(text) => Value::String(text.chars().rev().collect()),
            _ => Value::from(999_999),
        };
    }
    entry
}

/// The same entry with another number in it, if it has one beside its key.
pub(crate) fn contradicting(entry: &Value, key: &str) -> Option<Value> {
    let own = format!("/{key}");
    let leaf = leaves(entry, usize::MAX)
        .into_iter()
        .rfind(|leaf| leaf.pointer != own && leaf.pointer != "/jsonrpc")?;
    let other = match (leaf.is_text, leaf.is_hex) {
        (false, _) => "3",
        (true, false) => "\"3\"",
        (true, true) => "\"0x3\"",
    };
    serde_json::from_slice(&with_literal(entry, &leaf, other)).ok()
}

fn walk(value: &Value, pointer: &mut String, look: &mut dyn FnMut(&str, &Value)) {
    look(pointer, value);
    let length = pointer.len();
    match value {
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                // Writing to a text does not fail.
                let _ = write!(pointer, "/{index}");
                walk(entry, pointer, look);
                pointer.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                let _ = write!(pointer, "/{name}");
                walk(field, pointer, look);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A quantity of at most 32 bytes; what is longer is data.
fn is_hex_number(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| {
        (1..=64).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn numbers_are_found_and_replaced_where_they_stand() {
        let value = json!({"a/b": [{"n": 7}], "t": "100", "h": "0x64", "s": "7x", "d": "0x"});
        let leaves = leaves(&value, 10);
        let pointers: Vec<_> = leaves.iter().map(|leaf| leaf.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a~1b/0/n", "/h", "/t"]);
        let first = text(with_literal(&value, &leaves[0], "1e30"));
        assert!(first.contains(r#"{"n":1e30}"#), "{first}");
        let third = text(with_literal(&value, &leaves[2], "\"-1\""));
        assert!(third.contains(r#""t":"-1""#), "{third}");
    }

    #[test]
    fn lists_are_keyed_by_id_or_by_address() {
        let batch = json!([{"id": 0, "result": "0x1"}, {"id": 1, "result": "0x2"}]);
        let lists = keyed_lists(&batch, &[]);
        assert_eq!(lists.len(), 1);
        assert_eq!(
            (lists[0].pointer.as_str(), lists[0].key.as_str()),
            ("", "id")
        );
        let named = json!({"result": [{"account": "0xAB", "balance": "7"}], "other": [1, 2]});
        let lists = keyed_lists(&named, &["0xab".to_owned()]);
        assert_eq!(lists.len(), 1);
        assert_eq!(lists[0].key, "account");
        let gone = text(with_list(&named, &lists[0], Vec::clear));
        assert!(gone.contains(r#""result":[]"#), "{gone}");
        let other = contradicting(&batch[1], "id").unwrap();
        assert_eq!(other, json!({"id": 1, "result": "0x3"}));
        assert_eq!(uninvited(&batch[1], "id")["id"], 999_999);
        assert_eq!(uninvited(&named["result"][0], "account")["account"], "BAx0");
    }

    #[test]
    fn what_is_no_structure_is_left_alone() {
        for plain in ["923456", "\"x\"", "<html>", "", "null"] {
            assert_eq!(structured(plain.as_bytes()), None, "{plain}");
        }
        assert!(structured(b"[]").is_some());
    }
}
