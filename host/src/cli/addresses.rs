//! `scanhost addresses`: sets that live in the store instead of in files.

mod derive;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::runtime::Handle;

use super::context::{self, Context, say};
use super::judge::judge_of;
use super::output::{self, Format, Out, Table, json_line};
use super::remarks::Remarks;
use super::{CliError, Exit};
use crate::config::{Chain, Config, UnknownName};
use crate::ledger::{AddressSet, Ledger, LedgerError};
use crate::model::ChainName;
use crate::pool::assemble::Assembler;
use crate::scan::list::{AddressList, ListError, ListReader, Remark, StoredRows};

/// Rows that are in memory at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check a list of addresses and keep it as a set in the store
    Import {
        /// The chain that the addresses belong to
        #[arg(long, value_name = "C")]
        chain: String,
        /// Name of the set; one of that name is replaced [default: the file's name]
        #[arg(long, value_name = "NAME")]
        set: Option<String>,
        /// CSV with a header, or one address per line; `-` is standard input
        file: PathBuf,
    },
    /// Print the addresses of a public key, as a list that `scan --addresses` takes
    Derive(derive::Args),
    /// Print the sets, or the addresses of one
    List {
        /// Only sets of this chain
        #[arg(long, value_name = "C")]
        chain: Option<String>,
        /// Print the addresses of this set
        #[arg(long, value_name = "NAME")]
        set: Option<String>,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load()?;
    let config = &loaded.config;
    match command {
        Command::Import { chain, set, file } => {
            let set = match set {
                Some(set) => set,
                None => set_of(&file)?,
            };
            if set.trim().is_empty() {
                return Err(CliError::Usage("the name of a set is empty".to_owned()));
            }
            let chain = config
                .chain(&chain)
                .map_err(|error| CliError::Usage(error.to_string()))?;
            import(context, config, chain, &set, &file).await
        }
        Command::Derive(args) => derive::run(args, context, config).await,
        Command::List { chain, set, format } => {
            let chains: Vec<String> = chain.into_iter().collect();
            let chain = match context::chains(config, &chains)?.as_slice() {
                [chain] if !chains.is_empty() => Some(chain.name.clone()),
                _ => None,
            };
            list(context, config, chain, set.as_deref(), format).await
        }
    }
}

/// The set that a file is named for, as in the configuration.
fn set_of(file: &Path) -> Result<String, CliError> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    match stem {
        Some(stem) if file != Path::new("-") => Ok(stem.to_owned()),
        _ => Err(CliError::Usage(format!(
            "`{}` gives the set no name; add `--set NAME`",
            file.display()
        ))),
    }
}

async fn import(
    context: &Context,
    config: &Config,
    chain: &Chain,
    set: &str,
    file: &Path,
) -> Result<Exit, CliError> {
    let catalog = context.catalog(config)?;
    let mut assembler = Assembler::new(
        config,
        &catalog,
        context.copies(config),
        None,
        context.clock.clone(),
        Handle::current(),
    );
    let name = &chain.name;
    let judge = judge_of(&mut assembler, chain).await?.map_err(|why| {
        CliError::Usage(format!(
            "{name}: no plugin of its pool can check the addresses, so nothing was imported: {why}"
        ))
    })?;
    let reader = ListReader::new(vec![&*judge.backend])
        .map_err(list_error)?
        .strict();
    let list = read(reader, name, file).await?;
    let AddressList {
        valid,
        invalid,
        doubled,
        ..
    } = list;
    if valid == 0 {
        return Err(CliError::Usage(format!(
            "{name}: `{}` holds no address of the chain, so nothing was imported; the stored set \
             is unchanged",
            file.display()
        )));
    }
    let rows = StoredRows::new(&list).map_err(|error| list_error(ListError::Spool(error)))?;
    let ledger = context.ledger(config).await?;
    let imported = ledger.import_set(name, set, rows).await;
    ledger.close().await;
    let imported = imported.map_err(|error| match error {
        LedgerError::Import { .. } => CliError::Usage(crate::causes::with_causes(&error)),
        error => error.into(),
    })?;
    let mut out = output::stdout();
    let doubled = doubled + imported.doubled;
    writeln!(
        out,
        "{name}: set `{set}` holds {} addresses now; left out: {invalid} invalid lines, {doubled} \
         doubled addresses",
        imported.addresses
    )?;
    out.flush()?;
    if !chain.addresses.iter().any(|it| it.name == set) {
        say(&format!(
            "to scan it by default, add to the configuration: [[chains.{name}.addresses]] and \
             below it set = {set:?}"
        ));
    }
    Ok(Exit::Done)
}

