//! `docs/operator.md` is run: each block of commands in its order, each piece of configuration
//! through the check, against the simulator.
//!
//! Comments before a block tell what it is about: `<!-- exit: 3 -->` is the exit code that it ends
//! with, 0 without it; `<!-- needs: root -->` names what this test does not have.

use std::cell::RefCell;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use scanhost_tests::product::built;

use crate::guide::{Block, blocks};
use crate::lab::wait_until;

/// What the guide's addresses have in place of the service's own.
const LISTEN: &str = "127.0.0.1:8080";
/// What a block may need, and what speaks against running it here.
const NEEDS: [(&str, Option<&str>); 5] = [
    ("curl", None),
    ("docker", Some("images come from a registry")),
    ("release", Some("the tests build what they run themselves")),
    ("root", Some("it changes the machine")),
    ("systemd", Some("it changes the machine")),
];

/// The folder that the guide's reader works in, over the simulator.
struct Desk {
    folder: tempfile::TempDir,
    upstream: Child,
    service: Option<Child>,
    listen: String,
}

/// Why a block is not run, if it is not.
fn left_out(block: &Block) -> Option<String> {
    let needs = block.mark("needs")?;
    let known = NEEDS.iter().find(|(need, _)| *need == needs);
    let (_, why) = known.unwrap_or_else(|| panic!("line {}: needs {needs}", block.line));
    if let Some(why) = why {
        return Some(format!("needs {needs}: {why}"));
    }
    let found = Command::new(needs)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    found.is_err().then(|| format!("{needs} is not installed"))
}

fn is_service(block: &Block) -> bool {
    let mut lines = block.text.lines();
    lines.any(|line| line.starts_with("scanhost serve"))
}

// === impl Desk ===

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = folder.path().join(".port");
        let upstream = Command::new(built().join("upstream"))
            .args(["--demo", "5", "--write-to"])
            .arg(folder.path())
            .arg("--port-file")
            .arg(&port)
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        wait_until(|| std::fs::metadata(&port).is_ok_and(|it| it.len() > 0));
        // Free a moment ago; the service takes it in a moment.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let listen = free.local_addr().expect("it is bound").to_string();
        Self {
            folder,
            upstream,
            service: None,
            listen,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A shell with the built binary first in its path, that speaks into files.
    fn shell(&self, text: &str) -> Child {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(built()).chain(std::env::split_paths(&path));
        let file = |name| File::create(self.path(name)).expect("the folder is ours");
        Command::new("bash")
            .args(["-euc", &text.replace(LISTEN, &self.listen)])
            .current_dir(self.folder.path())
            .env(
                "PATH",
                std::env::join_paths(folders).expect("they are of a path"),
            )
            .env("HOME", self.folder.path())
            .env("SCANHOST__SERVICE__LISTEN", &self.listen)
            .env_remove("SCANHOST_CONFIG")
            .stdin(Stdio::null())
            .stdout(file(".stdout"))
            .stderr(file(".stderr"))
            .spawn()
            .expect("it starts")
    }

    fn said(&self) -> String {
        let read = |name| std::fs::read_to_string(self.path(name)).unwrap_or_default();
        format!("{}{}", read(".stdout"), read(".stderr"))
    }

    fn run(&self, block: &Block) {
        let mut child = self.shell(&block.text);
        let ended = wait_for(&mut child);
        let (line, text) = (block.line, &block.text);
        let said = self.said();
        assert_eq!(
            ended,
            Some(block.exit()),
            "line {line}:\n{text}\nit said:\n{said}"
        );
    }

    /// Starts the service of a block, and returns when it listens.
    fn serve(&mut self, block: &Block) {
        assert!(
            self.service.is_none(),
            "line {}: one runs already",
            block.line
        );
        // The shell becomes the service, so that a signal reaches it.
        let text = block.text.replace("scanhost serve", "exec scanhost serve");
        let child = RefCell::new(self.shell(&text));
        wait_until(|| {
            let has_ended = child
                .borrow_mut()
                .try_wait()
                .expect("it is our child")
                .is_some();
            has_ended || self.said().contains("listening at ")
        });
        let mut child = child.into_inner();
        let said = self.said();
        assert!(
            child.try_wait().expect("it is our child").is_none(),
            "line {}:\n{said}",
            block.line
        );
        self.service = Some(child);
        // What it says later does not mix with what the next block says.
        std::fs::rename(self.path(".stderr"), self.path(".service")).expect("the folder is ours");
    }

    fn stop(&mut self) {
        let Some(mut service) = self.service.take() else {
            return;
        };
        let pid = service.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill is there")
                .success()
        );
        let ended = wait_for(&mut service);
        let said = std::fs::read_to_string(self.path(".service")).expect("it was written");
        assert_eq!(ended, Some(0), "{said}");
    }

    /// Holds a piece of configuration against the check, behind what the desk has anyway.
    fn check(&self, block: &Block) {
        let own = std::fs::read_to_string(self.path("scanhost.toml")).expect("it was written");
        let mut whole = table(&own);
        merge(&mut whole, table(&block.text));
        std::fs::write(self.path("piece.toml"), whole.to_string()).expect("the folder is ours");
        let output = Command::new(built().join("scanhost"))
            .args(["--config", "piece.toml", "config", "check"])
            .current_dir(self.folder.path())
            .env("SCANHOST_TOKEN", "a-token-4711")
            .env("SCANHOST_READ_TOKEN", "a-token-0815")
            .output()
            .expect("it starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "line {}:\n{}\n{told}",
            block.line,
            block.text
        );
    }
}

fn table(text: &str) -> toml::Table {
    text.parse()
        .unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// Writes what the reader adds over what there is: a piece may name a table that is there.
fn merge(whole: &mut toml::Table, piece: toml::Table) {
    for (key, value) in piece {
        match (whole.get_mut(&key), value) {
            (Some(toml::Value::Table(there)), toml::Value::Table(added)) => merge(there, added),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for child in self.service.iter_mut().chain([&mut self.upstream]) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The exit code of a child that ends within a minute.
fn wait_for(child: &mut Child) -> Option<i32> {
    let child = RefCell::new(child);
    wait_until(|| {
        child
            .borrow_mut()
            .try_wait()
            .expect("it is our child")
            .is_some()
    });
    child.into_inner().wait().expect("it has ended").code()
}

#[test]
fn every_block_of_the_operators_guide_does_what_it_says() {
    let mut desk = Desk::new();
    let mut section = String::new();
    let (mut ran, mut checked) = (0, 0);
    for block in blocks("operator.md", &["exit", "needs"]) {
        if block.section != section {
            desk.stop();
            block.section.clone_into(&mut section);
        }
        match block.language.as_str() {
            "sh" => {
                let parsed = Command::new("bash").args(["-nc", &block.text]).status();
                assert!(parsed.unwrap().success(), "line {}", block.line);
                if let Some(why) = left_out(&block) {
                    eprintln!("line {}: not run, {why}", block.line);
                    continue;
                }
                if is_service(&block) {
                    desk.serve(&block);
                } else {
                    desk.run(&block);
                }
                ran += 1;
            }
            "toml" => {
                desk.check(&block);
                checked += 1;
            }
            // What is seen, or what belongs to other programs.
            "text" | "json" | "nginx" | "ini" => {}
            other => panic!("line {}: nobody runs `{other}`", block.line),
        }
    }
    desk.stop();
    assert!(
        ran > 5 && checked > 2,
        "{ran} blocks, {checked} pieces of configuration"
    );
}
