//! The `scanhost` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    scanhost::cli::main()
}
