//! `[[alerts]]`: amounts that are to be told of when they are crossed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chain::Chain;
use super::error::{UnknownName, did_you_mean, normal, ticked};
use super::leaf::{Leaf, quoted, word, words};
use super::reader::{Item, Table};
use super::webhook;
use crate::model::{Amount, Asset, ChainName};

/// One of `[[alerts]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// By which the store knows how it stands.
    pub name: String,
    /// The chain.
    pub chain: ChainName,
    /// Whose amounts are summed.
    pub whose: AlertWhose,
    /// Which amounts.
    pub asset: Asset,
    /// On which side of the threshold there is something to tell.
    pub side: AlertSide,
    /// In the smallest unit; an amount that equals it is on neither side.
    pub threshold: Amount,
    /// How long the sum must be there. Default: no time.
    pub hold: Duration,
}

/// Whose amounts an alert sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertWhose {
    /// All of the chain's sets.
    Chain,
    /// One of them.
    Set(String),
    /// These addresses.
    Addresses(Vec<String>),
}

words! {
    /// A side of a threshold.
    AlertSide {
        /// Less than it.
        Below = "below",
        /// More than it.
        Above = "above",
    }
}

/// What a threshold counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Wei, satoshi, lamports.
    Smallest,
    /// Whole coins, with digits behind the point.
    Coins,
}

impl Leaf for Unit {
    fn read(item: &Item<'_>) -> Option<Self> {
        word(
            item,
            &[("smallest", Self::Smallest), ("coins", Self::Coins)],
        )
    }

    fn shown(&self) -> String {
        quoted(match self {
            Self::Smallest => "smallest",
            Self::Coins => "coins",
        })
    }
}

pub(super) fn read(
    tables: Vec<Table<'_>>,
    names: &[ChainName],
    chains: &BTreeMap<ChainName, Chain>,
) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    for table in tables {
        let alert = read_one(table, names, chains, &alerts);
        alerts.extend(alert);
    }
    alerts
}

fn read_one(
    mut table: Table<'_>,
    names: &[ChainName],
    chains: &BTreeMap<ChainName, Chain>,
    earlier: &[Alert],
) -> Option<Alert> {
    let name = webhook::name(&mut table, earlier.iter().map(|alert| alert.name.as_str()));
    let of_chain = table.required::<String>("chain");
    let set = table.optional::<String>("set");
    let addresses = table.optional::<Vec<String>>("addresses");
    let symbol = table.required::<String>("asset");
    let below = table.optional::<String>("below");
    let above = table.optional::<String>("above");
    let unit = table.optional("unit").unwrap_or(Unit::Smallest);
    let hold = table.optional("for").unwrap_or(Duration::ZERO);

    if table.has("set") && table.has("addresses") {
        table.wrong("set", "write either a set or addresses");
    }
    if addresses.as_ref().is_some_and(Vec::is_empty) {
        table.wrong("addresses", "is empty; leave it out for all of the chain");
    }
    let threshold = match (table.has("below"), table.has("above")) {
        (true, false) => below.map(|text| (AlertSide::Below, text)),
        (false, true) => above.map(|text| (AlertSide::Above, text)),
        (both, _) => {
            let what = if both {
                "stand together"
            } else {
                "are missing"
            };
            let message = format!(
                "`{}`: `below` and `above` {what}; write one of them, \"1000\" for one",
                table.path
            );
            table.reader.error(table.place(), message);
            None
        }
    };
    let found = of_chain.as_ref().and_then(|name| {
        let found = names
            .iter()
            .find(|chain| normal(chain.as_str()) == normal(name));
        if found.is_none() {
            table.wrong("chain", webhook::unknown_chain(name, names));
        }
        // One with mistakes of its own is not there; they have been told.
        chains.get(found?)
    });
    if let (Some(chain), Some(set)) = (found, &set)
        && !chain.addresses.iter().any(|known| known.name == *set)
    {
        let sets = || chain.addresses.iter().map(|set| set.name.as_str());
        let hint = match did_you_mean(set, sets()) {
            hint if !hint.is_empty() => hint,
            _ if chain.addresses.is_empty() => format!("; `{}` has no addresses", chain.name),
            _ => format!("; there are {}", ticked(sets())),
        };
        table.wrong("set", format_args!("unknown set `{set}`{hint}"));
    }
    let asset = found.zip(symbol).and_then(|(chain, symbol)| {
        let asset = chain.asset(&symbol).cloned();
        if asset.is_none() {
            let known = chain.assets.iter().map(|asset| asset.symbol.as_str());
            table.wrong("asset", UnknownName::new("asset", &symbol, known));
        }
        asset
    });
    let threshold = threshold.and_then(|(side, text)| {
        let decimals = match unit {
            Unit::Smallest => 0,
            Unit::Coins => asset.as_ref()?.decimals,
        };
        let amount = amount(&text, decimals);
        if amount.is_none() {
            let what = match unit {
                Unit::Smallest => {
                    "expected whole digits of the smallest unit; write unit = \"coins\" for coins"
                        .to_owned()
                }
                Unit::Coins => {
                    format!("expected coins with up to {decimals} digits behind the point")
                }
            };
            table.wrong(side.as_str(), format_args!("{what}, found {text:?}"));
        }
        Some((side, amount?))
    });
    table.finish();
    let (side, threshold) = threshold?;
    Some(Alert {
        name: name?,
        chain: found?.name.clone(),
        whose: match (set, addresses) {
            (Some(set), _) => AlertWhose::Set(set),
            (None, Some(addresses)) => AlertWhose::Addresses(addresses),
            (None, None) => AlertWhose::Chain,
        },
        asset: asset?,
        side,
        threshold,
        hold,
    })
}

/// `12.5` of a coin with so many decimals, in the smallest unit.
fn amount(text: &str, decimals: u8) -> Option<Amount> {
    let (whole, part) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, part)) => (whole, part.trim_end_matches('0')),
        None => (text, ""),
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let missing = usize::from(decimals).checked_sub(part.len())?;
    if whole.is_empty() || !is_digits(whole) || !is_digits(part) {
        return None;
    }
    format!("{whole}{part}{}", "0".repeat(missing)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_become_the_smallest_unit_exactly() {
        let check = |text: &str, decimals, expected: Option<&str>| {
            let amount = amount(text, decimals).map(|amount| amount.to_string());
            assert_eq!(amount.as_deref(), expected, "{text}");
        };
        check("12.5", 8, Some("1250000000"));
        check("0.00000001", 8, Some("1"));
        check("1.10", 1, Some("11"));
        check("7", 0, Some("7"));
        check("0", 18, Some("0"));
        check("1.5", 0, None);
        check("0.000000001", 8, None);
        check("1.", 8, None);
        check(".5", 8, None);
        check("-1", 8, None);
        check("1e3", 8, None);
        check("", 8, None);
        // 2^256 does not fit.
        check(&format!("1{}", "0".repeat(78)), 0, None);
    }
}
