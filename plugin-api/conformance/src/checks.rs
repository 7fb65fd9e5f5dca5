//! The checks themselves, by what they look at.
//!
//! Each takes a [`Bench`](crate::Bench) and says what it looked at, or ends with the reason why it
//! failed or had to be skipped.

pub(crate) mod bodies;
pub(crate) mod build;
pub(crate) mod calls;
pub(crate) mod faults;
pub(crate) mod opening;
pub(crate) mod questions;
