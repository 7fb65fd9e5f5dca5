//! `scanhost man`: the manual pages, made of the command line's own words.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::output;
use super::{CliError, Exit};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write one page per command into this folder, which is made when it does not exist
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// What stands in the page of the program itself: the heading, then terms and what they mean.
const SECTIONS: [(&str, &[(&str, &str)]); 3] = [
    (
        "EXIT STATUS",
        &[
            ("0", "All asked cells are known."),
            ("1", "The run itself broke: store, output, signal."),
            ("2", "Wrong usage or configuration."),
            (
                "3",
                "Some cells are unknown; each has its row with the reason.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "SCANHOST_CONFIG",
                "The configuration file, where --config does not name one.",
            ),
            (
                "SCANHOST__SECTION__KEY",
                "Overrides a key of the configuration, as in SCANHOST__LOG__LEVEL=debug.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            (
                "scanhost.toml",
                "The configuration; `scanhost init` writes one with every key.",
            ),
            (
                "scanhost.db",
                "The store, beside the configuration unless store.url says otherwise.",
            ),
        ],
    ),
];

/// Prints the page of the program, or writes those of all commands; `program` is the whole command
/// line.
pub(super) fn run(args: &Args, program: clap::Command) -> Result<Exit, CliError> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut out = output::stdout();
    match &args.output {
        None => out.write_all(&page(&program)?)?,
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
            for path in write_pages(&program, folder)? {
                writeln!(out, "wrote {}", path.display())?;
            }
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// The pages of a command and of those below it.
fn write_pages(command: &clap::Command, folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let path = folder.join(Man::new(command.clone()).get_filename());
    fs::write(&path, page(command)?).map_err(|error| failed(&path, &error))?;
    let mut written = vec![path];
    for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        written.extend(write_pages(below, folder)?);
    }
    Ok(written)
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone())
        // An empty one would be left out, and the next word taken for it.
        .date(" ")
        .source(concat!("scanhost ", env!("CARGO_PKG_VERSION")))
        .manual("Scanhost");
    man.render(&mut page)?;
    if command
        .get_display_name()
        .is_none_or(|name| name == command.get_name())
    {
        let mut more = Roff::new();
        for (heading, terms) in SECTIONS {
            more.control("SH", [heading]);
            for (term, meaning) in terms {
                more.control("TP", []);
                more.text([bold(*term)]);
                more.text([roman(*meaning)]);
            }
        }
        more.to_writer(&mut page)?;
    }
    Ok(page)
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::Usage(format!(
        "failed to write `{}`: {error}; name a folder that you may write",
        path.display()
    ))
}
