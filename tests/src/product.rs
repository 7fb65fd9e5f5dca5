//! The built product, driven as people drive it: the binary, files, exit codes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A folder with a configuration, in which the built `scanhost` runs.
#[derive(Debug)]
pub struct Product {
    folder: tempfile::TempDir,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// The exit code; a signal is -1.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A configuration in the making; fields are TOML fragments where they are text.
#[derive(Clone, Debug, Default)]
pub struct Config {
    chains: String,
    providers: String,
    head: String,
}

/// A chain of a [`Config`].
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its network.
    pub network: &'a str,
    /// What it says of itself; `None` is not checked.
    pub identity: Option<&'a str>,
    /// The order.
    pub pool: &'a [&'a str],
    /// Symbol, contract, decimals.
    pub assets: &'a [(&'a str, Option<&'a str>, u8)],
    /// The configured list, if there is one.
    pub list: Option<&'a str>,
    /// More lines of the chain's own table, `scan = { budget = "2s" }` for one.
    pub more: &'a str,
}

/// A breaker and patience so short that tests of outages end soon.
pub const IMPATIENT: &str = r#"
breaker = { failures = 3, cooldown = "300ms" }
scan = { budget = "2s", max_pool_failures = 2 }
"#;

/// The folder in which cargo put what it built for this test.
///
/// # Panics
///
/// When the test runs outside of a target folder.
#[must_use]
pub fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let built = test
        .parent()
        .and_then(Path::parent)
        .expect("it lies in target/PROFILE/deps");
    assert!(
        built.join("scanhost").exists(),
        "`{}` has no `scanhost`; run `cargo build --workspace` first, as `make test` does",
        built.display()
    );
    built.to_owned()
}

// === impl Config ===

impl Config {
    /// No chain yet; plugins are those that were built beside the binary.
    #[must_use]
    pub fn new() -> Self {
        let head = format!(
            "[plugins]\ndirs = [{:?}]\n[log]\nlevel = \"warn\"\n",
            built()
        );
        Self {
            head,
            ..Self::default()
        }
    }

    /// With other plugin folders.
    #[must_use]
    pub fn plugins(mut self, folders: &[&Path]) -> Self {
        self.head = format!("[plugins]\ndirs = {folders:?}\n[log]\nlevel = \"warn\"\n");
        self
    }

    /// With a chain.
    #[must_use]
    pub fn chain(mut self, chain: &Chain<'_>) -> Self {
        let Chain {
            name,
            network,
            identity,
            pool,
            assets,
            list,
            more,
        } = chain;
        let out = &mut self.chains;
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!(
            "[chains.{name}]\nnetwork = {network:?}\npool = {pool:?}"
        ));
        if let Some(identity) = identity {
            line(format!("identity = {identity:?}"));
        }
        line((*more).to_owned());
        for (symbol, contract, decimals) in *assets {
            line(format!(
                "[[chains.{name}.assets]]\nsymbol = {symbol:?}\ndecimals = {decimals}"
            ));
            if let Some(contract) = contract {
                line(format!("contract = {contract:?}"));
            }
        }
        if let Some(list) = list {
            line(format!("[[chains.{name}.addresses]]\nfile = {list:?}"));
        }
        self
    }

    /// With a provider; `more` are further lines of its table.
    #[must_use]
    pub fn provider(mut self, name: &str, plugin: &str, endpoint: &str, more: &str) -> Self {
        let _ = writeln!(
            self.providers,
            "[providers.{name}]\nplugin = {plugin:?}\nendpoint = {endpoint:?}\n{more}"
        );
        self
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}{}", self.head, self.chains, self.providers)
    }
}

// === impl Product ===

impl Product {
    /// A fresh folder with this configuration.
    ///
    /// # Panics
    ///
    /// When the folder cannot be written.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let product = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        product.configure(config);
        product
    }

    /// Writes another configuration over the first.
    pub fn configure(&self, config: &Config) {
        self.write("scanhost.toml", config.text());
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), contents).expect("the folder is ours");
    }

    /// Runs `scanhost` with these arguments to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with_input(arguments, b"")
    }

    /// As [`run`](Self::run), with something on its standard input.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        let input = input.to_vec();
        // It may end without reading; that is its business.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("writing does not panic");
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("results are text"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The command, for tests that signal it or read while it runs.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(built().join("scanhost"));
        command
            .args(arguments)
            .current_dir(self.folder())
            .env_remove("SCANHOST_CONFIG");
        command
    }
}

// === impl Run ===

impl Run {
    /// The rows of `--format json`.
    ///
    /// # Panics
    ///
    /// When a line is not JSON.
    #[must_use]
    pub fn rows(&self) -> Vec<Value> {
        let parse = |line: &str| -> Value {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// Fails the test unless the run ended with `code`; shows what it said.
    ///
    /// # Panics
    ///
    /// When the code is another one.
    #[track_caller]
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stderr:\n{}\nstdout:\n{}",
            self.stderr, self.stdout
        );
        self
    }
}
