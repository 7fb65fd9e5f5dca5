//! As much of Prometheus' language as the alert rules use.
//!
//! `a == 1`, `a > b`, `time() - a > 2 * b`, `max by (chain) (a)`, `sum by …`, `increase(a[1h])`, `absent(a)`,
//! `a and b`; selectors with `=` and `=~`. Two vectors match by all their labels.

use super::exposition::{Labels, Scrape};

/// What is asked: the scrape before, the newest, and the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) before: &'a Scrape,
    pub(crate) now: &'a Scrape,
    pub(crate) time: f64,
}

#[derive(Clone, Debug)]
enum Value {
    Scalar(f64),
    Vector(Vec<(Labels, f64)>),
}

struct Reader<'a> {
    rest: &'a str,
    moment: Moment<'a>,
}

/// The labels for which an expression is so.
#[track_caller]
pub(crate) fn evaluate(expression: &str, moment: Moment<'_>) -> Vec<Labels> {
    let mut reader = Reader {
        rest: expression,
        moment,
    };
    let value = reader.all();
    assert_eq!(reader.rest.trim(), "", "{expression}");
    match value {
        Value::Vector(vector) => vector.into_iter().map(|(labels, _)| labels).collect(),
        Value::Scalar(_) => panic!("{expression} is a number"),
    }
}

impl<'a> Reader<'a> {
    fn takes(&mut self, token: &str) -> bool {
        match self.rest.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    #[track_caller]
    fn expect(&mut self, token: &str) {
        assert!(
            self.takes(token),
            "`{token}` is missing before `{}`",
            self.rest
        );
    }

    fn until(&mut self, end: char) -> &'a str {
        let (taken, rest) = self.rest.split_once(end).expect("it ends");
        self.rest = rest;
        taken.trim()
    }

    fn all(&mut self) -> Value {
        let mut left = self.comparison();
        while self.takes("and ") {
            let (Value::Vector(one), Value::Vector(other)) = (left, self.comparison()) else {
                panic!("`and` is between vectors");
            };
            let is_there = |labels: &Labels| other.iter().any(|(it, _)| it == labels);
            left = Value::Vector(one.into_iter().filter(|(it, _)| is_there(it)).collect());
        }
        left
    }

    fn comparison(&mut self) -> Value {
        let left = self.difference();
        let compare: fn(&f64, &f64) -> bool = if self.takes("==") {
            |one, other| one == other
        } else if self.takes(">") {
            |one, other| one > other
        } else {
            return left;
        };
        let right = self.difference();
        let Value::Vector(mut left) = left else {
            panic!("a vector is compared");
        };
        left.retain(|(labels, value)| {
            let other = match &right {
                Value::Scalar(other) => Some(*other),
                Value::Vector(right) => {
                    let found = right.iter().find(|(it, _)| it == labels);
                    found.map(|(_, other)| *other)
                }
            };
            other.is_some_and(|other| compare(value, &other))
        });
        Value::Vector(left)
    }

    fn difference(&mut self) -> Value {
        let left = self.product();
        if self.takes("-") {
            return both(left, self.product(), |one, other| one - other);
        }
        left
    }

    fn product(&mut self) -> Value {
        let left = self.one();
        if self.takes("*") {
            return both(left, self.one(), |one, other| one * other);
        }
        left
    }

    fn one(&mut self) -> Value {
        self.rest = self.rest.trim_start();
        if self.takes("time()") {
            return Value::Scalar(self.moment.time);
        }
        // A number is larger than none, and a sum with none is none.
        let gather: Option<fn(f64, f64) -> f64> = if self.takes("max by (") {
            Some(f64::max)
        } else if self.takes("sum by (") {
            Some(|one, other| one + other)
        } else {
            None
        };
        if let Some(gather) = gather {
            let by: Vec<&str> = self.until(')').split(", ").collect();
            self.expect("(");
            let inner = self.all();
            self.expect(")");
            return gathered(&by, inner, gather);
        }
        if self.takes("increase(") {
            let selector = self.until('[');
            self.until(')');
            let before = select(selector, self.moment.before);
            let risen = |(labels, now): (Labels, f64)| {
                let before = before.iter().find(|(it, _)| *it == labels);
                before.map(|(_, before)| (labels.clone(), now - before))
            };
            let now = select(selector, self.moment.now).into_iter();
            return Value::Vector(now.filter_map(risen).collect());
        }
        if self.takes("absent(") {
            let selector = self.until(')');
            let is_absent = select(selector, self.moment.now).is_empty();
            let one = is_absent.then(|| (Labels::new(), 1.0));
            return Value::Vector(one.into_iter().collect());
        }
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let end = self.rest.find(|c| !is_number(c)).unwrap_or(self.rest.len());
        if end > 0 {
            let (number, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Value::Scalar(number.parse().expect("a number"));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        let end = match self.rest[end..].starts_with('{') {
            true => end + self.rest[end..].find('}').expect("it ends") + 1,
            false => end,
        };
        let (selector, rest) = self.rest.split_at(end);
        assert!(!selector.is_empty(), "`{rest}` is nothing we know");
        self.rest = rest;
        Value::Vector(select(selector, self.moment.now))
    }
}

fn both(left: Value, right: Value, join: fn(f64, f64) -> f64) -> Value {
    match (left, right) {
        (Value::Scalar(one), Value::Scalar(other)) => Value::Scalar(join(one, other)),
        (Value::Scalar(one), Value::Vector(mut vector)) => {
            vector
                .iter_mut()
                .for_each(|(_, value)| *value = join(one, *value));
            Value::Vector(vector)
        }
        (left, right) => panic!("{left:?} and {right:?} are not joined in our rules"),
    }
}

fn gathered(by: &[&str], value: Value, gather: fn(f64, f64) -> f64) -> Value {
    let Value::Vector(vector) = value else {
        panic!("a vector is gathered");
    };
    let mut groups: Vec<(Labels, f64)> = Vec::new();
    for (mut labels, value) in vector {
        labels.retain(|label, _| by.contains(&label.as_str()));
        match groups.iter_mut().find(|(it, _)| *it == labels) {
            Some((_, so_far)) => *so_far = gather(*so_far, value),
            None => groups.push((labels, value)),
        }
    }
    Value::Vector(groups)
}

/// The samples of `name{label="value",other=~"one|two"}`.
fn select(selector: &str, scrape: &Scrape) -> Vec<(Labels, f64)> {
    let (name, matchers) = match selector.split_once('{') {
        Some((name, rest)) => (name, rest.trim_end_matches('}')),
        None => (selector, ""),
    };
    let matchers: Vec<(&str, Vec<&str>)> = matchers
        .split(',')
        .filter(|it| !it.is_empty())
        .map(|it| {
            let (label, values) = it.split_once('=').expect("a matcher has a value");
            let values = match values.strip_prefix('~') {
                Some(values) => values.trim_matches('"').split('|').collect(),
                None => vec![values.trim_matches('"')],
            };
            (label, values)
        })
        .collect();
    let is_wanted = |labels: &Labels| {
        let has = |(label, values): &(&str, Vec<&str>)| {
            let told = labels.get(*label);
            told.is_some_and(|told| values.contains(&told.as_str()))
        };
        matchers.iter().all(has)
    };
    let named = scrape.some(name, &[]);
    let wanted = named.filter(|(labels, _)| is_wanted(labels));
    wanted
        .map(|(labels, value)| (labels.clone(), value))
        .collect()
}
