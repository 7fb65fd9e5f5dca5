//! The harness of Scanhost's end-to-end tests.
//!
//! [`upstream`] is the simulator of the servers that providers talk to. It knows the servers'
//! documented formats and nothing of Scanhost. [`product`] runs the built binary.

pub mod product;
pub mod upstream;
