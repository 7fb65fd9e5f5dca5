//! A ready world of all five kinds.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use bitcoin::Network;

use super::{Fault, Host, HostKind, Kind, Ledger, RetryAfter, Seeded, World};

const API_KEY: &str = "demo-key";
const BTC_BLOCK_MS: u64 = 600_000;
const BSC_BLOCK_MS: u64 = 450;
const SOL_SLOT_MS: u64 = 400;

/// Three chains with their addresses, served by seven hosts.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The hosts `blockstream`, `mempool`, `bsc-a`, `bsc-b`, `bscscan`, `sol-a`, `sol-b`.
    pub world: World,
    chains: Vec<(&'static str, Seeded)>,
}

/// A file of the demo that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write `{}`", path.display())]
pub struct WriteDemoError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

// === impl Demo ===

impl Demo {
    /// Chains of `count` addresses each, which grow from `now_ms` on.
    #[must_use]
    pub fn new(count: usize, seed: u64, now_ms: i64) -> Self {
        let mut chains = vec![
            ("btc", Ledger::seeded_bitcoin(Network::Bitcoin, seed, count)),
            ("bsc", Ledger::seeded_bsc(seed, count)),
            ("sol", Ledger::seeded_solana(seed, count)),
        ];
        let mut world = World::new();
        let paces = [BTC_BLOCK_MS, BSC_BLOCK_MS, SOL_SLOT_MS];
        for ((name, seeded), block_ms) in chains.iter_mut().zip(paces) {
            let blocks = seeded.ledger.blocks_mut();
            blocks.since_ms = now_ms;
            blocks.block_ms = block_ms;
            world = world.with_ledger(name, seeded.ledger.clone());
        }
        let bscscan = Host {
            api_key: Some(API_KEY.to_owned()),
            ..Host::new(HostKind::Etherscan, "bsc")
        };
        let world = world
            .with_host("blockstream", HostKind::Esplora, "btc")
            .with_host("mempool", HostKind::Mempool, "btc")
            .with_host("bsc-a", HostKind::Evm, "bsc")
            .with_host("bsc-b", HostKind::Evm, "bsc")
            .with("bscscan", bscscan)
            .with_host("sol-a", HostKind::Solana, "sol")
            .with_host("sol-b", HostKind::Solana, "sol");
        Self { world, chains }
    }

    /// The same with failing hosts: each chain's first one fails in another way, none for ever
    /// but `bsc-a`.
    #[must_use]
    pub fn with_faults(mut self) -> Self {
        let body = super::BodyForm::Html;
        let retry_after = RetryAfter::Seconds(2);
        for fault in [
            Fault::at("bsc-a", Kind::Status { code: 503, body }),
            Fault::at("blockstream", Kind::RateLimit { retry_after }).nth(20..=22),
            Fault::at("sol-a", Kind::Short)
                .on("getMultipleAccounts")
                .nth(1..=1),
            Fault::at("sol-a", Kind::Truncated)
                .on("getMultipleAccounts")
                .nth(2..=2),
        ] {
            self.world.faults.add(fault);
        }
        self
    }

