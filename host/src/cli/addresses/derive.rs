//! `scanhost addresses derive`: the addresses of a public key, as a list that `scan` takes.

use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::runtime::Handle;

use super::super::context::Context;
use super::super::output::{self, Format, Out, Table, json_line};
use super::super::{CliError, Exit};
use crate::config::Config;
use crate::model::ChainName;
use crate::plugin::derive::{DERIVE_MAX, DerivedAddress, INDICES};
use crate::pool::assemble::Assembler;
use crate::watch::{self, NoAddresses, WatchKey};

/// Bytes of a file that may be a key.
const FILE_MAX: u64 = 16 << 10;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The chain whose plugins derive them
    #[arg(long, value_name = "C")]
    chain: String,
    #[command(flatten)]
    key: KeyArgs,
    /// Which branch of the key: 0 is what a wallet receives on, 1 its change
    #[arg(long, value_name = "B", default_value_t = 0)]
    branch: u32,
    /// The first index
    #[arg(long, value_name = "N", default_value_t = 0)]
    start: u32,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// How to print them; `scan --addresses` takes CSV
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct KeyArgs {
    /// An extended public key: xpub, ypub, zpub and their like
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// An output descriptor: wpkh([fingerprint/84h/0h/0h]xpub…/0/*)
    #[arg(long, value_name = "D")]
    descriptor: Option<String>,
    /// A file that holds either; `-` is standard input
    #[arg(long, value_name = "F")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    chain: &'a str,
    branch: u32,
    index: u32,
    address: &'a str,
    path: &'a str,
}

pub(super) async fn run(args: Args, context: &Context, config: &Config) -> Result<Exit, CliError> {
    let chain = config
        .chain(&args.chain)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    let key = key(&args.key)?;
    let end = args.start.checked_add(args.count);
    let Some(end) = end.filter(|end| *end <= INDICES) else {
        return Err(CliError::Usage(NoAddresses::Index.to_string()));
    };
    let catalog = context.catalog(config)?;
    let mut assembler = Assembler::new(
        config,
        &catalog,
        context.copies(config),
        None,
        context.clock.clone(),
        Handle::current(),
    );
    let pool = assembler.pool(chain, None).await?;
    let mut out = output::stdout();
    let mut rows = Rows::new(&chain.name, args.branch, args.format, &mut out)?;
    for indices in chunks(args.start..end) {
        let derived = watch::derive(&pool, &key, args.branch, indices).await;
        let derived =
            derived.map_err(|error| CliError::Usage(format!("{}: {error}", chain.name)))?;
        for address in &derived.addresses {
            rows.print(address)?;
        }
    }
    rows.finish()?;
    out.flush()?;
    Ok(Exit::Done)
}

fn key(args: &KeyArgs) -> Result<WatchKey, CliError> {
    let (what, text) = match (&args.key, &args.descriptor, &args.key_file) {
        (Some(key), ..) => ("`--key`".to_owned(), key.clone()),
        (_, Some(descriptor), _) => ("`--descriptor`".to_owned(), descriptor.clone()),
        (_, _, Some(file)) => (format!("`{}`", file.display()), read(file)?),
        // One of them is required.
        (None, None, None) => (String::new(), String::new()),
    };
    WatchKey::new(&text).map_err(|warning| CliError::Usage(format!("{what} {warning}")))
}

fn read(file: &Path) -> Result<String, CliError> {
    let failed = |error: std::io::Error| {
        CliError::Usage(format!("failed to read `{}`: {error}", file.display()))
    };
    let input: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(failed)?)
    };
    let mut text = String::new();
    input
        .take(FILE_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// As many at once as one call of a plugin gives, so that memory does not grow with the count.
fn chunks(indices: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let Range { start, end } = indices;
    (start..end)
        .step_by(DERIVE_MAX as usize)
        .map(move |start| start..end.min(start.saturating_add(DERIVE_MAX)))
}

struct Rows<'a> {
    chain: &'a ChainName,
    branch: u32,
    format: Format,
    table: Table,
    out: &'a mut Out,
}

impl<'a> Rows<'a> {
    fn new(
        chain: &'a ChainName,
        branch: u32,
        format: Format,
        out: &'a mut Out,
    ) -> Result<Self, CliError> {
        if format == Format::Csv {
            writeln!(out, "address,index,label")?;
        }
        Ok(Self {
            chain,
            branch,
            format,
            table: Table::new(&[">INDEX", "ADDRESS", "PATH"]),
            out,
        })
    }

    fn print(&mut self, derived: &DerivedAddress) -> Result<(), CliError> {
        let DerivedAddress {
            index,
            address,
            path,
        } = derived;
        match self.format {
            Format::Json => json_line(
                self.out,
                &Line {
                    chain: self.chain.as_str(),
                    branch: self.branch,
                    index: *index,
                    address,
                    path,
                },
            )?,
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new()
                    .has_headers(false)
                    .from_writer(&mut *self.out);
                writer.serialize((address, index, path))?;
                writer.flush()?;
            }
            Format::Table => {
                self.table
                    .row(vec![index.to_string(), address.clone(), path.clone()]);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), CliError> {
        if self.format == Format::Table {
            self.table.print(self.out)?;
        }
        Ok(())
    }
}
