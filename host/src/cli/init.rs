//! `scanhost init`: a first configuration with lists to try it on.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::output::{self, Out};
use super::{CliError, Exit};
use crate::config;

/// The address lists that the reference configuration names, by their place beside it.
pub(super) const SAMPLES: [(&str, &str); 3] = [
    (
        "addresses/btc.csv",
        include_str!("../../../config/addresses/btc.csv"),
    ),
    (
        "addresses/bsc.csv",
        include_str!("../../../config/addresses/bsc.csv"),
    ),
    (
        "addresses/sol.csv",
        include_str!("../../../config/addresses/sol.csv"),
    ),
];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write into; made when it does not exist
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Overwrite files that are there already
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let first = (config::DEFAULT_FILE, config::REFERENCE);
    let files: Vec<(PathBuf, &str)> = std::iter::once(first)
        .chain(SAMPLES)
        .map(|(name, text)| (in_folder(&args.dir, name), text))
        .collect();
    if args.dir.exists() && !args.dir.is_dir() {
        let dir = args.dir.display();
        let message = format!("`{dir}` is a file; name a folder: `scanhost init DIR`");
        return Err(CliError::Usage(message));
    }
    if !args.force {
        refuse_to_overwrite(&files)?;
    }
    let mut out = output::stdout();
    for (path, text) in &files {
        write(path, text, args.force).map_err(|error| failed(path, &error))?;
        writeln!(out, "wrote {}", path.display())?;
    }
    tell_next(&mut out, &args.dir)?;
    out.flush()?;
    Ok(Exit::Done)
}

/// Without the `./` that people do not write.
fn in_folder(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    path.strip_prefix(".").map(Path::to_owned).unwrap_or(path)
}

fn refuse_to_overwrite(files: &[(PathBuf, &str)]) -> Result<(), CliError> {
    let there: Vec<String> = files
        .iter()
        .filter(|(path, _)| path.symlink_metadata().is_ok())
        .map(|(path, _)| format!("`{}`", path.display()))
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let there = there.join(", ");
    Err(CliError::Usage(format!(
        "nothing was written: {there} would be overwritten; name another folder (`scanhost init \
         DIR`), or add `--force`"
    )))
}

fn write(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        // Whoever made it since we looked keeps it.
        options.create_new(true);
    }
    options.open(path)?.write_all(text.as_bytes())
}

fn failed(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Usage(format!(
        "failed to write `{}`: {error}; name a folder that you may write (`scanhost init DIR`)",
        path.display()
    ))
}

fn tell_next(out: &mut Out, dir: &Path) -> Result<(), CliError> {
    writeln!(out, "\nNext:")?;
    if dir != Path::new(".") {
        writeln!(out, "  cd {}", dir.display())?;
    }
    writeln!(out, "  scanhost config check   # is it right? no network")?;
    writeln!(
        out,
        "  scanhost doctor         # does each provider answer?"
    )?;
    writeln!(out, "  scanhost scan           # read the sample lists")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(dir: &Path, force: bool) -> Result<Exit, CliError> {
        run(&Args {
            dir: dir.to_owned(),
            force,
        })
    }

    #[test]
    fn every_list_of_the_reference_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new/place");
        assert_eq!(init(&dir, false).unwrap(), Exit::Done);
        let file = dir.join(config::DEFAULT_FILE);
        let loaded = config::load(Some(&file), &config::Env::default()).unwrap();
        let sets = loaded.config.chains.values().flat_map(|it| &it.addresses);
        let files: Vec<_> = sets.filter_map(|set| set.file.clone()).collect();
        assert!(!files.is_empty());
        for file in files {
            assert!(file.is_file(), "{}", file.display());
        }
    }

    #[test]
    fn nothing_is_overwritten_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("addresses/btc.csv");
        fs::create_dir(folder.path().join("addresses")).unwrap();
        fs::write(&list, "mine").unwrap();
        let error = init(folder.path(), false).unwrap_err().to_string();
        assert!(error.contains("addresses/btc.csv"), "{error}");
        assert!(!folder.path().join(config::DEFAULT_FILE).exists());
        assert_eq!(fs::read_to_string(&list).unwrap(), "mine");
        init(folder.path(), true).unwrap();
        assert_eq!(fs::read_to_string(&list).unwrap(), SAMPLES[0].1);
    }
}
