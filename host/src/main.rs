//! The `scanhost` binary.

use std::process::ExitCode;

use scanhost::plugin::child;

fn main() -> ExitCode {
    // A plugin's own process is this program too; it starts quickly and is no command of people's.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|it| it == child::ARGUMENT)
    {
        return child::serve();
    }
    scanhost::cli::main()
}
