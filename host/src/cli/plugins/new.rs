//! `scanhost plugins new`: a plugin that builds, passes its tests, and can be changed into another.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::context::{announce, executable_dir};
use super::super::output::{self, Out};
use super::super::{CliError, Exit};

/// The crate that plugins are written against.
const API: &str = "scanhost-plugin-api";
/// Longest name; with what is put before it, it is a file's.
const NAME_MAX: usize = 64;
/// Names whose crates would be called as what every plugin depends on.
const TAKEN: [&str; 3] = ["abi", "conformance", "plugin-api"];

/// What is written: place, and contents with `{{name}}`, `{{lib}}` and `{{api}}` in them.
const FILES: [(&str, &str); 8] = [
    ("Cargo.toml", include_str!("new/template/Cargo.toml.in")),
    ("plugin.json", include_str!("new/template/plugin.json.in")),
    ("src/lib.rs", include_str!("new/template/lib.rs.in")),
    ("src/tests.rs", include_str!("new/template/tests.rs.in")),
    ("README.md", include_str!("new/template/README.md.in")),
    ("example.toml", include_str!("new/template/example.toml.in")),
    (
        "addresses.txt",
        include_str!("new/template/addresses.txt.in"),
    ),
    (".gitignore", include_str!("new/template/gitignore.in")),
];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The plugin's name: lower-case letters, digits and dashes
    name: String,
    /// Folder of `scanhost-plugin-api` [default: `plugin-api` above this folder or the program]
    #[arg(long, value_name = "P", conflicts_with = "api_version")]
    api_path: Option<PathBuf>,
    /// Version of `scanhost-plugin-api`, from a registry that has it
    #[arg(long, value_name = "V")]
    api_version: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    check_name(&args.name)?;
    let folder = Path::new(&args.name);
    if folder.symlink_metadata().is_ok() {
        let name = &args.name;
        return Err(CliError::Usage(format!(
            "nothing was written: `{name}` is there already; choose another name, or remove it"
        )));
    }
    let api = match (&args.api_path, &args.api_version) {
        (Some(path), _) => by_path(path)?,
        (None, Some(version)) => by_version(version)?,
        (None, None) => found()?,
    };
    let library = args.name.replace('-', "_");
    let fill = |text: &str| {
        text.replace("{{name}}", &args.name)
            .replace("{{lib}}", &library)
            .replace("{{api}}", &api)
    };
    fs::create_dir(folder).map_err(|error| failed(folder, &error))?;
    let mut out = output::stdout();
    for (name, text) in FILES {
        let path = folder.join(name);
        if let Err(error) = write(&path, &fill(text)) {
            // All of it was ours a moment ago; half a plugin helps nobody.
            let _ = fs::remove_dir_all(folder);
            return Err(failed(&path, &error));
        }
        writeln!(out, "wrote {}", path.display())?;
    }
    tell_next(&mut out, &args.name, &library)?;
    out.flush()?;
    Ok(Exit::Done)
}

/// The name is a crate's, a file's, a table's and a plugin's at once.
fn check_name(name: &str) -> Result<(), CliError> {
    let part = |part: &str| {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !part.is_empty() && part.bytes().all(letters)
    };
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split('-').all(part)
        && name.len() <= NAME_MAX;
    if !is_name {
        return Err(CliError::Usage(format!(
            "`{name}` is no name for a plugin: take lower-case letters, digits and single dashes, \
             a letter first, as in `my-explorer`"
        )));
    }
    if TAKEN.contains(&name) {
        return Err(CliError::Usage(format!(
            "`{name}` cannot be the plugin's name: its crate `scanhost-{name}` would be called as \
             one that it depends on; choose another"
        )));
    }
    Ok(())
}

/// A dependency on the folder that the user names.
fn by_path(path: &Path) -> Result<String, CliError> {
    if !is_api(path) {
        return Err(CliError::Usage(format!(
            "`--api-path {}` is not the folder of `{API}`; it is `plugin-api` in Scanhost's source",
            path.display()
        )));
    }
    // The new crate lies one folder below this one.
    let from_there = match path.is_absolute() {
        true => path.to_owned(),
        false => Path::new("..").join(path),
    };
    dependency(&from_there)
}

fn by_version(version: &str) -> Result<String, CliError> {
    let letters = |char: char| char.is_ascii_alphanumeric() || " .,*^~=<>+-".contains(char);
    if version.trim().is_empty() || !version.chars().all(letters) {
        return Err(CliError::Usage(format!(
            "`--api-version {version}` is no version; write one as in `--api-version 0.1`"
        )));
    }
    Ok(format!("version = \"{}\"", version.trim()))
}

/// The API beside which this program or this folder lies, as in a checkout of the source.
fn found() -> Result<String, CliError> {
    let here = std::env::current_dir().ok();
    let folders = [here, Some(executable_dir())];
    let above = folders.iter().flatten().flat_map(|it| it.ancestors());
    let mut candidates = above.map(|folder| folder.join("plugin-api"));
    let Some(path) = candidates.find(|path| is_api(path)) else {
        return Err(CliError::Usage(format!(
            "nothing was written: where is `{API}`? Name its folder, `plugin-api` in Scanhost's \
             source, by `--api-path P`; or by `--api-version V` a version, if it comes from a registry"
        )));
    };
    announce(&format!("using {API} at `{}`", path.display()));
    dependency(&path)
}

fn dependency(path: &Path) -> Result<String, CliError> {
    let Some(text) = path.to_str() else {
        return Err(CliError::Usage(format!(
            "`{}` cannot stand in a Cargo.toml: its name is not UTF-8",
            path.display()
        )));
    };
    Ok(format!("path = {}", toml::Value::from(text)))
}

fn is_api(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    let manifest = manifest.parse::<toml::Table>().unwrap_or_default();
    let package = manifest.get("package");
    package.and_then(|it| it.get("name")?.as_str()) == Some(API)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::Usage(format!(
        "failed to write `{}`: {error}; change into a folder that you may write",
        path.display()
    ))
}

fn tell_next(out: &mut Out, name: &str, library: &str) -> Result<(), CliError> {
    writeln!(out, "\nNext:")?;
    writeln!(out, "  cd {name}")?;
    writeln!(out, "  cargo test              # offline")?;
    writeln!(out, "  cargo build --release")?;
    let file = format!("target/release/libscanhost_{library}.so");
    writeln!(out, "  scanhost plugins verify {file}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_everywhere() {
        for good in ["coin", "my-explorer", "a1-2b"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "x".repeat(NAME_MAX + 1);
        for bad in [
            "",
            "Coin",
            "1coin",
            "-coin",
            "coin-",
            "my--coin",
            "my_coin",
            "../coin",
            "coin/x",
            "münze",
            "abi",
            "plugin-api",
            &long,
        ] {
            assert!(check_name(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn versions_cannot_break_out_of_their_place() {
        assert_eq!(by_version(" 0.1 ").unwrap(), "version = \"0.1\"");
        assert!(by_version("=0.1.0, <2").is_ok());
        for bad in ["", "0.1\"", "0.1\n[x]", "{ path = 1 }"] {
            assert!(by_version(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (name, text) in FILES {
            let text = ["{{name}}", "{{lib}}", "{{api}}"]
                .iter()
                .fold(text.to_owned(), |text, mark| text.replace(mark, ""));
            assert!(!text.contains("{{"), "{name}: {text}");
        }
    }
}
