//! The conformance checks C01 to C23 over a provider of this crate; see
//! [`conformance!`](crate::conformance).

use std::process::Command;

use scanhost_abi as abi;
use scanhost_conformance::{Builtin, Cassette, Faults, SampleAsset, Verdict, check, child};

use super::{Upstream, across};
use crate::Asset;
use crate::adapter::Adapter;
use crate::provider::Provider;

/// What a provider is asked in the checks, and how its service answers when all is well.
///
/// Give it all that there is: what a sample leaves out is skipped by the checks that need it.
///
/// ```
/// use scanhost_plugin_api::prelude::*;
/// use scanhost_plugin_api::test_kit::Sample;
///
/// fn sample() -> Sample {
///     Sample::new("mainnet")
///         .identity("example-1")
///         .addresses(["alice", "bob"])
///         .invalid(["al ice", "eve!"])
///         .upstream(|request| {
///             let (status, body) = match request.path.as_str() {
///                 "/chain" => (200, r#"{"chain":"example-1"}"#),
///                 "/balance/alice" => (200, r#"{"amount":"100"}"#),
///                 "/balance/bob" => (200, r#"{"amount":"0"}"#),
///                 // As the service itself: what is no address has no balance.
///                 _ => (400, r#"{"error":"no such address"}"#),
///             };
///             Ok(Response { status, headers: vec![], body: body.into() })
///         })
/// }
/// # sample();
/// ```
#[derive(Clone, Debug)]
pub struct Sample {
    inner: scanhost_conformance::Sample,
}

impl Sample {
    /// A sample of a network: `mainnet`, `testnet` and so on.
    #[must_use]
    pub fn new(network: &str) -> Self {
        Self {
            inner: scanhost_conformance::Sample::new(network),
        }
    }

    /// What the chain says of itself; the provider is opened with it, and must tell the same.
    #[must_use]
    pub fn identity(mut self, identity: &str) -> Self {
        self.inner.identity = Some(identity.to_owned());
        self
    }

    /// The options that the provider is opened with; without them, none are set.
    #[must_use]
    pub fn options(mut self, options: serde_json::Value) -> Self {
        self.inner.options = options;
        self
    }

    /// Addresses of the network, for which the upstream has a balance; a handful.
    #[must_use]
    pub fn addresses<S: Into<String>>(mut self, addresses: impl IntoIterator<Item = S>) -> Self {
        self.inner.addresses = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// Makes the n-th further address, for checks of calls as large as the provider takes them.
    /// The upstream has a balance for these too.
    #[must_use]
    pub fn more_addresses(
        mut self,
        more: impl Fn(usize) -> String + Send + Sync + 'static,
    ) -> Self {
        self.inner.more_addresses(more);
        self
    }

    /// What is no address of the network: other networks', mistyped ones.
    #[must_use]
    pub fn invalid<S: Into<String>>(mut self, invalid: impl IntoIterator<Item = S>) -> Self {
        self.inner.invalid = invalid.into_iter().map(Into::into).collect();
        self
    }

    /// What to ask for at each address; without them, the native coin alone. Tokens have the
    /// decimals that the upstream tells.
    #[must_use]
    pub fn assets<'a>(mut self, assets: impl IntoIterator<Item = Asset<'a>>) -> Self {
        let assets = assets.into_iter().map(|asset| SampleAsset {
            contract: asset.contract.map(str::to_owned),
            decimals: asset.decimals,
        });
        self.inner.assets = assets.collect();
        self
    }

    /// The service in good order. It answers every request as the service would, also for what is
    /// no address; the checks spoil its answers themselves.
    #[must_use]
    pub fn upstream(mut self, upstream: impl Upstream) -> Self {
        self.inner.upstream = Some(across(upstream));
        self
    }

    /// The service in good order, as it was recorded by `scanhost scan --record`: what `provider`
    /// of the recording was answered.
    #[must_use]
    pub fn cassette(mut self, cassette: Cassette, provider: &str) -> Self {
        self.inner.upstream = Some(std::sync::Arc::new(cassette).upstream(provider));
        self
    }

    /// The same service with faults on top, for tests of one's own.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.inner.upstream = self.inner.upstream.map(|it| faults.over(it, "conformance"));
        self
    }
}

