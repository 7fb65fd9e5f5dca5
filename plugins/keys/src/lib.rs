//! Extended public keys, shared by the provider plugins that derive addresses.
//!
//! Sources: BIP 32 (keys and their derivation), SLIP-132 (the versions `ypub`, `zpub` and others).
//!
//! Nothing here derives with a private key. One that is met is refused by
//! [`PrivateKey`](scanhost_plugin_api::ErrorKind::PrivateKey), and no message quotes a key.

mod extended;
mod private;

pub use bitcoin::bip32::Xpub;
pub use extended::{Children, ExtendedKey, Purpose};
pub use private::refuse_private;
