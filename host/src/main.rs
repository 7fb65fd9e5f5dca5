//! The `scanhost` binary.
fn main() {}
