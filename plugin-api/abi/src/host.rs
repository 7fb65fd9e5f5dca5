//! What the host offers to a plugin.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::staticref;
use abi_stable::std_types::{RResult, RStr};

use crate::future::{AbiFuture, BoxFuture, into_abi};
use crate::guard::{drop_guarded, guard};
use crate::types::{AbiError, CallContext, HttpRequest, HttpResponse, LogLevel};

/// The host's side, in ordinary Rust. Implemented by the host and by the test kit.
pub trait HostServices: Send + Sync + 'static {
    /// Sends a request for the call.
    fn http(
        &self,
        call: CallContext,
        request: HttpRequest,
    ) -> BoxFuture<Result<HttpResponse, AbiError>>;

    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;

    /// Wall time in milliseconds since 1970.
    fn unix_ms(&self) -> i64;

    /// Milliseconds since some moment; never goes back.
    fn monotonic_ms(&self) -> u64;

    /// Takes a log line.
    fn log(&self, level: LogLevel, message: &str);
}

/// The functions of a [`HostHandle`].
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostVt_Ref)))]
#[sabi(missing_field(option))]
pub struct HostVt {
    /// One more holder of the services.
    pub retain: unsafe extern "C" fn(*const ()),
    /// One holder less.
    pub release: unsafe extern "C" fn(*const ()),
    /// [`HostServices::http`].
    pub http: unsafe extern "C" fn(*const (), CallContext, HttpRequest) -> AbiFuture<HttpResponse>,
    /// [`HostServices::sleep`], in milliseconds.
    pub sleep: unsafe extern "C" fn(*const (), u64) -> AbiFuture<()>,
    /// [`HostServices::unix_ms`].
    pub unix_ms: unsafe extern "C" fn(*const ()) -> i64,
    /// [`HostServices::monotonic_ms`].
    pub monotonic_ms: unsafe extern "C" fn(*const ()) -> u64,
    /// [`HostServices::log`].
    #[sabi(last_prefix_field)]
    pub log: unsafe extern "C" fn(*const (), LogLevel, RStr<'_>),
}

/// A plugin's hold on the host's services.
///
/// Invariant: `services` came from `Arc::into_raw` of the type whose functions `vt` holds, and
/// this handle owns one count of it.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostHandle {
    services: *const (),
    vt: HostVt_Ref,
}

// SAFETY: `HostServices` is `Send + Sync`, and the handle is nothing but a counted pointer to one.
unsafe impl Send for HostHandle {}
// SAFETY: as above.
unsafe impl Sync for HostHandle {}

impl HostHandle {
    /// Hands out `services`.
    #[must_use]
    pub fn new<S: HostServices>(services: Arc<S>) -> Self {
        Self {
            services: Arc::into_raw(services).cast(),
            vt: Shims::<S>::VT,
        }
    }

    /// [`HostServices::http`].
    pub fn http(&self, call: CallContext, request: HttpRequest) -> AbiFuture<HttpResponse> {
        let http = self.vt.http();
        // SAFETY: by the invariant, `services` is what the function expects, and alive.
        unsafe { http(self.services, call, request) }
    }

    /// [`HostServices::sleep`].
    pub fn sleep(&self, duration: Duration) -> AbiFuture<()> {
        let sleep = self.vt.sleep();
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        // SAFETY: by the invariant.
        unsafe { sleep(self.services, ms) }
    }

    /// [`HostServices::unix_ms`].
    #[must_use]
    pub fn unix_ms(&self) -> i64 {
        let unix_ms = self.vt.unix_ms();
        // SAFETY: by the invariant.
        unsafe { unix_ms(self.services) }
    }

    /// [`HostServices::monotonic_ms`].
    #[must_use]
    pub fn monotonic_ms(&self) -> u64 {
        let monotonic_ms = self.vt.monotonic_ms();
        // SAFETY: by the invariant.
        unsafe { monotonic_ms(self.services) }
    }

