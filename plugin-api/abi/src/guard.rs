//! Panics stop here, with their message and place.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::types::{AbiError, ErrorKind};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f`; a panic in it becomes an error that names `what`, the message and the place.
///
/// # Errors
///
/// [`ErrorKind::PLUGIN_FAULT`] when `f` panicked.
pub fn guard<T>(what: &str, f: impl FnOnce() -> T) -> Result<T, AbiError> {
    install_hook();
    DEPTH.set(DEPTH.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(f));
    DEPTH.set(DEPTH.get() - 1);
    outcome.map_err(|payload| {
        let message = LAST.take().unwrap_or_else(|| text_of(&*payload).to_owned());
        discard(payload);
        AbiError::new(
            ErrorKind::PLUGIN_FAULT,
            format!("panic in {what}: {message}"),
        )
    })
}

/// Drops a value whose drop may panic.
pub fn drop_guarded<T>(what: &str, value: T) {
    // A panic while dropping has nobody left to be told to.
    let _: Result<(), AbiError> = guard(what, move || drop(value));
}

/// Takes note of message and place, which `catch_unwind` does not give, and keeps guarded panics
/// off the standard error stream. Panics elsewhere go to the hook that was there before.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.try_with(Cell::get).unwrap_or(0) == 0 {
                return previous(info);
            }
            let text = text_of(info.payload());
            let told = match info.location() {
                Some(place) => format!("{text} at {}:{}", place.file(), place.line()),
                None => text.to_owned(),
            };
            // The thread's storage may be gone already; the message is then told without a place.
            let _ = LAST.try_with(|last| last.replace(Some(told)));
        }));
    });
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

/// A payload's own drop may panic too; that second payload is leaked.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_message_and_place() {
        let error = guard("open", || panic!("boom {}", 7)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::PLUGIN_FAULT);
        assert!(
            error.message.starts_with("panic in open: boom 7 at "),
            "{}",
            error.message
        );
        assert!(error.message.contains("guard.rs:"), "{}", error.message);
    }

    #[test]
    fn a_payload_that_panics_on_drop_is_survived() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("second");
            }
        }
        let error = guard("poll", || std::panic::panic_any(Bomb)).unwrap_err();
        assert!(
            error.message.starts_with("panic in poll: (no message)"),
            "{}",
            error.message
        );
    }

    #[test]
    fn what_does_not_panic_passes() {
        assert_eq!(guard("open", || 7).unwrap(), 7);
    }
}
