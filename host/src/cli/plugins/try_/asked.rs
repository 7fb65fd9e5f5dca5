//! What is asked for, from the words of the command line.

use std::sync::Arc;

use serde_json::Value;

use crate::cli::CliError;
use crate::model::{Asset, Commitment};
use crate::plugin::backend::BalancesRequest;
use crate::plugin::{Caps, Manifest};
use crate::scan::queue::{Asked, Item, Items};

/// One balance.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Canonical.
    pub(super) address: Arc<str>,
    pub(super) asset: Asset,
}

/// The options table, held against the schema that the plugin publishes.
pub(super) fn options(pairs: &[String], manifest: &Manifest) -> Result<Value, CliError> {
    let mut options = serde_json::Map::new();
    for pair in pairs {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(CliError::Usage(format!(
                "`--option {pair}` has no value; write NAME=VALUE"
            )));
        };
        if options.insert(name.to_owned(), value_of(value)).is_some() {
            return Err(CliError::Usage(format!("`--option {name}` stands twice")));
        }
    }
    let options = Value::Object(options);
    let errors = manifest.check_options(&options);
    if errors.is_empty() {
        return Ok(options);
    }
    let told = errors.iter().map(|error| match error.path.as_str() {
        "" => error.message.clone(),
        path => format!("option `{path}`: {}", error.message),
    });
    Err(CliError::Usage(told.collect::<Vec<_>>().join("; ")))
}

/// `5`, `true`, `"text"`, `[1, 2]` as TOML has them; everything else is text as it stands.
fn value_of(text: &str) -> Value {
    let table = format!("value = {text}").parse::<toml::Table>().ok();
    // A line break could let a second key in.
    let value = table.filter(|it| it.len() == 1 && !text.contains(['\n', '\r']));
    let value = value.and_then(|mut it| serde_json::to_value(it.remove("value")?).ok());
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Every address with every asset: the native coin where the plugin reads it, and the tokens.
pub(super) fn cells(
    tokens: &[String],
    addresses: &[String],
    caps: &Caps,
) -> Result<Vec<Cell>, CliError> {
    let mut assets = Vec::new();
    if caps.native {
        assets.push(Asset {
            symbol: "native".into(),
            contract: None,
            decimals: 0,
        });
    }
    for token in tokens {
        let parts = token.rsplit_once(':').filter(|(it, _)| !it.is_empty());
        let parts = parts.and_then(|(contract, decimals)| Some((contract, decimals.parse().ok()?)));
        let Some((contract, decimals)) = parts else {
            return Err(CliError::Usage(format!(
                "`--asset {token}` names no token; write CONTRACT:DECIMALS, as in `0x55d3…7955:18`"
            )));
        };
        if !caps.tokens {
            return Err(CliError::Usage(format!(
                "`--asset {token}`: the plugin reads no tokens; leave it out"
            )));
        }
        assets.push(Asset {
            symbol: contract.into(),
            contract: Some(contract.into()),
            decimals,
        });
    }
    if assets.is_empty() {
        return Err(CliError::Usage(
            "the plugin reads tokens only; name one by `--asset CONTRACT:DECIMALS`".to_owned(),
        ));
    }
    let cells = addresses.iter().flat_map(|address| {
        let address: Arc<str> = address.as_str().into();
        assets.iter().map(move |asset| Cell {
            address: address.clone(),
            asset: asset.clone(),
        })
    });
    Ok(cells.collect())
}

/// The cells in calls that the plugin takes. No call has more addresses or assets than cells, so
/// the smallest of the three limits keeps all of them.
pub(super) fn chunks<'c>(cells: &'c [Cell], caps: &Caps) -> impl Iterator<Item = &'c [Cell]> {
    let most = caps.cells_max.min(caps.addresses_max).min(caps.assets_max);
    cells.chunks(most.max(1))
}

/// The request for some cells, each address and asset once, and how many of them are tokens'.
pub(super) fn request(cells: &[Cell], commitment: Commitment) -> (BalancesRequest, u32) {
    let mut request = BalancesRequest {
        addresses: Vec::new(),
        assets: Vec::new(),
        cells: Vec::new(),
        commitment,
        min_height: 0,
        at_height: None,
    };
    let mut tokens = 0;
    for cell in cells {
        let address = index_of(&mut request.addresses, &cell.address);
        let asset = index_of(&mut request.assets, &cell.asset);
        let address = u32::try_from(address).expect("fewer addresses than a command line holds");
        let asset = u16::try_from(asset).expect("fewer assets than a command line holds");
        request.cells.push((address, asset));
        tokens += u32::from(!cell.asset.is_native());
    }
    (request, tokens)
}

/// The cells as answers are matched to them.
pub(super) fn items(cells: &[Cell]) -> Items {
    let item = |cell: &Cell| Item {
        address: cell.address.clone(),
        asset: 0,
        suspect: 0,
        counted: false,
        errors: Vec::new(),
    };
    cells
        .iter()
        .map(|cell| (item(cell), Asked::default()))
        .collect()
}

fn index_of<T: Clone + PartialEq>(list: &mut Vec<T>, item: &T) -> usize {
    list.iter().position(|it| it == item).unwrap_or_else(|| {
        list.push(item.clone());
        list.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_option_is_a_value_of_toml_or_text() {
        assert_eq!(value_of("5"), json!(5));
        assert_eq!(value_of("true"), json!(true));
        assert_eq!(value_of("\"5\""), json!("5"));
        assert_eq!(value_of("[1, 2]"), json!([1, 2]));
        assert_eq!(value_of("all"), json!("all"));
        assert_eq!(value_of(""), json!(""));
        assert_eq!(value_of("1\nother = 2"), json!("1\nother = 2"));
    }

    #[test]
    fn calls_keep_every_limit() {
        let cell = |number: usize| Cell {
            address: format!("a{number}").into(),
            asset: Asset {
                symbol: "native".into(),
                contract: None,
                decimals: 0,
            },
        };
        let cells: Vec<Cell> = (0..5).map(cell).collect();
        let caps = |cells_max, addresses_max, assets_max| Caps {
            native: true,
            tokens: false,
            pinned: false,
            min_height: false,
            derive: false,
            cells_max,
            addresses_max,
            assets_max,
            cost: Default::default(),
            token_scope: "wallet",
            commitment_default: Commitment::Latest,
        };
        let lengths = |caps| -> Vec<usize> { chunks(&cells, &caps).map(<[Cell]>::len).collect() };
        assert_eq!(lengths(caps(100, 100, 100)), [5]);
        assert_eq!(lengths(caps(100, 2, 100)), [2, 2, 1]);
        assert_eq!(lengths(caps(3, 100, 100)), [3, 2]);
    }
}
