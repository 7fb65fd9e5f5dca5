//! What a process of its own costs a plugin's call.
//!
//! The requests end in this process, so that what is measured is the way there and back, and not a
//! network. The plugin is `bsc-rpc` as `make bench` built it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use scanhost::clock::SharedClock;
use scanhost::gate::{Pacer, RequestSlots};
use scanhost::http::{
    Endpoint, HttpClient, ProviderHttp, Transport, TransportError, WireRequest, WireResponse,
};
use scanhost::model::Commitment;
use scanhost::plugin::backend::{BalancesRequest, CallBudget, PluginHost};
use scanhost::plugin::{Backend, CallError, OpenSettings, Opened, PluginFile, child};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::table::{Bound, Table};
use crate::{Failure, median};

const CALLS: usize = 2_000;
/// Body of the answer to the call with a request.
const BODY: usize = 64 * 1024;
const MEMORY_MAX: u64 = 512 * 1024 * 1024;

/// Answers each request at once, with a body of that size.
#[derive(Debug)]
struct AtOnce(Vec<u8>);

#[async_trait]
impl Transport for AtOnce {
    async fn send(&self, _request: WireRequest) -> Result<WireResponse, TransportError> {
        let body = self.0.clone();
        Ok(WireResponse {
            status: 200,
            headers: vec![("content-type".into(), "application/json".into())],
            body: futures_util::stream::iter([Ok(body)]).boxed(),
        })
    }
}

pub(crate) async fn run(table: &mut Table, clock: &SharedClock) -> Result<(), Failure> {
    let file = PluginFile::read(&plugin()?)?;
    let folder = tempfile::tempdir()?;
    let host = PluginHost::load(&file, folder.path(), &Handle::current())?;
    let inside = host
        .open(&settings(), client(clock)?, clock.clone())
        .await?;
    let isolated = isolated(&file, folder.path(), clock).await?;
    for (what, provider, bound) in [
        ("empty call, in this process", &inside, Bound::None),
        (
            "empty call, in a process of its own",
            &isolated,
            Bound::AtMost(100.0),
        ),
    ] {
        let empty = measured(clock, async |budget| {
            let report = provider.balances(nothing(), budget).await;
            report.result.map(|answers| answers.is_empty())
        });
        table.add(what, empty.await?, "us", bound);
    }
    for (what, provider, bound) in [
        (
            "call with a request of 64 KiB, in this process",
            &inside,
            Bound::None,
        ),
        (
            "call with a request of 64 KiB, in a process of its own",
            &isolated,
            Bound::AtMost(250.0),
        ),
    ] {
        let forwarded = measured(clock, async |budget| {
            let report = provider.identity(budget).await;
            report.result.map(|identity| identity == "56")
        });
        table.add(what, forwarded.await?, "us", bound);
    }
    Ok(())
}

/// The median of a call, in microseconds.
async fn measured(
    clock: &SharedClock,
    call: impl AsyncFn(CallBudget) -> Result<bool, CallError>,
) -> Result<f64, Failure> {
    let pacer = Pacer::unlimited(clock.clone());
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let budget = CallBudget {
            deadline: Duration::from_secs(10),
            slots: RequestSlots::of(&pacer),
        };
        let start = Instant::now();
        if !call(budget).await.map_err(|error| error.message)? {
            return Err("the plugin answers something else than it was told".into());
        }
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}

async fn isolated(
    file: &PluginFile,
    copies: &Path,
    clock: &SharedClock,
) -> Result<Opened, Failure> {
    let (settings, client) = (settings(), client(clock)?);
    let io = Handle::current();
    let opened = child::open(
        file,
        copies,
        &settings,
        MEMORY_MAX,
        client,
        clock.clone(),
        &io,
    );
    Ok(opened.await?)
}

fn settings() -> OpenSettings {
    OpenSettings {
        chain: "bsc".into(),
        provider: "bench".into(),
        network: "mainnet".into(),
        identity: Some("56".into()),
        options: serde_json::json!({}),
    }
}

fn client(clock: &SharedClock) -> Result<Arc<HttpClient>, Failure> {
    let mut body = br#"{"jsonrpc":"2.0","id":0,"result":"0x38"}"#.to_vec();
    body.resize(BODY, b' ');
    let config = ProviderHttp::new("bench".into(), Endpoint::parse("https://node.example")?);
    let client = HttpClient::with_transport(config, clock.clone(), Arc::new(AtOnce(body)))?;
    Ok(Arc::new(client))
}

fn nothing() -> BalancesRequest {
    BalancesRequest {
        addresses: Vec::new(),
        assets: Vec::new(),
        cells: Vec::new(),
        commitment: Commitment::Latest,
        min_height: 0,
        at_height: None,
    }
}

/// Cargo puts benches into `deps`, and plugins beside that.
fn plugin() -> Result<PathBuf, Failure> {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent);
    let folder = folder.ok_or("a bench lies in target/release/deps")?;
    let file = folder.join(format!("{prefix}scanhost_plugin_bsc_rpc{suffix}"));
    match file.exists() {
        true => Ok(file),
        false => Err(format!(
            "there is no `{}`; run `make bench`, which builds it",
            file.display()
        )
        .into()),
    }
}
