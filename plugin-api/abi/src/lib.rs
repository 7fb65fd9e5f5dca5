//! The ABI between the Scanhost host and its provider plugins.
//!
//! **This crate's version is the ABI's version.** Plugin authors never name it: they write against
//! `scanhost-plugin-api`, which hides every type below.
//!
//! Two layers:
//!
//! - **Layer 0**, [`stamp`]: bytes in a section of the file, readable without running anything.
//! - **Layer 1**, [`root`]: the `abi_stable` root module, its vtables and the values they move.
//!
//! # Who owns what
//!
//! Values that cross (`RString`, `RVec`, [`ProviderObject`], [`HostHandle`], futures) carry the
//! function that frees them, so whoever holds one may drop it; each side may have an allocator of
//! its own. Vtables are constants. Libraries are never unloaded.
//!
//! # Panics
//!
//! Every function of a vtable, every poll and every drop runs under [`guard`]: a panic becomes an
//! [`AbiError`] of kind [`ErrorKind::PLUGIN_FAULT`] with its message and place and never crosses.
//!
//! # How it grows
//!
//! - A released type, field or function never changes: not its name, order, type, ownership,
//!   threading, nullability or meaning.
//! - A minor appends: a field behind the last prefix field of a vtable (absent in older plugins,
//!   read as `None`), a new code of an open integer ([`ErrorKind`], [`Commitment`], …), a new bit,
//!   or a meaning for `reserved` words, which are zero until then.
//! - A major has other symbols and another root; nothing of one major loads in another.
//! - `abi_stable` and `async-ffi` are pinned to the patch: another version of either is a major.
//!
//! | version | what it added |
//! |---|---|
//! | 1.0 | identity, balances, validation of addresses |
//! | 1.1 | [`ProviderAbi::derive`] with [`CAP_DERIVE`], [`READING_TELLS_USE`] and [`READING_USED`], [`ErrorKind::INVALID_KEY`] and [`ErrorKind::PRIVATE_KEY`] |
#![expect(
    unsafe_code,
    reason = "this crate is the boundary; each block says who promised what"
)]
#![expect(
    non_camel_case_types,
    missing_debug_implementations,
    reason = "vtables and what abi_stable derives from them"
)]

pub mod future;
pub mod guard;
pub mod host;
pub mod provider;
pub mod root;
pub mod stamp;
pub mod types;

pub use abi_stable;
pub use abi_stable::std_types::{RNone, ROption, RResult, RSome, RStr, RString, RVec, Tuple2};
pub use future::{AbiFuture, BoxFuture};
pub use host::{HostHandle, HostServices};
pub use provider::{ProviderAbi, ProviderObject};
pub use root::{OpenRequest, Root, Root_Ref};
pub use stamp::Stamp;
pub use types::*;
