//! What a plugin offers to the host: one object per configured provider.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::staticref;
use abi_stable::std_types::{RResult, RStr, RString, RVec};

use crate::future::{AbiFuture, BoxFuture, into_abi};
use crate::guard::{drop_guarded, guard};
use crate::types::{
    AbiError, BalancesRequest, CallContext, Caps, DeriveRequest, Derived, ErrorKind, Reading,
};

/// The plugin's side, in ordinary Rust. Implemented once, by `plugin-api`'s adapter.
pub trait ProviderAbi: Send + Sync + 'static {
    /// What this provider can do.
    fn describe(&self) -> Caps;

    /// The canonical form of an address; cheap, no I/O.
    ///
    /// # Errors
    ///
    /// Why it is none of this network.
    fn validate_address(&self, address: &str) -> Result<String, AbiError>;

    /// What the chain behind the endpoint says of itself.
    fn identity(self: Arc<Self>, call: CallContext) -> BoxFuture<Result<RString, AbiError>>;

    /// Balances of the request's cells.
    fn balances(
        self: Arc<Self>,
        call: CallContext,
        request: BalancesRequest,
    ) -> BoxFuture<Result<RVec<Reading>, AbiError>>;

    /// Addresses of a public key; cheap, no I/O. Since 1.1.
    ///
    /// # Errors
    ///
    /// Why there are none, without the key in the text.
    fn derive(&self, request: DeriveRequest) -> Result<Derived, AbiError> {
        let _ = request;
        let message = "the plugin derives no addresses";
        Err(AbiError::new(ErrorKind::UNSUPPORTED, message))
    }
}

/// The functions of a [`ProviderObject`].
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ProviderVt_Ref)))]
#[sabi(missing_field(option))]
pub struct ProviderVt {
    /// The host is done with the object.
    pub release: unsafe extern "C" fn(*const ()),
    /// [`ProviderAbi::describe`].
    pub describe: unsafe extern "C" fn(*const ()) -> RResult<Caps, AbiError>,
    /// [`ProviderAbi::validate_address`].
    pub validate_address: unsafe extern "C" fn(*const (), RStr<'_>) -> RResult<RString, AbiError>,
    /// [`ProviderAbi::identity`].
    pub identity: unsafe extern "C" fn(*const (), CallContext) -> AbiFuture<RString>,
    /// [`ProviderAbi::balances`].
    #[sabi(last_prefix_field)]
    pub balances:
        unsafe extern "C" fn(*const (), CallContext, BalancesRequest) -> AbiFuture<RVec<Reading>>,
    /// [`ProviderAbi::derive`]. Since 1.1.
    pub derive: unsafe extern "C" fn(*const (), DeriveRequest) -> RResult<Derived, AbiError>,
}

/// The host's hold on a provider.
///
/// Invariant: `provider` came from `Arc::into_raw` of the type whose functions `vt` holds, and
/// this object owns one count of it.
#[repr(C)]
#[derive(StableAbi)]
pub struct ProviderObject {
    provider: *const (),
    vt: ProviderVt_Ref,
}

// SAFETY: `ProviderAbi` is `Send + Sync`, and the object is nothing but a counted pointer to one.
unsafe impl Send for ProviderObject {}
// SAFETY: as above.
unsafe impl Sync for ProviderObject {}

impl ProviderObject {
    /// Hands out `provider`.
    #[must_use]
    pub fn new<P: ProviderAbi>(provider: Arc<P>) -> Self {
        Self {
            provider: Arc::into_raw(provider).cast(),
            vt: Shims::<P>::VT,
        }
    }

    /// [`ProviderAbi::describe`].
    ///
    /// # Errors
    ///
    /// A panic in it.
    pub fn describe(&self) -> Result<Caps, AbiError> {
        let describe = self.vt.describe();
        // SAFETY: by the invariant, `provider` is what the function expects, and alive.
        unsafe { describe(self.provider) }.into_result()
    }

    /// [`ProviderAbi::validate_address`].
    ///
    /// # Errors
    ///
    /// Its own, or a panic in it.
    pub fn validate_address(&self, address: &str) -> Result<RString, AbiError> {
        let validate_address = self.vt.validate_address();
        // SAFETY: by the invariant.
        unsafe { validate_address(self.provider, address.into()) }.into_result()
    }

    /// [`ProviderAbi::identity`].
    pub fn identity(&self, call: CallContext) -> AbiFuture<RString> {
        let identity = self.vt.identity();
        // SAFETY: by the invariant.
        unsafe { identity(self.provider, call) }
    }

