//! The harness of Scanhost's end-to-end tests.
//!
//! [`upstream`] is the simulator of the servers that providers talk to. It knows the servers'
//! documented formats and nothing of Scanhost. [`anvil`] is a real EVM node. [`product`] runs the
//! built binary.

pub mod anvil;
pub mod fixtures;
pub mod product;
pub mod upstream;
