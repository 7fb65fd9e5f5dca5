//! A real EVM node: Anvil, from `.tools/`, on a port of 127.0.0.1.
//!
//! Multicall3 on it is the contract that was deployed on the real chains; the token is written
//! here, byte by byte ([`token_code`]), so that its balances are storage that a test sets.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use alloy::primitives::{Address, B256, U256, keccak256};
use serde_json::{Value, json};

/// Where Multicall3 is on every chain that has it.
pub const MULTICALL3: Address =
    alloy::primitives::address!("cA11bde05977b3631167028862bE2a173976CA11");

/// The file of an npm package that has the creation code of Multicall3 in it.
const CONTRACTS: &str = "node_modules/viem/constants/contracts.ts";
const HOW: &str = "run `make tools`, which puts it there";
/// Calls in one request; what is sent then fits every limit of a body.
const CALLS_MAX: usize = 500;

/// A running node; dropping it ends the process.
#[derive(Debug)]
pub struct Anvil {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    client: reqwest::Client,
    child: Child,
}

// === impl Anvil ===

impl Anvil {
    /// Starts a node that answers as chain `id`, with more `arguments`, and waits for its RPC.
    ///
    /// # Panics
    ///
    /// When there is no Anvil in `.tools/`, or it does not start.
    pub async fn start(id: u64, arguments: &[&str]) -> Self {
        let program = tools().join("bin/anvil");
        let shown = program.display();
        assert!(program.exists(), "there is no Anvil at `{shown}`; {HOW}");
        let mut child = Command::new(&program)
            .args(["--host", "127.0.0.1", "--port", "0", "--chain-id"])
            .arg(id.to_string())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start `{shown}`: {error}; {HOW}"));
        let stdout = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let url = lines.find_map(|line| {
            let address = line.strip_prefix("Listening on ")?;
            Some(format!("http://{}", address.trim()))
        });
        // A full pipe would stop the node.
        std::thread::spawn(move || lines.for_each(drop));
        let client = reqwest::Client::builder().no_proxy().build();
        let anvil = Self {
            url: url.unwrap_or_default(),
            client: client.expect("nothing of it can fail"),
            child,
        };
        assert_ne!(anvil.url, "", "`{shown}` ended before it listened");
        let told = anvil.rpc("eth_chainId", json!([])).await;
        assert_eq!(told, json!(format!("{id:#x}")));
        anvil
    }

    /// The result of one call.
    ///
    /// # Panics
    ///
    /// When the node answers with an error.
    pub async fn rpc(&self, method: &str, params: Value) -> Value {
        let mut results = self.rpc_all(&[(method, params)]).await;
        results.pop().expect("one call has one result")
    }

    /// The results of many calls, in their order.
    ///
    /// # Panics
    ///
    /// When the node answers one of them with an error, or not.
    pub async fn rpc_all(&self, calls: &[(&str, Value)]) -> Vec<Value> {
        let mut results = Vec::with_capacity(calls.len());
        for calls in calls.chunks(CALLS_MAX) {
            results.extend(self.batch(calls).await);
        }
        results
    }

    async fn batch(&self, calls: &[(&str, Value)]) -> Vec<Value> {
        let call = |(id, (method, params)): (usize, &(&str, Value))| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let body: Value = calls.iter().enumerate().map(call).collect();
        let request = self.client.post(&self.url);
        let request = request.header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await;
        let text = response.expect("the node listens").text().await;
        let text = text.expect("the node sends its whole answer");
        let replies: Vec<Value> = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: the node answered {text}"));
        let result = |(id, call): (usize, &(&str, Value))| {
            let reply = replies.iter().find(|reply| reply["id"] == json!(id));
            let result = reply.and_then(|reply| reply.get("result")).cloned();
            result.unwrap_or_else(|| panic!("{call:?} was answered with {reply:?}"))
        };
        calls.iter().enumerate().map(result).collect()
    }

    /// Puts code at an address; none removes the contract.
    pub async fn set_code(&self, address: Address, code: &[u8]) {
        let code = format!("0x{}", hex::encode(code));
        self.rpc("anvil_setCode", json!([text(address), code]))
            .await;
    }

