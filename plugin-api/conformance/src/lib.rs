//! What every provider plugin must hold to: 23 checks over a host without a network.
//!
//! A check looks at a [`Subject`], which is a plugin's type or its built file, with a [`Sample`] of
//! what it is asked and how its upstream answers. The two users are the author's tests
//! (`conformance!` of `scanhost-plugin-api`) and `scanhost plugins verify`; both run each check in
//! a [process of its own](child), so that a crash or a hang is that check's failure.
//!
//! Beside the checks stands what they are made of: the [offline host](offline), recorded traffic
//! ([`Cassette`]) and injected [faults](fault), which the host uses too.
//!
//! **Invariant:** a check passes by what it saw. What it could not look at is skipped, with the
//! reason.

mod ask;
pub mod cassette;
mod check;
mod checks;
pub mod child;
pub mod fault;
mod json;
pub mod offline;
mod sample;
mod stopwatch;
mod subject;

pub use cassette::Cassette;
pub use check::{Bench, CHECKS, Check, Verdict, check};
pub use fault::Faults;
pub use offline::{Answer, OfflineHost, Upstream};
pub use sample::{Sample, SampleAsset};
pub use subject::{Build, Builtin, Subject};
