//! Scanhost: balances and transactions of many addresses over provider plugins.
//!
//! The way of the data is told in `ARCHITECTURE.md`; the modules below are its stations.

mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod gate;
pub mod http;
pub mod ledger;
pub mod model;
pub mod plugin;
pub mod pool;
pub mod scan;
pub mod service;
pub mod simulate;
pub mod watch;
