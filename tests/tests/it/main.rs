//! Every end-to-end case, in one binary.

mod anvil;
mod faults;
mod lab;
mod lists;
mod plan;
mod plugins;
mod scan;
mod store;
