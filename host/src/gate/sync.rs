//! The gate's lock and its sharing; under the feature `loom` those of the model checker.
//!
//! A gate that is built with `loom` lives in models only (`tests/model.rs`).

#[cfg(feature = "loom")]
pub(super) use loom::sync::{Arc, Mutex};
#[cfg(not(feature = "loom"))]
pub(super) use std::sync::{Arc, Mutex};
