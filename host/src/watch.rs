//! Watching without a private key: public keys, the addresses of them, and what is refused.
//!
//! **Invariant:** no private key is kept, told or handed to a plugin, wherever it is met: in an
//! address list, a configuration, an argument or a request.

mod derive;
mod gap;
mod key;
mod private;

pub use derive::{NoAddresses, derive};
pub use gap::{GapError, KeySet};
pub use key::WatchKey;
pub use private::{HIDDEN, WARNING, hide_private, is_private, is_private_line, may_be_private};