/// Runs a check in a process of its own: this test binary again, with this test alone.
///
/// # Panics
///
/// When the check fails.
#[track_caller]
pub fn run_check<P: Provider>(
    id: &str,
    module: &str,
    test: &str,
    manifest: &'static [u8],
    sample: impl FnOnce() -> Sample,
) {
    let check = check(id).expect("the macro names checks that exist");
    if child::is_child_for(id) {
        let subject = Builtin {
            manifest,
            open: open::<P>,
        };
        child::tell(|| check.run(&subject, &sample().inner)).expect("the test that asked listens");
        return;
    }
    // A test's name leaves its crate out.
    let module = module.split_once("::").map(|(_, module)| module);
    let name = module.map_or_else(|| test.to_owned(), |module| format!("{module}::{test}"));
    let own = std::env::current_exe().expect("a test has a path");
    let mut command = Command::new(own);
    command.args([&name, "--exact", "--nocapture", "--test-threads=1"]);
    let verdict = child::run(command, id, child::LIMIT);
    let what = check.what;
    match &verdict {
        Verdict::Failed(why) => panic!("{id} ({what}) failed: {why}"),
        told => say(&format!("{id} ({what}) {}: {}", told.word(), told.why())),
    }
}

fn open<P: Provider>(
    host: abi::HostHandle,
    request: &abi::OpenRequest,
) -> Result<abi::ProviderObject, abi::AbiError> {
    Adapter::<P>::open(host, request)
}

#[expect(
    clippy::print_stdout,
    reason = "a test's own words, which its harness shows when asked"
)]
fn say(line: &str) {
    println!("{line}");
}

/// Makes one test for each of the conformance checks, each in a process of its own.
///
/// ```
/// # mod plugin {
/// // src/tests/conformance.rs
/// # use scanhost_plugin_api::prelude::*;
/// # #[derive(Deserialize, JsonSchema)]
/// # pub struct Options {}
/// # pub struct Example;
/// # #[async_trait]
/// # impl Provider for Example {
/// #     type Options = Options;
/// #     fn open(_: Host, _: Settings<Options>) -> Result<Self, Error> { Ok(Self) }
/// #     fn caps(&self) -> Caps { Caps::native(Commitment::Latest) }
/// #     fn validate_address(&self, a: &str) -> Result<String, Error> { Ok(a.into()) }
/// #     async fn identity(&self, _: &Cx) -> Result<String, Error> { Ok("x".into()) }
/// #     async fn balances(&self, _: &Cx, r: &Balances) -> Result<Readings, Error> {
/// #         Ok(Readings::new(r))
/// #     }
/// # }
/// # #[cfg(any())]
/// use crate::Example;
/// use scanhost_plugin_api::test_kit::Sample;
///
/// fn sample() -> Sample {
///     Sample::new("mainnet").addresses(["alice"]) // and so on: see `Sample`
/// }
///
/// # #[cfg(any())]
/// scanhost_plugin_api::conformance! {
///     Provider = Example,
///     manifest = "plugin.json",
///     sample = sample(),
/// }
/// # }
/// ```
///
/// The path of the manifest is from the crate's root. Each test is named after its check
/// (`c07_sizes`), fails with what was seen, and has a minute. What they say when they pass or are
/// skipped is shown by `--nocapture` (nextest: `--no-capture`). C18 looks at the built file and is
/// skipped here: `scanhost plugins verify FILE` has it.
#[macro_export]
macro_rules! conformance {
    (Provider = $provider:ty, manifest = $manifest:literal, sample = $sample:expr $(,)?) => {
        $crate::__conformance_tests! {
            ($provider) ($manifest) ($sample)
            c01_loads "C01", c02_manifest "C02", c03_defaults "C03", c04_bad_options "C04",
            c05_leaks "C05", c06_empty "C06", c07_sizes "C07", c08_order "C08",
            c09_invalid "C09", c10_rate "C10", c11_outages "C11", c12_nonsense "C12",
            c13_ids "C13", c14_numbers "C14", c15_cancel "C15", c16_threads "C16",
            c17_polls "C17", c18_imports "C18", c19_silence "C19", c20_deadlines "C20",
            c21_secrets "C21", c22_abi "C22", c23_arbitrary "C23",
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    // One at a time, so that what all share is not repeated together with them.
    (($provider:ty) ($manifest:literal) ($sample:expr)) => {};
    (($provider:ty) ($manifest:literal) ($sample:expr)
     $test:ident $id:literal, $($rest:tt)*) => {
        #[test]
        fn $test() {
            $crate::__private::run_check::<$provider>(
                $id,
                module_path!(),
                stringify!($test),
                include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $manifest)),
                || $sample,
            );
        }

        $crate::__conformance_tests! { ($provider) ($manifest) ($sample) $($rest)* }
    };
}
