//! Plugins in processes of their own.
//!
//! The same file runs in a child of the same program (`inside`), behind frames over a socket pair
//! (`frames`, `link`), confined by `sandbox`. On this side [`open`] gives the same
//! [`Opened`](super::Opened) as a plugin in this process: what differs is the `Place` (`place`),
//! which starts a child (`process`), speaks to it (`connection`) and starts another when it ends.
//!
//! A request of the plugin is a frame, answered by the very services that a plugin in this process
//! has, so limits, attempts and deadlines are the same. What a child sends is untrusted: a frame
//! that cannot be read ends it.

mod connection;
mod frames;
mod inside;
mod link;
mod place;
mod process;
mod values;
mod wire;

pub(super) use frames::Confinement;
pub use inside::serve;
pub use place::open;

/// The argument by which the program knows that it is a child. No command of people's.
pub const ARGUMENT: &str = "plugin-child";
