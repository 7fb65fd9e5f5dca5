//! What a request asks for, before anything is answered.

use serde::{Deserialize, Serialize};

/// The calls of one request: one, or the items of a JSON-RPC batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Never empty for a request that a host understood.
    pub calls: Vec<Call>,
}

/// One call and the cells that it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// JSON-RPC method, Etherscan action, or the path below the host's name.
    pub method: String,
    /// In the order asked.
    pub cells: Vec<Cell>,
}

/// One thing that a call reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// What kind of thing.
    pub class: CellClass,
    /// The token's contract, where the call names it; a Solana account is of one mint anyway.
    pub contract: Option<String>,
    /// The address as asked; on Solana, that of the account; empty where there is none.
    pub address: String,
}

/// The kinds of things that a call reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellClass {
    /// A balance of the native coin.
    Native,
    /// A balance of a token.
    Token,
    /// A canary, decimals, a symbol, a mint.
    Other,
}

// === impl Asked ===

impl Asked {
    /// Number of balances asked for; canaries and the like do not count.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.count(CellClass::Native) + self.count(CellClass::Token)
    }

    /// Number of cells of one class.
    #[must_use]
    pub fn count(&self, class: CellClass) -> usize {
        let cells = self.calls.iter().flat_map(|call| &call.cells);
        cells.filter(|cell| cell.class == class).count()
    }

    /// The methods asked, each once, in order, joined by `+`.
    #[must_use]
    pub fn methods(&self) -> String {
        let mut methods: Vec<&str> = Vec::new();
        for call in &self.calls {
            if !methods.contains(&call.method.as_str()) {
                methods.push(&call.method);
            }
        }
        methods.join("+")
    }
}

// === impl Call ===

impl Call {
    /// A call that reads no cell.
    #[must_use]
    pub fn bare(method: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            cells: Vec::new(),
        }
    }
}

// === impl Cell ===

impl Cell {
    /// A cell.
    #[must_use]
    pub fn new(class: CellClass, address: impl Into<String>) -> Self {
        Self {
            class,
            contract: None,
            address: address.into(),
        }
    }

    /// The same of this token.
    #[must_use]
    pub fn of(mut self, contract: impl Into<String>) -> Self {
        self.contract = Some(contract.into());
        self
    }
}
