//! Builds the fixture plugins, also against other versions of the ABI.
//!
//! What is built lies in `tests/fixtures/target`, each variant in a folder of its own. What cargo
//! makes on the way is kept with the workspace's own, so that no dependency is compiled twice.
//! Tests in several processes may ask at once: one builds, the others wait and find it done.
//!
//! A minor of the ABI that does not exist yet is made by writing it: the sources are copied, and
//! a field is appended to each vtable, the way in which a minor grows. The copy that has a host in
//! it is a host of that later day, which loads plugins of today.
//!
//! 1.0 is made the other way round: what 1.1 appended is taken out again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

pub mod outside;
mod patch;

use patch::Tree;

/// A version of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// 1.0, the first: no `derive`.
    First,
    /// The next minor: each vtable has one function more.
    NewerMinor,
    /// The next major; the types are the same, only the version tells.
    OtherMajor,
    /// The same version, with two fields of a type in another order.
    Reordered,
}

/// A fixture that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// A file or folder.
    #[error("failed to work on `{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The sources are no longer what is patched here.
    #[error("`{file}` no longer has `{anchor}`; mend tests/src/fixtures/patch.rs")]
    Anchor {
        /// The file, below the workspace's root.
        file: &'static str,
        /// What was looked for.
        anchor: String,
    },
    /// The compiler's own words are in the message.
    #[error("failed to run `{command}`:\n{output}")]
    Cargo {
        /// As it could be typed.
        command: String,
        /// What cargo said.
        output: String,
    },
}

/// The folder with every fixture of [`plugin`], built.
///
/// # Errors
///
/// What could not be built.
pub fn plugins() -> Result<PathBuf, FixtureError> {
    let fixtures = root().join("tests/fixtures");
    let target = fixtures.join("target");
    let _lock = lock()?;
    cargo(&fixtures, &target, &["build", "--locked"])?;
    Ok(target.join("debug"))
}

/// The file of one fixture, built.
///
/// # Errors
///
/// What could not be built.
pub fn plugin(name: &str) -> Result<PathBuf, FixtureError> {
    Ok(plugins()?.join(library(name)))
}

/// The file of `fixture-echo` built with `panic = "abort"`, in a folder of its own.
///
/// # Errors
///
/// What could not be built.
pub fn echo_that_aborts() -> Result<PathBuf, FixtureError> {
    compiled("fixture-echo", "abort", &["-C", "panic=abort"])
}

/// The file of a later version of `fixture-echo`, in a folder of its own.
///
/// # Errors
///
/// What could not be built.
pub fn second_echo() -> Result<PathBuf, FixtureError> {
    compiled("fixture-echo", "second", &["--cfg", "second"])
}

/// The file of `fixture-constructs` that `hangs`, `exits`, `crashes` or `lies` when it is loaded, in
/// a folder of its own.
///
/// # Errors
///
/// What could not be built.
pub fn one_that(misbehaves: &str) -> Result<PathBuf, FixtureError> {
    compiled("fixture-constructs", misbehaves, &["--cfg", misbehaves])
}

/// The file of a fixture that is compiled with `flags`, in a folder of its own.
fn compiled(package: &str, name: &str, flags: &[&str]) -> Result<PathBuf, FixtureError> {
    let fixtures = root().join("tests/fixtures");
    let target = fixtures.join("target").join(name);
    let _lock = lock()?;
    let build = ["rustc", "--locked", "-p", package, "--"];
    cargo(&fixtures, &target, &[&build[..], flags].concat())?;
    Ok(target.join("debug").join(library(package)))
}

/// The file of `fixture-echo` built against another version of the ABI, in a folder of its own.
///
/// # Errors
///
/// What could not be built.
pub fn echo_built_for(abi: Abi) -> Result<PathBuf, FixtureError> {
    let file = library("fixture-echo");
    Ok(build_copy(abi, "fixture-echo")?.join(file))
}

/// The `scanhost` program built against another version of the ABI: of a later day, or of the
/// first.
///
/// # Errors
///
/// What could not be built.
pub fn host_built_for(abi: Abi) -> Result<PathBuf, FixtureError> {
    Ok(build_copy(abi, "scanhost")?.join("scanhost"))
}

fn build_copy(abi: Abi, package: &str) -> Result<PathBuf, FixtureError> {
    let name = match abi {
        Abi::First => "first",
        Abi::NewerMinor => "newer-minor",
        Abi::OtherMajor => "other-major",
        Abi::Reordered => "reordered",
    };
    let folder = root().join("tests/fixtures/target").join(name);
    let _lock = lock()?;
    Tree::of_workspace(&root())?
        .with_abi(abi)?
        .write_to(&folder)?;
    let target = folder.join("target");
    cargo(&folder, &target, &["build", "-p", package])?;
    Ok(target.join("debug"))
}

/// One builder at a time, over all processes; free again when the file is dropped.
fn lock() -> Result<File, FixtureError> {
    let path = root().join("tests/fixtures/target/fixtures.lock");
    let lock = || {
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    };
    lock().map_err(|source| FixtureError::File {
        path: path.clone(),
        source,
    })
}

fn cargo(folder: &Path, target: &Path, args: &[&str]) -> Result<(), FixtureError> {
    let command = format!("cd {} && cargo {}", folder.display(), args.join(" "));
    let failed = |output: String| FixtureError::Cargo {
        command: command.clone(),
        output,
    };
    let mut cargo = Command::new("cargo");
    cargo
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target);
    // What cargo and nextest tell their tests must not change what is built here.
    cargo
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    if let Some(build) = build_folder() {
        cargo.env("CARGO_BUILD_BUILD_DIR", build);
    }
    let output = cargo.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Where the running test was built: `target` of `target/debug/deps/it-…`.
fn build_folder() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let target = test.ancestors().nth(3)?;
    target
        .join("CACHEDIR.TAG")
        .exists()
        .then(|| target.to_owned())
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

fn library(package: &str) -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("{prefix}{}{suffix}", package.replace('-', "_"))
}
