//! A library as a plugin is one, for `tests/across_libraries.rs`: it allocates by itself, speaks
//! to the host in the middle of its calls, and panics where it is told to.
//!
//! Written against the ABI itself, since the author's API stands above it.
#![expect(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scanhost_abi::abi_stable::std_types::RBox;
use scanhost_abi::host::settle;
use scanhost_abi::root::Library;
use scanhost_abi::{
    AbiError, BalancesRequest, BoxFuture, CAP_NATIVE, CallContext, Caps, Commitment, Cost,
    ErrorKind, HostHandle, HttpMethod, HttpRequest, LogLevel, Once, OpenRequest, ProviderAbi,
    ProviderObject, RNone, RSome, RString, RVec, Reading, ReadingKind, Scope,
};

/// Another allocator than the host's: each block has a header that the host's knows nothing of.
struct Prefixed;

static LIVE: AtomicU64 = AtomicU64::new(0);

fn prefix(layout: Layout) -> usize {
    layout.align().max(16)
}

fn with_prefix(layout: Layout) -> Option<Layout> {
    let size = layout.size().checked_add(prefix(layout))?;
    Layout::from_size_align(size, layout.align().max(16)).ok()
}

// SAFETY: every block is one of `System`'s, aligned and large enough behind its prefix, and goes
// back to `System` with the layout that it was taken by.
unsafe impl GlobalAlloc for Prefixed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(whole) = with_prefix(layout) else {
            return std::ptr::null_mut();
        };
        // SAFETY: the size is not zero: the prefix alone has 16 bytes.
        let block = unsafe { System.alloc(whole) };
        if block.is_null() {
            return block;
        }
        LIVE.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the block is larger than its prefix.
        unsafe { block.add(prefix(layout)) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(whole) = with_prefix(layout) else {
            return;
        };
        LIVE.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: `alloc` gave the pointer out, that far behind the start of its block.
        let block = unsafe { pointer.sub(prefix(layout)) };
        // SAFETY: it is a block of `System` with this layout.
        unsafe { System.dealloc(block, whole) }
    }
}

#[global_allocator]
static ALLOCATOR: Prefixed = Prefixed;

/// A panic's payload whose drop panics too.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload's own");
    }
}

struct Example {
    host: HostHandle,
    settings: String,
}

impl Library for Example {
    const MANIFEST: &'static [u8] = br#"{"name":"example"}"#;

    fn open(host: HostHandle, request: &OpenRequest) -> Result<ProviderObject, AbiError> {
        host.log(LogLevel::INFO, "opening");
        match request.settings.as_str() {
            "panic" => panic!("boom in open"),
            "refuse" => Err(AbiError::new(ErrorKind::PLUGIN_FAULT, "not with these")),
            settings => Ok(ProviderObject::new(Arc::new(Self {
                host,
                settings: settings.to_owned(),
            }))),
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.host.log(LogLevel::INFO, "dropped");
        if self.settings == "drop" {
            panic!("boom in drop");
        }
    }
}

impl ProviderAbi for Example {
    fn describe(&self) -> Caps {
        if self.settings == "describe" {
            std::panic::panic_any(Bomb);
        }
        Caps {
            can: CAP_NATIVE,
            cells_per_call_max: 1_000,
            addresses_per_call_max: 1_000,
            assets_per_call_max: 1,
            cost: Cost::default(),
            token_scope: Scope::WALLET,
            commitment_default: Commitment::CONFIRMED,
            once: Once::default(),
            reserved: [0; 6],
        }
    }

    fn validate_address(&self, address: &str) -> Result<String, AbiError> {
        match address {
            "panic" => panic!("boom in validate"),
            "live" => Ok(LIVE.load(Ordering::Relaxed).to_string()),
            "" => Err(AbiError::new(ErrorKind::INVALID_ADDRESS, "it is empty")),
            address => Ok(address.to_lowercase()),
        }
    }

    fn identity(self: Arc<Self>, call: CallContext) -> BoxFuture<Result<RString, AbiError>> {
        Box::pin(async move {
            let body = self.get(call, "/identity").await?;
            Ok(String::from_utf8_lossy(&body).into_owned().into())
        })
    }

    fn balances(
        self: Arc<Self>,
        call: CallContext,
        request: BalancesRequest,
    ) -> BoxFuture<Result<RVec<Reading>, AbiError>> {
        Box::pin(async move {
            self.host
                .sleep(std::time::Duration::from_millis(1))
                .await
                .into_result()?;
            let mut readings = RVec::with_capacity(request.cells.len());
            for (index, cell) in (0_u32..).zip(&request.cells) {
                let address = &request.addresses[cell.address as usize];
                let reading = match self.get(call, address).await {
                    Ok(body) => known(index, body.len()),
                    Err(error) => unknown(index, error),
                };
                readings.push(reading);
            }
            if self.settings == "poll" {
                panic!("boom in poll");
            }
            Ok(readings)
        })
    }
}

impl Example {
    async fn get(&self, call: CallContext, path: &str) -> Result<RVec<u8>, AbiError> {
        let request = HttpRequest {
            method: HttpMethod::GET,
            path: path.into(),
            headers: RVec::new(),
            body: RVec::new(),
            timeout_ms: 0,
            reserved: [0; 4],
        };
        let host = self.host.clone();
        let response = settle(host.http(call, request)).await?;
        match response.status {
            200 => Ok(response.body),
            status => {
                let message = format!("status {status}");
                Err(AbiError::new(ErrorKind::SERVER_ERROR, message))
            }
        }
    }
}

fn known(cell: u32, amount: usize) -> Reading {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&(amount as u64).to_be_bytes());
    Reading {
        cell,
        kind: ReadingKind::KNOWN,
        flags: 0,
        amount: bytes,
        height: 0,
        block_hash: [0; 32],
        pending: [0; 16],
        error: RNone,
        reserved: [0; 2],
    }
}

fn unknown(cell: u32, error: AbiError) -> Reading {
    Reading {
        kind: ReadingKind::UNKNOWN,
        error: RSome(RBox::new(error)),
        ..known(cell, 0)
    }
}

scanhost_abi::export_library!(Example);