    /// [`ProviderAbi::balances`].
    pub fn balances(
        &self,
        call: CallContext,
        request: BalancesRequest,
    ) -> AbiFuture<RVec<Reading>> {
        let balances = self.vt.balances();
        // SAFETY: by the invariant.
        unsafe { balances(self.provider, call, request) }
    }

    /// [`ProviderAbi::derive`].
    ///
    /// # Errors
    ///
    /// Its own, a panic in it, or [`ErrorKind::UNSUPPORTED`] of a plugin that was built for 1.0.
    pub fn derive(&self, request: DeriveRequest) -> Result<Derived, AbiError> {
        let Some(derive) = self.vt.derive() else {
            let message = "the plugin was built for ABI 1.0, which has no derivation of addresses; \
                           rebuild it against a newer `scanhost-plugin-api`";
            return Err(AbiError::new(ErrorKind::UNSUPPORTED, message));
        };
        // SAFETY: by the invariant.
        unsafe { derive(self.provider, request) }.into_result()
    }
}

impl Drop for ProviderObject {
    fn drop(&mut self) {
        let release = self.vt.release();
        // SAFETY: by the invariant; this object's count is given back once, here.
        unsafe { release(self.provider) }
    }
}

impl fmt::Debug for ProviderObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderObject").finish_non_exhaustive()
    }
}

/// The functions that stand in a table for a type `P`.
struct Shims<P>(PhantomData<P>);

impl<P: ProviderAbi> Shims<P> {
    staticref!(const TABLE: WithMetadata<ProviderVt> = WithMetadata::new(ProviderVt {
        release: Self::release,
        describe: Self::describe,
        validate_address: Self::validate_address,
        identity: Self::identity,
        balances: Self::balances,
        derive: Self::derive,
    }));

    const VT: ProviderVt_Ref = ProviderVt_Ref(Self::TABLE.as_prefix());

    /// # Safety
    ///
    /// `provider` is that of a live [`ProviderObject`] with this table.
    unsafe fn borrow<'a>(provider: *const ()) -> &'a P {
        // SAFETY: the caller's promise, with the object's invariant.
        unsafe { &*provider.cast::<P>() }
    }

    /// One more count, for a future that may outlive the object.
    ///
    /// # Safety
    ///
    /// As for `borrow`.
    unsafe fn share(provider: *const ()) -> Arc<P> {
        let provider = provider.cast::<P>();
        // SAFETY: the caller's promise: the pointer is an `Arc`'s and alive.
        unsafe { Arc::increment_strong_count(provider) }
        // SAFETY: takes over the count that was just added.
        unsafe { Arc::from_raw(provider) }
    }

    unsafe extern "C" fn release(provider: *const ()) {
        // SAFETY: called by `ProviderObject` alone, once, with its own pointer and count.
        drop_guarded("drop", unsafe { Arc::from_raw(provider.cast::<P>()) });
    }

    unsafe extern "C" fn describe(provider: *const ()) -> RResult<Caps, AbiError> {
        // SAFETY: called by `ProviderObject` alone, with its own pointer.
        let provider = unsafe { Self::borrow(provider) };
        guard("describe", || provider.describe()).into()
    }

    unsafe extern "C" fn validate_address(
        provider: *const (),
        address: RStr<'_>,
    ) -> RResult<RString, AbiError> {
        // SAFETY: as above.
        let provider = unsafe { Self::borrow(provider) };
        guard("validate_address", || {
            provider.validate_address(address.as_str())
        })
        .flatten()
        .map(RString::from)
        .into()
    }

    unsafe extern "C" fn identity(provider: *const (), call: CallContext) -> AbiFuture<RString> {
        // SAFETY: as above.
        let provider = unsafe { Self::share(provider) };
        call_guarded("identity", || provider.identity(call))
    }

    unsafe extern "C" fn balances(
        provider: *const (),
        call: CallContext,
        request: BalancesRequest,
    ) -> AbiFuture<RVec<Reading>> {
        // SAFETY: as above.
        let provider = unsafe { Self::share(provider) };
        call_guarded("balances", || provider.balances(call, request))
    }

    unsafe extern "C" fn derive(
        provider: *const (),
        request: DeriveRequest,
    ) -> RResult<Derived, AbiError> {
        // SAFETY: as above.
        let provider = unsafe { Self::borrow(provider) };
        guard("derive", || provider.derive(request))
            .flatten()
            .into()
    }
}

/// The future of a call, or the panic that kept it from being made.
fn call_guarded<T: Send + 'static>(
    what: &'static str,
    call: impl FnOnce() -> BoxFuture<Result<T, AbiError>>,
) -> AbiFuture<T> {
    let future = guard(what, call).unwrap_or_else(|error| Box::pin(async { Err(error) }));
    into_abi(what, future)
}
