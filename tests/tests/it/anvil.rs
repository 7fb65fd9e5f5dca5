//! The plugin `bsc-rpc` against a real EVM node: what is printed is what the node says.

use std::collections::HashMap;

use alloy::primitives::{Address, U256, address, keccak256};
use scanhost_tests::anvil::{Anvil, MULTICALL3, token_code};
use scanhost_tests::product::{Chain, Config, IMPATIENT, Product, Run};
use serde_json::{Value, json};

const BSC: u64 = 56;
const USDT: Address = address!("55d398326f99059fF775485246999027B3197955");
const USDC: Address = address!("8AC76a51cc950d9822D68b83fE1Ad97B32Cd580d");
/// 18 as on BNB Smart Chain, and 6 to tell the two tokens apart.
const DECIMALS: [(&str, Address, u8); 2] = [("USDT", USDT, 18), ("USDC", USDC, 6)];

/// Symbol, contract, decimals.
type Asset = (&'static str, Option<String>, u8);

/// What each cell holds, by lower-case address and symbol.
type Amounts = HashMap<(String, String), U256>;

/// A node with Multicall3, two tokens, and holders of some of it.
struct Node {
    anvil: Anvil,
    holders: Vec<Address>,
}

impl Node {
    async fn start(holders: u64) -> Self {
        Self::start_with(holders, &[]).await
    }

    async fn start_with(holders: u64, arguments: &[&str]) -> Self {
        let anvil = Anvil::start(BSC, arguments).await;
        anvil.deploy_multicall3().await;
        for (_, token, decimals) in DECIMALS {
            anvil.set_code(token, &token_code(decimals)).await;
        }
        let holders: Vec<_> = (0..holders).map(holder).collect();
        anvil.set_balances(&funded(&holders, "BNB")).await;
        for (symbol, token, _) in DECIMALS {
            let balances = funded(&holders, symbol);
            anvil.set_token_balances(token, &balances).await;
        }
        Self { anvil, holders }
    }

    /// What the node says when it is asked for each cell by itself.
    async fn amounts(&self, tag: &str) -> Amounts {
        let native = self.anvil.balances(&self.holders, tag).await;
        let mut columns = vec![("BNB", native)];
        for (symbol, token, _) in DECIMALS {
            let column = self.anvil.token_balances(token, &self.holders, tag).await;
            columns.push((symbol, column));
        }
        let mut amounts = Amounts::new();
        for (symbol, column) in columns {
            let zeros = column.iter().filter(|amount| amount.is_zero()).count();
            assert!(zeros > 0 && zeros < column.len(), "{symbol}: not a mix");
            for (holder, amount) in self.holders.iter().zip(column) {
                amounts.insert((format!("{holder:#x}"), symbol.to_owned()), amount);
            }
        }
        amounts
    }

    /// The product beside this node; `options` and `more` are lines of TOML.
    fn product(&self, options: &str, more: &str) -> Product {
        self.product_with(options, more, "56", &assets(DECIMALS))
    }

    fn product_with(&self, options: &str, more: &str, identity: &str, assets: &[Asset]) -> Product {
        let product = Product::new(&self.config(options, more, identity, assets));
        let lines: Vec<_> = self.holders.iter().map(Address::to_string).collect();
        product.write("holders.txt", lines.join("\n"));
        product
    }

    fn config(&self, options: &str, more: &str, identity: &str, assets: &[Asset]) -> Config {
        let assets: Vec<_> = assets
            .iter()
            .map(|(symbol, contract, decimals)| (*symbol, contract.as_deref(), *decimals))
            .collect();
        let chain = Chain {
            name: "bsc",
            network: "mainnet",
            identity: Some(identity),
            pool: &["node"],
            assets: &assets,
            list: Some("holders.txt"),
            more,
        };
        let options = format!("[providers.node.options]\n{options}");
        let config = Config::new().chain(&chain);
        config.provider("node", "bsc-rpc", &self.anvil.url, &options)
    }
}

/// An address that nobody chose.
fn holder(index: u64) -> Address {
    Address::from_slice(&keccak256(format!("holder {index}"))[12..])
}

/// About two of three holders with an amount: a few of the smallest unit, or of any size.
fn funded(holders: &[Address], symbol: &str) -> Vec<(Address, U256)> {
    let amount = |holder: &Address| {
        let seed = keccak256(format!("{symbol} of {holder:#x}"));
        let any = U256::from_be_bytes(seed.0);
        match (seed[0] % 3, symbol) {
            (0, _) => None,
            (1, _) => Some(U256::from(seed[1]) + U256::ONE),
            // All the ether that can ever be is far below 2^128; a token may hold any number.
            (_, "BNB") => Some(any >> 160),
            _ => Some(any >> usize::from(seed[1])),
        }
    };
    let amount = |holder: &Address| Some((*holder, amount(holder)?));
    holders.iter().filter_map(amount).collect()
}

fn assets(tokens: [(&'static str, Address, u8); 2]) -> [Asset; 3] {
    let [first, second] =
        tokens.map(|(symbol, token, decimals)| (symbol, Some(token.to_string()), decimals));
    [("BNB", None, 18), first, second]
}

fn scan(product: &Product, code: i32) -> Run {
    let run = product.run(&["scan", "--fresh", "--format", "json"]);
    run.expect(code)
}

fn cell_of(row: &Value) -> (String, String) {
    let text = |key: &str| row[key].as_str().expect("it is text").to_owned();
    (text("address").to_lowercase(), text("asset"))
}

/// Fails unless every cell has one row, known, with its amount.
#[track_caller]
fn assert_all_known(run: &Run, amounts: &Amounts) {
    let rows = run.rows();
    assert_eq!(rows.len(), amounts.len());
    let told: Amounts = rows.iter().map(|row| (cell_of(row), amount(row))).collect();
    assert_eq!(told.len(), amounts.len(), "a cell has two rows");
    for (cell, amount) in amounts {
        assert_eq!(told.get(cell), Some(amount), "{cell:?}");
    }
}

#[track_caller]
fn amount(row: &Value) -> U256 {
    assert_eq!(row["status"], "known", "{row}");
    let digits = row["amount"].as_str().expect("an amount is text");
    U256::from_str_radix(digits, 10).expect("an amount is a number")
}

/// Fails unless the cell of a row is unknown for this reason and has no amount.
#[track_caller]
fn assert_unknown(row: &Value, class: &str) {
    assert_eq!(row["status"], "unknown", "{row}");
    assert_eq!(row["error"]["class"], class, "{row}");
    assert_eq!(row.get("amount"), None, "{row}");
}

/// Fails unless the cells of `symbol` are unknown for this reason and all others right.
#[track_caller]
fn assert_unknown_are(symbol: &str, class: &str, run: &Run, amounts: &Amounts) {
    let rows = run.rows();
    assert_eq!(rows.len(), amounts.len());
    for row in &rows {
        match row["asset"] == symbol {
            true => assert_unknown(row, class),
            false => assert_eq!(Some(&amount(row)), amounts.get(&cell_of(row)), "{row}"),
        }
    }
}

#[tokio::test]
async fn two_thousand_addresses_are_read_as_the_node_has_them() {
    let node = Node::start(2_000).await;
    let amounts = node.amounts("latest").await;
    let product = node.product("", "");

    // With Multicall3: one state, so that each amount has its height.
    let run = scan(&product, 0);
    assert_all_known(&run, &amounts);
    let height = node.anvil.rpc("eth_blockNumber", json!([])).await;
    for row in run.rows() {
        let told = row["height"].as_u64().expect("it was one state");
        assert_eq!(json!(format!("{told:#x}")), height, "{row}");
        assert_eq!(row["provider"], "node");
    }

    // Without it: JSON-RPC batches, whose items may be of different blocks.
    node.anvil.set_code(MULTICALL3, &[]).await;
    let run = scan(&product, 0);
    assert_all_known(&run, &amounts);
    assert!(run.stderr.contains("no Multicall3 at"), "{}", run.stderr);
    assert!(run.rows().iter().all(|row| row["height"].is_null()));
}

#[tokio::test]
async fn small_calls_and_single_calls_read_the_same() {
    let node = Node::start(100).await;
    let amounts = node.amounts("latest").await;
    for options in [
        "batch = 7",
        "batch = 1",
        "multicall = 'off'",
        "multicall = 'off'\nrpc_batch = 5\nbatch = 40",
        "multicall = 'off'\nrpc_batch = 1",
    ] {
        assert_all_known(&scan(&node.product(options, ""), 0), &amounts);
    }
}

#[tokio::test]
async fn a_token_without_code_is_unknown_and_never_zero() {
    let node = Node::start(50).await;
    let amounts = node.amounts("latest").await;
    node.anvil.set_code(USDT, &[]).await;
    for options in ["", "multicall = 'off'", "multicall = 'off'\nrpc_batch = 1"] {
        let run = scan(&node.product(options, IMPATIENT), 3);
        assert_unknown_are("USDT", "refused", &run, &amounts);
        assert!(run.stdout.contains("no contract at"), "{}", run.stdout);
    }
}

#[tokio::test]
async fn decimals_that_the_chain_denies_make_their_asset_unknown() {
    let node = Node::start(50).await;
    let amounts = node.amounts("latest").await;
    let wrong = assets([("USDT", USDT, 18), ("USDC", USDC, 18)]);
    for options in ["", "multicall = 'off'", "multicall = 'off'\nrpc_batch = 1"] {
        let run = scan(&node.product_with(options, IMPATIENT, "56", &wrong), 3);
        assert_unknown_are("USDC", "decimals_mismatch", &run, &amounts);
    }
}

#[tokio::test]
async fn a_node_of_another_chain_is_held_and_tells_nothing() {
    let node = Node::start(50).await;
    let amounts = node.amounts("latest").await;
    let product = node.product_with("", IMPATIENT, "1", &assets(DECIMALS));
    let held = |run: &Run| {
        let rows = run.rows();
        assert_eq!(rows.len(), amounts.len());
        for row in &rows {
            assert_unknown(row, "wrong_chain");
            let told = &row["error"]["providers"][0];
            assert_eq!(told["class"], "wrong_chain", "{row}");
            let message = told["message"].as_str().expect("it is text");
            assert!(message.contains("it serves chain `56`"), "{row}");
        }
    };
    let run = scan(&product, 3);
    held(&run);
    assert!(
        run.stderr.contains("provider `node` is held"),
        "{}",
        run.stderr
    );
    // The hold outlives the process, so that the node is not asked again ...
    let run = scan(&product, 3);
    held(&run);
    assert!(
        !run.stderr.contains("provider `node` is held"),
        "{}",
        run.stderr
    );
    // ... until the configuration is mended.
    product.configure(&node.config("", "", "56", &assets(DECIMALS)));
    assert_all_known(&scan(&product, 0), &amounts);
}

#[tokio::test]
async fn finalized_amounts_are_those_of_the_finalized_block() {
    let node = Node::start_with(50, &["--slots-in-an-epoch", "1"]).await;
    node.anvil.rpc("anvil_mine", json!(["0x5"])).await;
    let richer = [
        (node.holders[0], U256::from(123)),
        (node.holders[1], U256::ZERO),
    ];
    node.anvil.set_balances(&richer).await;
    node.anvil.set_token_balances(USDT, &richer).await;
    node.anvil.rpc("anvil_mine", json!(["0x1"])).await;
    let finalized = node.amounts("finalized").await;
    let latest = node.amounts("latest").await;
    assert_ne!(finalized, latest);
    for options in ["", "multicall = 'off'", "multicall = 'off'\nrpc_batch = 1"] {
        let run = scan(&node.product(options, "commitment = 'finalized'"), 0);
        assert_all_known(&run, &finalized);
        assert!(
            run.rows()
                .iter()
                .all(|row| row["commitment"] == "finalized")
        );
        let run = scan(&node.product(options, "commitment = 'latest'"), 0);
        assert_all_known(&run, &latest);
    }
}
