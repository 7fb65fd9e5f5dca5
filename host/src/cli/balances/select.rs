//! What was asked for, in the words of the store: canonical addresses, asset keys.

use std::collections::BTreeSet;

use tokio::runtime::Handle;

use super::super::CliError;
use super::super::context::{Context, executable_dir, say};
use super::super::judge::judge_of;
use crate::config::{Chain, Config, UnknownName};
use crate::ledger::BalanceFilter;
use crate::pool::assemble::{self, Assembler};

/// The chains that have an asked asset, each with the keys; no keys means all of the chain's.
pub(super) fn assets<'c>(
    chains: &[&'c Chain],
    symbols: &[String],
) -> Result<Vec<(&'c Chain, Vec<String>)>, CliError> {
    for symbol in symbols {
        if chains.iter().all(|chain| chain.asset(symbol).is_none()) {
            let known = chains.iter().flat_map(|chain| &chain.assets);
            let known: BTreeSet<&str> = known.map(|asset| asset.symbol.as_str()).collect();
            let unknown = UnknownName::new("asset", symbol, known);
            return Err(CliError::Usage(unknown.to_string()));
        }
    }
    let keys = |chain: &Chain| -> Vec<String> {
        let assets = symbols.iter().filter_map(|symbol| chain.asset(symbol));
        assets.map(|asset| asset.key().to_owned()).collect()
    };
    let chains = chains.iter().map(|chain| (*chain, keys(chain)));
    Ok(chains
        .filter(|(_, keys)| symbols.is_empty() || !keys.is_empty())
        .collect())
}

/// One filter per chain, or per chain that any of the addresses belongs to.
pub(super) async fn filters(
    context: &Context,
    config: &Config,
    chains: Vec<(&Chain, Vec<String>)>,
    addresses: &[String],
) -> Result<Vec<BalanceFilter>, CliError> {
    if addresses.is_empty() {
        let whole = |(chain, assets): (&Chain, Vec<String>)| BalanceFilter {
            chains: vec![chain.name.clone()],
            assets,
            ..BalanceFilter::default()
        };
        return Ok(chains.into_iter().map(whole).collect());
    }
    let catalog = assemble::catalog(config, &executable_dir());
    let mut assembler = Assembler::new(
        config,
        &catalog,
        context.copies(config),
        None,
        context.clock.clone(),
        Handle::current(),
    );
    let mut filters = Vec::new();
    let mut found = vec![false; addresses.len()];
    let mut refusals = vec![Vec::new(); addresses.len()];
    for (chain, assets) in chains {
        let judged = judge(&mut assembler, chain, addresses).await?;
        let mut canonical = Vec::new();
        for (at, verdict) in judged.into_iter().enumerate() {
            match verdict {
                Ok(spellings) => {
                    found[at] = true;
                    canonical.extend(spellings);
                }
                Err(why) => refusals[at].push(format!("{}: {why}", chain.name)),
            }
        }
        // A filter without addresses would let all of them through.
        if !canonical.is_empty() {
            filters.push(BalanceFilter {
                chains: vec![chain.name.clone()],
                addresses: canonical,
                assets,
                ..BalanceFilter::default()
            });
        }
    }
    for ((address, found), why) in addresses.iter().zip(found).zip(refusals) {
        if !found {
            let why = why.join("; ");
            let message = format!("`{address}` is no address of the chains asked for: {why}");
            return Err(CliError::Usage(message));
        }
    }
    Ok(filters)
}

/// How each address may stand in the store: as the chain's plugin writes it, else as a guess.
async fn judge(
    assembler: &mut Assembler<'_>,
    chain: &Chain,
    addresses: &[String],
) -> Result<Vec<Result<Vec<String>, String>>, CliError> {
    let why = match judge_of(assembler, chain).await? {
        Ok(judge) => match judge.backend.validate_addresses(addresses.to_vec()).await {
            Ok(verdicts) => {
                let known = verdicts.into_iter();
                return Ok(known.map(|it| it.map(|it| vec![it])).collect());
            }
            Err(error) => error.to_string(),
        },
        Err(why) => why,
    };
    let name = &chain.name;
    say(&format!(
        "{name}: addresses are looked up as given and in lower case, since no plugin of its pool \
         can read them: {why}"
    ));
    Ok(addresses.iter().map(|it| Ok(spellings(it))).collect())
}

/// The address as given and, where that differs, in lower case, which is the canonical form of
/// every encoding in which case means nothing.
fn spellings(address: &str) -> Vec<String> {
    let lower = address.to_ascii_lowercase();
    let mut spellings = vec![address.to_owned()];
    if lower != address {
        spellings.push(lower);
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Env, Loaded};

    fn loaded() -> Loaded {
        let file = std::path::Path::new("scanhost.toml");
        config::load_text(file, config::REFERENCE, &Env::default()).unwrap()
    }

    #[test]
    fn an_asset_selects_its_chains_and_keys() {
        let loaded = loaded();
        let chains: Vec<_> = loaded.config.chains.values().collect();
        let names = |symbols: &[&str]| -> Vec<(String, Vec<String>)> {
            let symbols: Vec<_> = symbols.iter().map(|&it| it.to_owned()).collect();
            let selected = assets(&chains, &symbols).unwrap();
            let told = selected.into_iter();
            told.map(|(chain, keys)| (chain.name.to_string(), keys))
                .collect()
        };
        assert_eq!(names(&["bnb"]), [("bsc".to_owned(), vec![String::new()])]);
        assert!(names(&[]).iter().all(|(_, keys)| keys.is_empty()));
        assert_eq!(names(&[]).len(), chains.len());
    }

    #[test]
    fn without_a_plugin_case_is_tried_both_ways() {
        assert_eq!(spellings("0xAb"), ["0xAb", "0xab"]);
        assert_eq!(spellings("bc1q"), ["bc1q"]);
    }

    #[test]
    fn an_unknown_asset_is_refused_with_the_nearest() {
        let loaded = loaded();
        let chains: Vec<_> = loaded.config.chains.values().collect();
        let error = assets(&chains, &["BMB".to_owned()])
            .unwrap_err()
            .to_string();
        assert_eq!(error, "unknown asset `BMB`; did you mean `BNB`?");
    }
}
