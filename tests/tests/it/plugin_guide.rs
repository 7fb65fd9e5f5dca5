//! `docs/plugin-guide.md` is followed word by word: in an empty folder, with the built program and
//! the crate that a stranger gets.
//!
//! A block of `sh` is run in the folder where the one before it ended; a block of `text` after it is
//! in what it said, line by line. Comments tell what a block needs, and how it ends.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use scanhost_tests::fixtures::outside;
use scanhost_tests::product::built;

use crate::guide::{Block, blocks};

/// What the guide's addresses have in place of ports that are free.
const EXPLORER: &str = "127.0.0.1:8900";
const EXPLORER_PORT: &str = "8900";
const LISTEN: &str = "127.0.0.1:8080";

/// The reader's folder, and what runs in it.
struct Desk {
    folder: PathBuf,
    /// Where the last block ended.
    here: PathBuf,
    explorer: u16,
    listen: String,
    outside: outside::Author,
}

// === impl Desk ===

impl Desk {
    fn new() -> Self {
        let folder = outside::desk("guide").unwrap_or_else(|error| panic!("{error}"));
        let outside = outside::Author::new().unwrap_or_else(|error| panic!("{error}"));
        outside.settle(&folder).expect("the folder is ours");
        // Free a moment ago; whoever is to have it takes it in a moment.
        let free = || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            listener.local_addr().expect("it is bound").port()
        };
        Self {
            here: folder.clone(),
            folder,
            explorer: free(),
            listen: format!("127.0.0.1:{}", free()),
            outside,
        }
    }

    /// What the reader types, with the ports of this run.
    fn typed(&self, text: &str) -> String {
        let explorer = format!("127.0.0.1:{}", self.explorer);
        text.replace(EXPLORER, &explorer)
            .replace(
                &format!(", {EXPLORER_PORT})"),
                &format!(", {})", self.explorer),
            )
            .replace(LISTEN, &self.listen)
    }

    /// Runs a block, and tells what it said.
    fn run(&mut self, block: &Block) -> String {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(built()).chain(std::env::split_paths(&path));
        let said = self.folder.join(".said");
        let out = File::create(&said).expect("the folder is ours");
        let errors = out.try_clone().expect("it is a file");
        let whereabouts = self.folder.join(".here");
        let text = format!(
            "trap 'pwd > {}' EXIT\n{}",
            whereabouts.display(),
            self.typed(&block.text)
        );
        let status = Command::new("bash")
            .args(["-euc", &text])
            .current_dir(&self.here)
            .env(
                "PATH",
                std::env::join_paths(folders).expect("they are of a path"),
            )
            .env("SCANHOST_SOURCE", self.outside.source())
            .env("SCANHOST__SERVICE__LISTEN", &self.listen)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("SCANHOST_CONFIG")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .status()
            .expect("bash is there");
        let said = fs::read_to_string(&said).expect("it was written");
        let (line, typed) = (block.line, &block.text);
        assert_eq!(
            status.code(),
            Some(block.exit()),
            "line {line}:\n{typed}\nit said:\n{said}"
        );
        let here = fs::read_to_string(&whereabouts).expect("it was written");
        self.here = here.trim().into();
        said
    }

    /// The crate's files name the explorer's port, and its dependencies are those of the workspace.
    fn settle(&self) {
        let written = self.folder.join("coin");
        if !written.join("Cargo.lock").exists() && written.exists() {
            self.outside.lock(&written).expect("the folder is ours");
            for name in ["plugin.json", "example.toml"] {
                let path = written.join(name);
                let text = fs::read_to_string(&path).expect("it was written");
                fs::write(&path, self.typed(&text)).expect("the folder is ours");
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for name in ["serve.pid", "explorer.pid"] {
            if let Ok(pid) = fs::read_to_string(self.folder.join(name)) {
                // It may have ended by itself.
                let _ = Command::new("kill")
                    .args(["-KILL", pid.trim()])
                    .stderr(Stdio::null())
                    .status();
            }
        }
    }
}

/// Why a block is not run, if it is not.
fn left_out(block: &Block) -> Option<&'static str> {
    match block.mark("needs")? {
        "release" => Some("the tests build what they run themselves"),
        "curl" => {
            let found = Command::new("curl").arg("--version").output();
            found.is_err().then_some("curl is not installed")
        }
        other => panic!("line {}: needs {other}", block.line),
    }
}

#[test]
fn every_block_of_the_plugin_guide_does_what_it_says() {
    let mut desk = Desk::new();
    let mut said: Option<String> = None;
    let mut ran = 0;
    for block in blocks("plugin-guide.md", &["needs", "exit"]) {
        match block.language.as_str() {
            "sh" => match left_out(&block) {
                Some(why) => {
                    eprintln!("line {}: not run: {why}", block.line);
                    said = None;
                }
                None => {
                    said = Some(desk.run(&block));
                    desk.settle();
                    ran += 1;
                }
            },
            "text" => {
                let Some(said) = &said else { continue };
                for line in block.text.lines() {
                    let line = desk.typed(line);
                    assert!(
                        said.contains(line.trim()),
                        "line {}: `{line}` is not in what was said:\n{said}",
                        block.line
                    );
                }
            }
            other => panic!("line {}: a block of `{other}`", block.line),
        }
    }
    assert!(ran > 10, "only {ran} blocks were run");
    assert!(Path::new(&desk.folder).join("coin.jsonl").exists());
}