/// Reads the file, and tells what is left out of it.
async fn read(
    mut reader: ListReader<'_>,
    chain: &ChainName,
    file: &Path,
) -> Result<AddressList, CliError> {
    let mut remarks = Remarks::new(chain);
    let mut remark = |remark: Remark| remarks.tell(&remark);
    let read = reader.read(file, &mut remark).await;
    let list = read.and_then(|()| reader.finish(&mut remark));
    remarks.finish();
    list.map_err(list_error)
}

fn list_error(error: ListError) -> CliError {
    match error {
        ListError::Read { .. } => CliError::Usage(error.to_string()),
        ListError::Spool(_) | ListError::Plugin(_) => CliError::Broken(error.to_string()),
    }
}

#[derive(Debug, Serialize)]
struct SetLine<'a> {
    chain: &'a str,
    set: &'a str,
    addresses: u64,
}

#[derive(Debug, Serialize)]
struct AddressLine<'a> {
    chain: &'a str,
    set: &'a str,
    index: u64,
    address: &'a str,
    canonical: &'a str,
    label: Option<&'a str>,
}

async fn list(
    context: &Context,
    config: &Config,
    chain: Option<ChainName>,
    set: Option<&str>,
    format: Format,
) -> Result<Exit, CliError> {
    let ledger = context.ledger_read_only(config).await?;
    let mut sets = ledger.list_sets().await?;
    sets.retain(|set| chain.as_ref().is_none_or(|chain| *chain == set.chain));
    let mut out = output::stdout();
    match set {
        None => print_sets(&sets, format, &mut out)?,
        Some(name) => {
            let named: Vec<&AddressSet> = sets.iter().filter(|set| set.name == name).collect();
            if named.is_empty() {
                let known = sets.iter().map(|set| set.name.as_str());
                let unknown = UnknownName::new("address set", name, known);
                let next = match unknown.known.as_slice() {
                    [] => "; `scanhost addresses import` makes one",
                    _ => "",
                };
                return Err(CliError::Usage(format!("{unknown}{next}")));
            }
            print_addresses(&ledger, &named, format, &mut out).await?;
        }
    }
    out.flush()?;
    ledger.close().await;
    Ok(Exit::Done)
}

fn print_sets(sets: &[AddressSet], format: Format, out: &mut Out) -> Result<(), CliError> {
    if sets.is_empty() {
        say("the store holds no address set; `scanhost addresses import` makes one");
    }
    let lines = sets.iter().map(|set| SetLine {
        chain: set.chain.as_str(),
        set: &set.name,
        addresses: set.addresses,
    });
    let mut table = Table::new(&["CHAIN", "SET", ">ADDRESSES"]);
    let mut csv = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    csv.write_record(["chain", "set", "addresses"])?;
    for line in lines {
        match format {
            Format::Json => json_line(out, &line)?,
            Format::Csv => csv.serialize(&line)?,
            Format::Table => table.row(vec![
                line.chain.to_owned(),
                line.set.to_owned(),
                line.addresses.to_string(),
            ]),
        }
    }
    if format == Format::Csv {
        csv.flush()?;
        out.write_all(csv.get_ref())?;
    }
    if format == Format::Table && !table.is_empty() {
        table.print(out)?;
    }
    Ok(())
}

async fn print_addresses(
    ledger: &Ledger,
    sets: &[&AddressSet],
    format: Format,
    out: &mut Out,
) -> Result<(), CliError> {
    let mut table = Table::new(&["CHAIN", "SET", ">INDEX", "ADDRESS", "LABEL"]);
    if format == Format::Csv {
        let header = ["chain", "set", "index", "address", "canonical", "label"];
        writeln!(out, "{}", header.join(","))?;
    }
    for set in sets {
        let mut after = None;
        loop {
            let page = ledger.set_page(&set.chain, &set.name, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.index);
            let lines = page.iter().map(|row| AddressLine {
                chain: set.chain.as_str(),
                set: &set.name,
                index: row.index,
                address: &row.address,
                canonical: &row.canonical,
                label: row.label.as_deref(),
            });
            match format {
                Format::Json => {
                    for line in lines {
                        json_line(out, &line)?;
                    }
                }
                Format::Csv => {
                    let mut writer = csv::WriterBuilder::new()
                        .has_headers(false)
                        .from_writer(&mut *out);
                    for line in lines {
                        writer.serialize(&line)?;
                    }
                    writer.flush()?;
                }
                Format::Table => {
                    for line in lines {
                        table.row(vec![
                            line.chain.to_owned(),
                            line.set.to_owned(),
                            line.index.to_string(),
                            line.address.to_owned(),
                            line.label.unwrap_or_default().to_owned(),
                        ]);
                    }
                    table.print_page(out)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_named_like_its_file() {
        assert_eq!(set_of(Path::new("lists/cold.csv")).unwrap(), "cold");
        let error = set_of(Path::new("-")).unwrap_err().to_string();
        assert!(error.contains("--set NAME"), "{error}");
    }
}