    /// [`HostServices::log`].
    pub fn log(&self, level: LogLevel, message: &str) {
        let log = self.vt.log();
        // SAFETY: by the invariant.
        unsafe { log(self.services, level, message.into()) }
    }
}

impl Clone for HostHandle {
    fn clone(&self) -> Self {
        let retain = self.vt.retain();
        // SAFETY: by the invariant; the count that is added belongs to the new handle.
        unsafe { retain(self.services) }
        Self {
            services: self.services,
            vt: self.vt,
        }
    }
}

impl Drop for HostHandle {
    fn drop(&mut self) {
        let release = self.vt.release();
        // SAFETY: by the invariant; this handle's count is given back once, here.
        unsafe { release(self.services) }
    }
}

impl fmt::Debug for HostHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostHandle").finish_non_exhaustive()
    }
}

/// The functions that stand in a table for a type `S`.
struct Shims<S>(std::marker::PhantomData<S>);

impl<S: HostServices> Shims<S> {
    staticref!(const TABLE: WithMetadata<HostVt> = WithMetadata::new(HostVt {
        retain: Self::retain,
        release: Self::release,
        http: Self::http,
        sleep: Self::sleep,
        unix_ms: Self::unix_ms,
        monotonic_ms: Self::monotonic_ms,
        log: Self::log,
    }));

    const VT: HostVt_Ref = HostVt_Ref(Self::TABLE.as_prefix());

    /// # Safety
    ///
    /// `services` is that of a live [`HostHandle`] with this table.
    unsafe fn borrow<'a>(services: *const ()) -> &'a S {
        // SAFETY: the caller's promise, with the handle's invariant.
        unsafe { &*services.cast::<S>() }
    }

    unsafe extern "C" fn retain(services: *const ()) {
        // SAFETY: called by `HostHandle` alone, with its own pointer.
        unsafe { Arc::increment_strong_count(services.cast::<S>()) }
    }

    unsafe extern "C" fn release(services: *const ()) {
        // SAFETY: as above; the count becomes ours to drop.
        drop_guarded("release", unsafe { Arc::from_raw(services.cast::<S>()) });
    }

    unsafe extern "C" fn http(
        services: *const (),
        call: CallContext,
        request: HttpRequest,
    ) -> AbiFuture<HttpResponse> {
        // SAFETY: as above.
        let services = unsafe { Self::borrow(services) };
        let future = guard("http", || services.http(call, request));
        into_abi(
            "http",
            future.unwrap_or_else(|error| Box::pin(async { Err(error) })),
        )
    }

    unsafe extern "C" fn sleep(services: *const (), ms: u64) -> AbiFuture<()> {
        // SAFETY: as above.
        let services = unsafe { Self::borrow(services) };
        let sleep = guard("sleep", || services.sleep(Duration::from_millis(ms)));
        let sleep = async {
            sleep?.await;
            Ok(())
        };
        into_abi("sleep", Box::pin(sleep))
    }

    unsafe extern "C" fn unix_ms(services: *const ()) -> i64 {
        // SAFETY: as above.
        let services = unsafe { Self::borrow(services) };
        guard("unix_ms", || services.unix_ms()).unwrap_or_default()
    }

    unsafe extern "C" fn monotonic_ms(services: *const ()) -> u64 {
        // SAFETY: as above.
        let services = unsafe { Self::borrow(services) };
        guard("monotonic_ms", || services.monotonic_ms()).unwrap_or_default()
    }

    unsafe extern "C" fn log(services: *const (), level: LogLevel, message: RStr<'_>) {
        // SAFETY: as above.
        let services = unsafe { Self::borrow(services) };
        // A log line that cannot be written is not worth more than its loss.
        let _ = guard("log", || services.log(level, message.as_str()));
    }
}

/// Turns what came over the boundary into an ordinary result.
///
/// # Errors
///
/// Those of the call.
pub async fn settle<T>(future: AbiFuture<T>) -> Result<T, AbiError> {
    match future.await {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(error) => Err(error),
    }
}
