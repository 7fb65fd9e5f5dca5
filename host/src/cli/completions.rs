//! `scanhost completions`: what makes a shell finish our words.

use std::io::Write;

use clap::ValueEnum;

use super::output;
use super::{CliError, Exit};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell that reads it
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells that are known.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// Bash: put it into ~/.local/share/bash-completion/completions/scanhost
    Bash,
    /// Zsh: put it as _scanhost into a folder of $fpath
    Zsh,
    /// Fish: put it into ~/.config/fish/completions/scanhost.fish
    Fish,
}

/// Prints the script; `program` is the whole command line.
pub(super) fn run(args: &Args, mut program: clap::Command) -> Result<Exit, CliError> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let name = program.get_name().to_owned();
    // Written as a whole: the generator panics when its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut script);
    let mut out = output::stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Exit::Done)
}
