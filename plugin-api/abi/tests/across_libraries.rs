//! The boundary between two libraries, each with an allocator and statics of its own.
//!
//! `statically_driven.rs` has both sides in one program, where a block that the wrong side frees is
//! freed all the same. `make sanitize` runs both under `AddressSanitizer`.
#![expect(unsafe_code, reason = "loads a library")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use libloading::Library;
use scanhost_abi::abi_stable::library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use scanhost_abi::host::settle;
use scanhost_abi::*;

/// Answers each request from a thread of its own, so that wakers cross both ways.
#[derive(Default)]
struct Host {
    log: Mutex<Vec<String>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// An answer that another thread gives.
struct Later {
    state: Arc<Mutex<(Option<HttpResponse>, Option<Waker>)>>,
}

impl Future for Later {
    type Output = Result<HttpResponse, AbiError>;

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = locked(&self.state);
        match state.0.take() {
            Some(response) => Poll::Ready(Ok(response)),
            None => {
                state.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl HostServices for Host {
    fn http(
        &self,
        _call: CallContext,
        request: HttpRequest,
    ) -> BoxFuture<Result<HttpResponse, AbiError>> {
        if request.path == "/refused" {
            let error = AbiError::new(ErrorKind::TRANSPORT, "refused");
            return Box::pin(std::future::ready(Err(error)));
        }
        let later = Later {
            state: Arc::default(),
        };
        let state = later.state.clone();
        let thread = std::thread::spawn(move || {
            let response = HttpResponse {
                status: if request.path == "/broken" { 500 } else { 200 },
                headers: RVec::from(vec![Tuple2("a".into(), "b".into())]),
                body: request.path.as_bytes().to_vec().into(),
                reserved: [0; 4],
            };
            let mut state = locked(&state);
            state.0 = Some(response);
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        });
        locked(&self.threads).push(thread);
        Box::pin(later)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        assert_eq!(duration, Duration::from_millis(1));
        Box::pin(std::future::ready(()))
    }

    fn unix_ms(&self) -> i64 {
        0
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }

    fn log(&self, _level: LogLevel, message: &str) {
        locked(&self.log).push(message.to_owned());
    }
}

impl Host {
    /// Waits for the threads that answered, so that nothing of a test is left behind.
    fn join(&self) {
        for thread in locked(&self.threads).drain(..) {
            thread.join().expect("it answers without a panic");
        }
    }

    fn log(&self) -> Vec<String> {
        locked(&self.log).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding it")
}

/// `library` of `examples`, which cargo builds for the tests.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("it runs");
    let deps = test.parent().expect("it lies in a folder");
    let name = format!(
        "{}library{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    deps.with_file_name("examples").join(name)
}

fn load(path: &Path) -> Root_Ref {
    // SAFETY: it is our own library, whose constructors do nothing.
    let library = unsafe { Library::new(path) }
        .expect("`cargo test` and `cargo nextest run` build it, unless told to build only tests");
    // SAFETY: the library exports a header under this name, and its address is the reference.
    let header: AbiHeaderRef =
        *unsafe { library.get(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) }.expect("a plugin");
    // What it gives out lives as long as the process.
    std::mem::forget(library);
    let header = header.upgrade().expect("the same abi_stable");
    header
        .init_root_module::<Root_Ref>()
        .expect("the same types")
}

fn open(root: Root_Ref, settings: &str) -> (Result<ProviderObject, AbiError>, Arc<Host>) {
    let host = Arc::new(Host::default());
    let request = OpenRequest {
        settings: settings.into(),
        reserved: [0; 4],
    };
    let open = root.open();
    let provider = open(HostHandle::new(host.clone()), request);
    (provider.into_result(), host)
}

fn request(addresses: &[&str]) -> BalancesRequest {
    BalancesRequest {
        addresses: addresses.iter().map(|&address| address.into()).collect(),
        assets: RVec::from(vec![AssetRef {
            contract: RNone,
            decimals: 8,
            reserved: [0; 2],
        }]),
        cells: (0..u32::try_from(addresses.len()).expect("a few"))
            .map(|address| CellRef { address, asset: 0 })
            .collect(),
        commitment: Commitment::CONFIRMED,
        min_height: 0,
        at_height: 0,
        reserved: [0; 3],
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

#[test]
fn each_side_frees_what_the_other_made() {
    let root = load(&library());
    assert_eq!(root.manifest().as_str(), r#"{"name":"example"}"#);
    let live = |provider: &ProviderObject| -> u64 {
        provider.validate_address("live").unwrap().parse().unwrap()
    };
    let (provider, host) = open(root, "");
    let provider = provider.unwrap();
    let round = || {
        let call = CallContext::default();
        let answered = provider.balances(call, request(&["/one", "/broken", "/refused"]));
        let readings = block_on(settle(answered)).unwrap();
        let kinds: Vec<_> = readings.iter().map(|reading| reading.kind).collect();
        let unknown = ReadingKind::UNKNOWN;
        assert_eq!(kinds, [ReadingKind::KNOWN, unknown, unknown]);
        assert_eq!(readings[0].amount[31], 4);
        let told = |index: usize| readings[index].error.as_ref().unwrap().message.to_string();
        assert_eq!((told(1), told(2)), ("status 500".into(), "refused".into()));
        let identity = block_on(settle(provider.identity(call))).unwrap();
        assert_eq!(identity, "/identity");
        let invalid = provider.validate_address("").unwrap_err();
        assert_eq!(invalid.kind, ErrorKind::INVALID_ADDRESS);
        host.join();
    };
    // What is made once is made in the first round.
    round();
    let before = live(&provider);
    for _ in 0..100 {
        round();
    }
    assert_eq!(live(&provider), before, "a round leaves something behind");
    drop(provider);
    assert_eq!(host.log(), ["opening", "dropped"]);
}

#[test]
fn a_call_that_is_dropped_at_any_await_leaves_nothing() {
    let (provider, host) = open(load(&library()), "");
    let provider = provider.unwrap();
    let whole = request(&["/one", "/two", "/three"]);
    for polls in 0..=4 {
        let mut call = Box::pin(provider.balances(CallContext::default(), whole.clone()));
        for _ in 0..polls {
            if call
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
            {
                break;
            }
            host.join(); // the answer is there for the next poll
        }
        drop(call);
    }
    host.join();
    drop(provider);
    assert_eq!(host.log().last().unwrap(), "dropped");
}

#[test]
fn panics_are_errors_with_their_place_wherever_they_happen() {
    let root = load(&library());
    let told = |error: AbiError, what: &str| {
        assert_eq!(error.kind, ErrorKind::PLUGIN_FAULT);
        assert!(error.message.contains(what), "{}", error.message);
        assert!(error.message.contains("library.rs:"), "{}", error.message);
    };
    told(open(root, "panic").0.unwrap_err(), "boom in open");
    let refused = open(root, "refuse").0.unwrap_err();
    assert_eq!(refused.message, "not with these");
    let (provider, _) = open(root, "describe");
    told(provider.unwrap().describe().unwrap_err(), "(no message)");
    let (provider, host) = open(root, "poll");
    let provider = provider.unwrap();
    told(
        provider.validate_address("panic").unwrap_err(),
        "boom in validate",
    );
    let answered = provider.balances(CallContext::default(), request(&["/one"]));
    told(block_on(settle(answered)).unwrap_err(), "boom in poll");
    host.join();
    // Nobody is left to be told; the next line is enough.
    drop(open(root, "drop").0.unwrap());
}

#[test]
fn one_provider_answers_several_threads() {
    let (provider, host) = open(load(&library()), "");
    let provider = provider.unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let call = provider.balances(CallContext::default(), request(&["/a", "/bc"]));
                    let readings = block_on(settle(call)).unwrap();
                    let amounts: Vec<_> =
                        readings.iter().map(|reading| reading.amount[31]).collect();
                    assert_eq!(amounts, [2, 3]);
                }
            });
        }
    });
    host.join();
}

/// Two files are two libraries, each with statics of its own, also where the bytes are the same.
#[test]
fn a_copy_is_a_library_of_its_own() {
    let folder = std::env::temp_dir().join(format!("scanhost-abi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let copy = folder.join(library().file_name().unwrap());
    std::fs::copy(library(), &copy).unwrap();
    let roots = [load(&library()), load(&copy)];
    std::fs::remove_dir_all(&folder).unwrap();
    let [first, second] = roots.map(|root| root.open() as usize);
    assert_ne!(first, second);
    for root in roots {
        let (provider, _) = open(root, "");
        assert_eq!(provider.unwrap().validate_address("AB").unwrap(), "ab");
    }
}
