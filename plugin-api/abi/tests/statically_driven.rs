//! Both sides of the boundary in one program, through the same tables that a loaded plugin uses.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use scanhost_abi::host::settle;
use scanhost_abi::*;

#[derive(Default)]
struct Host {
    dropped_requests: Arc<AtomicU32>,
}

struct CountDrop(Arc<AtomicU32>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl HostServices for Host {
    fn http(
        &self,
        _call: CallContext,
        request: HttpRequest,
    ) -> BoxFuture<Result<HttpResponse, AbiError>> {
        let open = CountDrop(self.dropped_requests.clone());
        Box::pin(async move {
            let _open = open;
            if request.path.as_str() == "/never" {
                std::future::pending::<()>().await;
            }
            Ok(HttpResponse {
                status: 200,
                headers: RVec::new(),
                body: request.body,
                reserved: [0; 4],
            })
        })
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<()> {
        Box::pin(std::future::ready(()))
    }

    fn unix_ms(&self) -> i64 {
        7
    }

    fn monotonic_ms(&self) -> u64 {
        8
    }

    fn log(&self, _level: LogLevel, message: &str) {
        assert!(message != "panic", "the host's own panic stays on its side");
    }
}

struct Provider {
    host: HostHandle,
}

impl Drop for Provider {
    fn drop(&mut self) {
        panic!("boom in drop");
    }
}

fn request(path: &str) -> HttpRequest {
    HttpRequest {
        method: HttpMethod::GET,
        path: path.into(),
        headers: RVec::new(),
        body: b"body".to_vec().into(),
        timeout_ms: 0,
        reserved: [0; 4],
    }
}

impl ProviderAbi for Provider {
    fn describe(&self) -> Caps {
        panic!("boom in describe")
    }

    fn validate_address(&self, address: &str) -> Result<String, AbiError> {
        match address {
            "panic" => panic!("boom in validate"),
            "bad" => Err(AbiError::new(ErrorKind::INVALID_ADDRESS, "bad")),
            good => Ok(good.to_lowercase()),
        }
    }

    fn identity(self: Arc<Self>, call: CallContext) -> BoxFuture<Result<RString, AbiError>> {
        Box::pin(async move {
            let path = if call.call == 1 { "/never" } else { "/echo" };
            let response = settle(self.host.http(call, request(path))).await?;
            Ok(String::from_utf8_lossy(&response.body).into_owned().into())
        })
    }

    fn balances(
        self: Arc<Self>,
        _call: CallContext,
        _request: BalancesRequest,
    ) -> BoxFuture<Result<RVec<Reading>, AbiError>> {
        Box::pin(async move { panic!("boom in poll") })
    }

    fn derive(&self, request: DeriveRequest) -> Result<Derived, AbiError> {
        let address = |index| DerivedAddress {
            address: format!("{}{index}", request.key).into(),
            path: format!("{}/{index}", request.branch).into(),
            reserved: [0; 2],
        };
        match request.key.as_str() {
            "panic" => panic!("boom in derive"),
            "private" => Err(AbiError::new(ErrorKind::PRIVATE_KEY, "not used")),
            _ => Ok(Derived {
                branches: 2,
                addresses: (request.start..request.start + request.count)
                    .map(address)
                    .collect(),
                reserved: [0; 4],
            }),
        }
    }
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future)
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

fn open() -> (ProviderObject, Arc<AtomicU32>) {
    let host = Host::default();
    let dropped = host.dropped_requests.clone();
    let host = HostHandle::new(Arc::new(host));
    host.log(LogLevel::INFO, "panic");
    assert_eq!((host.clone().unix_ms(), host.monotonic_ms()), (7, 8));
    (ProviderObject::new(Arc::new(Provider { host })), dropped)
}

#[test]
fn panics_stay_on_their_side_and_tell_where() {
    let (provider, _) = open();
    let error = provider.describe().unwrap_err();
    assert!(
        error.message.contains("boom in describe at "),
        "{}",
        error.message
    );
    let error = provider.validate_address("panic").unwrap_err();
    assert!(
        error.message.contains("panic in validate_address: boom"),
        "{}",
        error.message
    );
    let request = BalancesRequest {
        addresses: RVec::new(),
        assets: RVec::new(),
        cells: RVec::new(),
        commitment: Commitment::LATEST,
        min_height: 0,
        at_height: 0,
        reserved: [0; 3],
    };
    let poll = poll_once(settle(provider.balances(CallContext::default(), request)));
    let Poll::Ready(Err(error)) = poll else {
        panic!("it finished with an error")
    };
    assert_eq!(error.kind, ErrorKind::PLUGIN_FAULT);
    assert!(
        error.message.contains("statically_driven.rs:"),
        "{}",
        error.message
    );
}

#[test]
fn values_and_errors_cross() {
    let (provider, _) = open();
    assert_eq!(provider.validate_address("ABC").unwrap().as_str(), "abc");
    let error = provider.validate_address("bad").unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::INVALID_ADDRESS, "bad")
    );
    let poll = poll_once(settle(provider.identity(CallContext::default())));
    assert_eq!(
        poll.map(|identity| identity.unwrap().into_string()),
        Poll::Ready("body".into())
    );
}

#[test]
fn derived_addresses_cross_and_the_key_is_never_shown() {
    let (provider, _) = open();
    let request = |key: &str| DeriveRequest {
        key: key.into(),
        branch: 1,
        start: 5,
        count: 2,
        reserved: [0; 4],
    };
    let derived = provider.derive(request("xpub")).unwrap();
    let told: Vec<_> = derived
        .addresses
        .iter()
        .map(|derived| (derived.address.as_str(), derived.path.as_str()))
        .collect();
    assert_eq!(
        (derived.branches, told),
        (2, vec![("xpub5", "1/5"), ("xpub6", "1/6")])
    );
    let error = provider.derive(request("private")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::PRIVATE_KEY);
    let error = provider.derive(request("panic")).unwrap_err();
    assert!(
        error.message.contains("boom in derive at "),
        "{}",
        error.message
    );
    let shown = format!("{:?}", request("secret"));
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn dropping_a_call_drops_the_request_that_it_waits_for() {
    let (provider, dropped) = open();
    let mut call = Box::pin(provider.identity(CallContext {
        call: 1,
        ..Default::default()
    }));
    let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending());
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(call);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_provider_outlives_its_object_while_a_call_runs() {
    let (provider, dropped) = open();
    let call = provider.identity(CallContext {
        call: 1,
        ..Default::default()
    });
    drop(provider);
    let mut call = Box::pin(call);
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(call);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}
