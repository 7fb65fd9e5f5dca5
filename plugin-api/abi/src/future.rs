//! Futures that cross, with their panics caught.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use abi_stable::std_types::RResult;
use async_ffi::{FfiFuture, FutureExt};

use crate::guard::{drop_guarded, guard};
use crate::types::AbiError;

/// A future within one side.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that crosses.
pub type AbiFuture<T> = FfiFuture<RResult<T, AbiError>>;

/// Makes a future fit to cross: a panic in `poll` is its error, one in `drop` is swallowed.
pub(crate) fn into_abi<T: 'static>(
    what: &'static str,
    future: BoxFuture<Result<T, AbiError>>,
) -> AbiFuture<T> {
    Guarded {
        what,
        future: Some(future),
    }
    .into_ffi()
}

/// `async-ffi` would lose a panic's message in `poll` and abort on one in `drop`.
struct Guarded<T> {
    what: &'static str,
    /// None once finished.
    future: Option<BoxFuture<Result<T, AbiError>>>,
}

impl<T> Future for Guarded<T> {
    type Output = RResult<T, AbiError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let what = self.what;
        let future = self.future.as_mut().expect("not polled after it finished");
        let outcome = match guard(what, || future.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(panicked) => Err(panicked),
        };
        self.finish();
        Poll::Ready(outcome.into())
    }
}

impl<T> Guarded<T> {
    fn finish(&mut self) {
        drop_guarded(self.what, self.future.take());
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        self.finish();
    }
}
