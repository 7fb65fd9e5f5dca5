//! Accounts and their data as a Solana node sends them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use solana_pubkey::Pubkey;

use crate::upstream::faults::Kind;
use crate::upstream::ledger::{Mint, TOKEN_2022_PROGRAM, TokenAccount};
use crate::upstream::rpc::{Raw, RpcError, quoted};

const SYSTEM_PROGRAM: Pubkey = Pubkey::new_from_array([0; 32]);
/// What keeps a token account and a mint alive.
pub(super) const TOKEN_ACCOUNT_RENT: u64 = 2_039_280;
const MINT_RENT: u64 = 1_461_600;

/// How an account's data is to be sent.
pub(super) struct Form {
    pub(super) encoding: Encoding,
    pub(super) slice: Option<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Base58,
    Base64,
    JsonParsed,
}

pub(super) struct Account {
    pub(super) lamports: u64,
    pub(super) owner: Pubkey,
    pub(super) data: Vec<u8>,
    /// What `jsonParsed` shows in the data's place.
    pub(super) parsed: Option<Raw>,
}

// === impl Form ===

impl Form {
    pub(super) fn of(options: Option<&Value>, usual: Encoding) -> Result<Self, RpcError> {
        let option = |name: &str| options.and_then(|options| options.get(name));
        let encoding = match option("encoding").and_then(Value::as_str) {
            None => usual,
            Some("base58") => Encoding::Base58,
            Some("base64") => Encoding::Base64,
            Some("jsonParsed") => Encoding::JsonParsed,
            Some(other) => {
                let message = format!("Invalid params: unknown variant `{other}`");
                return Err(RpcError::params(message));
            }
        };
        let slice = option("dataSlice").and_then(|slice| {
            let number = |name: &str| usize::try_from(slice.get(name)?.as_u64()?).ok();
            Some((number("offset")?, number("length")?))
        });
        Ok(Self { encoding, slice })
    }
}

// === impl Account ===

impl Account {
    pub(super) fn wallet(lamports: u64) -> Self {
        Self {
            lamports,
            owner: SYSTEM_PROGRAM,
            data: Vec::new(),
            parsed: None,
        }
    }

    pub(super) fn token(token: &TokenAccount, mint: &Mint) -> Self {
        let mut data = vec![0; 165];
        data[..32].copy_from_slice(token.mint.as_ref());
        data[32..64].copy_from_slice(token.owner.as_ref());
        data[64..72].copy_from_slice(&token.amount.to_le_bytes());
        data[108] = if token.frozen { 2 } else { 1 };
        let (program, extended) = match mint.program == TOKEN_2022_PROGRAM {
            true => ("spl-token-2022", true),
            false => ("spl-token", false),
        };
        if extended {
            // Account type 2, then the extension that associated accounts have: immutable owner.
            data.extend([2, 7, 0, 0, 0]);
        }
        let state = if token.frozen {
            "frozen"
        } else {
            "initialized"
        };
        let parsed = format!(
            r#"{{"program":"{program}","parsed":{{"info":{{"isNative":false,"mint":"{}","owner":"{}","state":"{state}","tokenAmount":{{"amount":"{}","decimals":{}}}}},"type":"account"}},"space":{}}}"#,
            token.mint,
            token.owner,
            token.amount,
            mint.decimals,
            data.len()
        );
        Self {
            lamports: TOKEN_ACCOUNT_RENT,
            owner: mint.program,
            data,
            parsed: Some(parsed),
        }
    }

    pub(super) fn mint(mint: &Mint, decimals: u8, supply: u64) -> Self {
        let mut data = vec![0; 82];
        data[36..44].copy_from_slice(&supply.to_le_bytes());
        data[44] = decimals;
        data[45] = 1;
        Self {
            lamports: MINT_RENT,
            owner: mint.program,
            data,
            parsed: None,
        }
    }

    pub(super) fn json(&self, form: &Form, fault: Option<&Kind>) -> Result<Raw, RpcError> {
        let space = self.data.len();
        let sliced = match form.slice {
            Some((offset, length)) => {
                let start = offset.min(space);
                &self.data[start..start.saturating_add(length).min(space)]
            }
            None => &self.data,
        };
        let data = match (form.encoding, &self.parsed) {
            (Encoding::JsonParsed, Some(parsed)) => parsed.clone(),
            (Encoding::Base58, _) if sliced.len() > 128 => {
                let message = "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.";
                return Err(RpcError::new(-32600, message));
            }
            (Encoding::Base58, _) => {
                format!(r#"["{}","base58"]"#, bitcoin::base58::encode(sliced))
            }
            _ if fault == Some(&Kind::NumberAsText) && space > 0 => quoted("1000000"),
            _ => format!(r#"["{}","base64"]"#, BASE64.encode(sliced)),
        };
        let fault = fault.filter(|_| self.owner == SYSTEM_PROGRAM);
        let lamports = lamports_json(self.lamports, fault);
        let owner = self.owner;
        Ok(format!(
            r#"{{"data":{data},"executable":false,"lamports":{lamports},"owner":"{owner}","rentEpoch":18446744073709551615,"space":{space}}}"#
        ))
    }
}

pub(super) fn lamports_json(lamports: u64, fault: Option<&Kind>) -> Raw {
    match fault {
        Some(Kind::NumberAsText) => quoted(&lamports.to_string()),
        Some(Kind::Huge) => "18446744073709551616".to_owned(),
        _ => lamports.to_string(),
    }
}
