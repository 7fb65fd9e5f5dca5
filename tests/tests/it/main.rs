//! Every end-to-end case, in one binary.

mod anvil;
mod book;
mod cancels;
mod content;
mod faults;
mod health;
mod kills;
mod lab;
mod lists;
mod memory;
mod outages;
mod plan;
mod plugins;
mod requests;
mod running;
mod scan;
mod store;
