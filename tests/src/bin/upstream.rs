//! The upstream simulator as a program.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use scanhost_tests::upstream::{Demo, Upstream, World};

/// Simulates the servers that Scanhost's providers talk to, on a loopback port.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The world to serve, a JSON file.
    #[arg(long, required_unless_present = "demo", conflicts_with = "demo")]
    world: Option<PathBuf>,
    /// Serve a made-up world of this many addresses per chain.
    #[arg(long, value_name = "N")]
    demo: Option<usize>,
    /// What the made-up world grows from.
    #[arg(long, default_value_t = 7, requires = "demo")]
    seed: u64,
    /// Let hosts of the made-up world fail: one for good, others for a while.
    #[arg(long, requires = "demo")]
    with_faults: bool,
    /// Write address lists, a configuration and the expected amounts of the made-up world here.
    #[arg(long, value_name = "DIR", requires = "demo")]
    write_to: Option<PathBuf>,
    /// Write the port here once requests are answered and all else is written.
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut message = format!("upstream: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                message.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            // With stderr closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let demo = args.demo.map(|count| {
        let demo = Demo::new(count, args.seed, now_ms());
        if args.with_faults {
            demo.with_faults()
        } else {
            demo
        }
    });
    let world = match (&demo, &args.world) {
        (Some(demo), _) => demo.world.clone(),
        (None, Some(path)) => World::read(path)?,
        (None, None) => return Err("give --world FILE or --demo N".into()),
    };
    let hosts: Vec<String> = world.hosts().map(|(name, _)| name.to_owned()).collect();
    let upstream = Upstream::listen(args.listen, world)
        .await
        .map_err(|error| format!("failed to listen on {}: {error}", args.listen))?;
    if let (Some(demo), Some(folder)) = (&demo, &args.write_to) {
        demo.write_to(folder, &|host| upstream.endpoint(host))?;
    }
    if let Some(path) = &args.port_file {
        let (_, port) = upstream.base_url.rsplit_once(':').unwrap_or_default();
        std::fs::write(path, port)
            .map_err(|error| format!("failed to write `{}`: {error}", path.display()))?;
    }
    let mut stderr = std::io::stderr();
    for host in hosts {
        writeln!(stderr, "{host:12} {}", upstream.endpoint(&host))?;
    }
    tokio::select! {
        ended = upstream.run() => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program outside of the host has no clock passed in"
)]
fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since_epoch.unwrap_or_default().as_millis();
    i64::try_from(millis).unwrap_or(i64::MAX)
}