    /// Puts the real Multicall3 at its address.
    ///
    /// # Panics
    ///
    /// When its code is not in `.tools/`.
    pub async fn deploy_multicall3(&self) {
        let path = tools().join(CONTRACTS);
        let shown = path.display();
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("failed to read `{shown}`: {error}; {HOW}"));
        let creation = text
            .split_once("multicall3Bytecode")
            .and_then(|(_, rest)| rest.split('\'').nth(1))
            .unwrap_or_else(|| panic!("`{shown}` has no code of Multicall3 in it"));
        // What a creation returns is the code that lives on the chain.
        let call = json!([{"data": creation}, "latest"]);
        let code = self.rpc("eth_call", call).await;
        let code = code.as_str().expect("data is text");
        let code = hex::decode(code.trim_start_matches("0x")).expect("data is hex");
        assert!(code.len() > 1_000, "the creation of Multicall3 failed");
        self.set_code(MULTICALL3, &code).await;
    }

    /// Sets native balances.
    pub async fn set_balances(&self, balances: &[(Address, U256)]) {
        let call = |(holder, amount): &(Address, U256)| {
            ("anvil_setBalance", json!([text(holder), text(amount)]))
        };
        let calls: Vec<_> = balances.iter().map(call).collect();
        self.rpc_all(&calls).await;
    }

    /// Sets balances in a token whose code is [`token_code`].
    pub async fn set_token_balances(&self, token: Address, balances: &[(Address, U256)]) {
        let call = |(holder, amount): &(Address, U256)| {
            let slot = keccak256([holder.into_word(), B256::ZERO].concat());
            let params = json!([text(token), text(slot), text(B256::from(*amount))]);
            ("anvil_setStorageAt", params)
        };
        let calls: Vec<_> = balances.iter().map(call).collect();
        self.rpc_all(&calls).await;
    }

    /// What the node says of native balances, each asked for by itself.
    pub async fn balances(&self, holders: &[Address], tag: &str) -> Vec<U256> {
        let call = |holder: &Address| ("eth_getBalance", json!([text(holder), tag]));
        let calls: Vec<_> = holders.iter().map(call).collect();
        self.rpc_all(&calls).await.iter().map(number).collect()
    }

    /// What the node says of balances in a token, each asked for by itself.
    pub async fn token_balances(
        &self,
        token: Address,
        holders: &[Address],
        tag: &str,
    ) -> Vec<U256> {
        let call = |holder: &Address| {
            let data = format!("0x70a08231{}", hex::encode(holder.into_word()));
            ("eth_call", json!([{"to": text(token), "data": data}, tag]))
        };
        let calls: Vec<_> = holders.iter().map(call).collect();
        self.rpc_all(&calls).await.iter().map(number).collect()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The code of a token with `balanceOf(address)` and `decimals()`; every other call reverts.
///
/// The balance of a holder lies where Solidity keeps the first mapping of a contract, in the slot
/// `keccak256(holder ‖ 0)`, 32 bytes each.
#[must_use]
pub fn token_code(decimals: u8) -> Vec<u8> {
    #[rustfmt::skip]
    let code = vec![
        // The selector: the first 4 bytes of the input.
        0x60, 0x00, 0x35,             // 00 PUSH1 0, CALLDATALOAD
        0x60, 0xe0, 0x1c,             // 03 PUSH1 224, SHR
        // balanceOf(address)?
        0x80,                         // 06 DUP1
        0x63, 0x70, 0xa0, 0x82, 0x31, // 07 PUSH4 its selector
        0x14, 0x60, 0x1e, 0x57,       // 0c EQ, PUSH1 30, JUMPI
        // decimals()?
        0x63, 0x31, 0x3c, 0xe5, 0x67, // 10 PUSH4 its selector
        0x14, 0x60, 0x2e, 0x57,       // 15 EQ, PUSH1 46, JUMPI
        0x60, 0x00, 0x60, 0x00, 0xfd, // 19 PUSH1 0, PUSH1 0, REVERT
        // Memory is `holder ‖ 0`; its hash is the slot; the slot's word is the answer.
        0x5b,                         // 1e JUMPDEST
        0x60, 0x04, 0x35,             // 1f PUSH1 4, CALLDATALOAD
        0x60, 0x00, 0x52,             // 22 PUSH1 0, MSTORE
        0x60, 0x40, 0x60, 0x00, 0x20, // 25 PUSH1 64, PUSH1 0, KECCAK256
        0x54,                         // 2a SLOAD
        0x60, 0x31, 0x56,             // 2b PUSH1 49, JUMP
        // The decimals are the answer.
        0x5b,                         // 2e JUMPDEST
        0x60, decimals,               // 2f PUSH1 decimals
        // Returns the word on the stack.
        0x5b,                         // 31 JUMPDEST
        0x60, 0x00, 0x52,             // 32 PUSH1 0, MSTORE
        0x60, 0x20, 0x60, 0x00, 0xf3, // 35 PUSH1 32, PUSH1 0, RETURN
    ];
    code
}

/// A number, address or word as the node reads it.
fn text(value: impl std::fmt::LowerHex) -> String {
    format!("{value:#x}")
}

/// A quantity or a word of the node's.
fn number(told: &Value) -> U256 {
    let digits = told.as_str().and_then(|told| told.strip_prefix("0x"));
    let number = digits.filter(|digits| !digits.is_empty());
    let number = number.and_then(|digits| U256::from_str_radix(digits, 16).ok());
    number.unwrap_or_else(|| panic!("the node answered {told} for a number"))
}

fn tools() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools"))
}
