//! The service, as an integrator and an operator meet it.

mod balances;
mod ending;
mod events;
mod gates;
mod input;
mod logs;
mod openapi;
mod reload;
mod scans;
mod schedules;
mod security;
mod troubles;
