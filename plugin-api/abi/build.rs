//! Records what the ABI crate is compiled with: a plugin and its ABI crate share one compiler.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script is told by its environment"
)]

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version = version
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    println!(
        "cargo::rustc-env=SCANHOST_RUSTC={}",
        version.as_deref().unwrap_or("unknown").trim()
    );
    println!(
        "cargo::rustc-env=SCANHOST_TARGET={}",
        env::var("TARGET").unwrap_or_default()
    );
    println!("cargo::rerun-if-changed=build.rs");
}
