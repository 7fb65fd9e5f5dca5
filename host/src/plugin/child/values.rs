//! The ABI's values in a frame, field by field, their reserved words included.
//!
//! Each pattern is exhaustive: a field that the ABI gets does not compile until it is here.

use scanhost_abi::abi_stable::std_types::RBox;
use scanhost_abi::types::{
    AbiError, AssetRef, BalancesRequest, CallContext, Caps, CellRef, Commitment, Cost,
    DeriveRequest, Derived, DerivedAddress, ErrorKind, HttpMethod, HttpRequest, HttpResponse,
    LogLevel, Once, Reading, ReadingKind, Scope,
};
use scanhost_abi::{ROption, RString, RVec, Tuple2};

use super::wire::{BadFrame, Input, Wire};

/// A struct as the sequence of its fields.
macro_rules! record {
    ($name:ident { $($field:ident: $kind:ty,)+ }) => {
        impl Wire for $name {
            const LEAST: usize = 0 $(+ <$kind as Wire>::LEAST)+;

            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field,)+ } = self;
                $($field.put(out);)+
            }

            fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
                Ok(Self { $($field: <$kind as Wire>::take(input)?,)+ })
            }
        }
    };
}
pub(super) use record;

/// An open code: any number is one.
macro_rules! codes {
    ($($name:ident),+) => {
        $(impl Wire for $name {
            const LEAST: usize = u32::LEAST;

            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
                u32::take(input).map(Self)
            }
        })+
    };
}

codes!(
    Commitment,
    ErrorKind,
    HttpMethod,
    LogLevel,
    ReadingKind,
    Scope
);

record!(AbiError {
    kind: ErrorKind,
    http_status: u16,
    retry_after_ms: u64,
    code: i64,
    message: RString,
    reserved: [u64; 4],
});

record!(CallContext {
    call: u64,
    deadline_ms: u64,
    reserved: [u64; 6],
});

record!(HttpRequest {
    method: HttpMethod,
    path: RString,
    headers: RVec<Tuple2<RString, RString>>,
    body: RVec<u8>,
    timeout_ms: u64,
    reserved: [u64; 4],
});

record!(HttpResponse {
    status: u16,
    headers: RVec<Tuple2<RString, RString>>,
    body: RVec<u8>,
    reserved: [u64; 4],
});

record!(AssetRef {
    contract: ROption<RString>,
    decimals: u8,
    reserved: [u64; 2],
});

record!(CellRef {
    address: u32,
    asset: u16,
});

record!(BalancesRequest {
    addresses: RVec<RString>,
    assets: RVec<AssetRef>,
    cells: RVec<CellRef>,
    commitment: Commitment,
    min_height: u64,
    at_height: u64,
    reserved: [u64; 3],
});

record!(Reading {
    cell: u32,
    kind: ReadingKind,
    flags: u32,
    amount: [u8; 32],
    height: u64,
    block_hash: [u8; 32],
    pending: [u8; 16],
    error: ROption<RBox<AbiError>>,
    reserved: [u64; 2],
});

record!(Cost {
    call: u32,
    native_batch: u32,
    native_cell: u32,
    token_cell: u32,
});

record!(Once {
    call: u32,
    tokens: u32,
    per_token: u32,
    reserved: u32,
});

record!(Caps {
    can: u64,
    cells_per_call_max: u32,
    addresses_per_call_max: u32,
    assets_per_call_max: u32,
    cost: Cost,
    token_scope: Scope,
    commitment_default: Commitment,
    once: Once,
    reserved: [u64; 6],
});

record!(DeriveRequest {
    key: RString,
    branch: u32,
    start: u32,
    count: u32,
    reserved: [u64; 4],
});

record!(Derived {
    branches: u32,
    addresses: RVec<DerivedAddress>,
    reserved: [u64; 4],
});

record!(DerivedAddress {
    address: RString,
    path: RString,
    reserved: [u64; 2],
});