    /// Writes `btc.csv`, `bsc.csv`, `sol.csv`, `bscscan.key`, `scanhost.toml` and `expected.json`
    /// into a folder, which is made when it is not there.
    ///
    /// `expected.json` has one object per line: chain, address, asset, amount.
    ///
    /// # Errors
    ///
    /// The file that could not be written.
    pub fn write_to(
        &self,
        folder: &Path,
        endpoint: &dyn Fn(&str) -> String,
    ) -> Result<(), WriteDemoError> {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| WriteDemoError { path, source })
        };
        fs::create_dir_all(folder).map_err(|source| WriteDemoError {
            path: folder.to_owned(),
            source,
        })?;
        let mut expected = String::new();
        for (chain, seeded) in &self.chains {
            let mut csv = "address,index\n".to_owned();
            for (index, address) in seeded.addresses.iter().enumerate() {
                writeln!(csv, "{address},{index}").expect("a string takes all");
                for asset in &seeded.assets {
                    let (symbol, amount) = (&asset.symbol, seeded.amount(index, &asset.symbol));
                    writeln!(
                        expected,
                        r#"{{"chain":"{chain}","address":"{address}","asset":"{symbol}","amount":"{amount}"}}"#
                    )
                    .expect("a string takes all");
                }
            }
            write(&format!("{chain}.csv"), &csv)?;
        }
        write("expected.json", &expected)?;
        write("bscscan.key", API_KEY)?;
        write("scanhost.toml", &self.config(endpoint))
    }

    fn config(&self, endpoint: &dyn Fn(&str) -> String) -> String {
        let pools = [
            ("btc", &["blockstream", "mempool"][..]),
            ("bsc", &["bsc-a", "bsc-b", "bscscan"]),
            ("sol", &["sol-a", "sol-b"]),
        ];
        let mut text =
            "# Written by the upstream simulator.\n[store]\nurl = \"sqlite://scanhost.db\"\n"
                .to_owned();
        for ((chain, seeded), (_, pool)) in self.chains.iter().zip(pools) {
            let identity = seeded.ledger.identity();
            let commitment = match *chain {
                "btc" => "confirmed",
                "bsc" => "latest",
                _ => "finalized",
            };
            let breaker = format!("[chains.{chain}.breaker]\nfailures = 3\ncooldown = \"5s\"\n");
            write!(
                text,
                "\n[chains.{chain}]\nnetwork = \"mainnet\"\nidentity = \"{identity}\"\npool = {pool:?}\ncommitment = \"{commitment}\"\n{breaker}"
            )
            .expect("a string takes all");
            for asset in &seeded.assets {
                let contract = asset.contract.as_ref();
                let contract = contract.map(|contract| format!("contract = \"{contract}\"\n"));
                write!(
                    text,
                    "[[chains.{chain}.assets]]\nsymbol = \"{}\"\n{}decimals = {}\n",
                    asset.symbol,
                    contract.unwrap_or_default(),
                    asset.decimals
                )
                .expect("a string takes all");
            }
            write!(
                text,
                "[[chains.{chain}.addresses]]\nfile = \"{chain}.csv\"\n"
            )
            .expect("a string takes all");
        }
        for (name, host) in self.world.hosts() {
            let plugin = match host.kind {
                HostKind::Esplora => "blockstream",
                HostKind::Mempool => "mempool",
                HostKind::Etherscan => "bscscan",
                HostKind::Evm => "bsc-rpc",
                HostKind::Solana => "solana-rpc",
            };
            let endpoint = endpoint(name);
            let key = host
                .api_key
                .as_ref()
                .map(|_| "api_key = { file = \"bscscan.key\" }\n");
            write!(
                text,
                "\n[providers.{name}]\nplugin = \"{plugin}\"\nendpoint = \"{endpoint}\"\ntimeout = \"5s\"\n{}",
                key.unwrap_or_default()
            )
            .expect("a string takes all");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Request;

    #[test]
    fn a_demo_writes_what_its_hosts_answer() {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = Demo::new(10, 3, 0);
        demo.write_to(folder.path(), &|host| {
            format!("http://127.0.0.1:9/{host}/x")
        })
        .unwrap();
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let config = text("scanhost.toml");
        assert!(config.contains("pool = [\"bsc-a\", \"bsc-b\", \"bscscan\"]"));
        assert!(config.contains("endpoint = \"http://127.0.0.1:9/bscscan/x\""));
        let list = text("bsc.csv");
        assert_eq!(list.lines().count(), 11);

        let expected = text("expected.json");
        let cells = expected
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let cells: Vec<serde_json::Value> = cells.collect();
        assert_eq!(cells.len(), 10 * (1 + 3 + 4));
        let mut native = cells.iter().filter(|cell| cell["asset"] == "BNB");
        let all_answered = native.all(|cell| {
            let [address, amount] = ["address", "amount"].map(|key| cell[key].as_str().unwrap());
            let target = format!(
                "/bscscan/v2/api?chainid=56&apikey={API_KEY}&module=account&action=balance&address={address}"
            );
            let answer = demo.world.handle(&Request::get(target), 0).body_text();
            answer.contains(&format!(r#""result":"{amount}""#))
        });
        assert!(all_answered);
    }

    #[test]
    fn a_demo_with_faults_has_a_host_that_is_down() {
        let mut demo = Demo::new(1, 3, 0).with_faults();
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
        let mut status = |host: &str| demo.world.handle(&Request::post_json(host, body), 0).status;
        assert_eq!((status("/bsc-a"), status("/bsc-b")), (503, 200));
    }
}
