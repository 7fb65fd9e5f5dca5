//! Cases.

mod faults;
mod lab;
mod lists;
mod scan;
mod store;
