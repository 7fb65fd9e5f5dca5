//! The answers of the API, read strictly.

use scanhost_plugin_api::{Error, Response};
use serde::Deserialize;

/// All satoshis that there can ever be.
const MAX_MONEY: u64 = 21_000_000 * 100_000_000;

/// The answer to `GET /address/:address`.
#[derive(Debug, Deserialize)]
pub(crate) struct AddressStats {
    address: String,
    chain_stats: Stats,
    mempool_stats: Stats,
}

/// An answer without every count is not what the API promises.
#[derive(Debug, Deserialize)]
struct Stats {
    tx_count: u64,
    funded_txo_count: u64,
    funded_txo_sum: u64,
    spent_txo_count: u64,
    spent_txo_sum: u64,
}

/// What an address holds, in satoshis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Balance {
    /// In blocks.
    pub(crate) confirmed: u64,
    /// More, or less, once the mempool is in blocks.
    pub(crate) pending: i128,
    /// There is a transaction with the address.
    pub(crate) used: bool,
}

impl AddressStats {
    /// The balance of `asked`; the answer must name it.
    pub(crate) fn balance(&self, asked: &str) -> Result<Balance, Error> {
        if self.address != asked {
            return Err(Error::malformed(format!(
                "asked for {asked}, answered for another address"
            )));
        }
        self.chain_stats.check()?;
        self.mempool_stats.check()?;
        let Stats {
            funded_txo_sum,
            spent_txo_sum,
            ..
        } = self.chain_stats;
        let confirmed = funded_txo_sum.checked_sub(spent_txo_sum).ok_or_else(|| {
            Error::malformed(format!(
                "more spent than received: {spent_txo_sum} of {funded_txo_sum} satoshis"
            ))
        })?;
        if confirmed > MAX_MONEY {
            return Err(Error::malformed(format!(
                "{confirmed} satoshis are more than there can be"
            )));
        }
        let mempool = &self.mempool_stats;
        Ok(Balance {
            confirmed,
            pending: i128::from(mempool.funded_txo_sum) - i128::from(mempool.spent_txo_sum),
            used: self.chain_stats.tx_count > 0 || mempool.tx_count > 0,
        })
    }
}

impl Stats {
    /// Coins come and go many times, but no single output holds more than all that there are.
    fn check(&self) -> Result<(), Error> {
        for (count, sum) in [
            (self.funded_txo_count, self.funded_txo_sum),
            (self.spent_txo_count, self.spent_txo_sum),
        ] {
            if u128::from(sum) > u128::from(count) * u128::from(MAX_MONEY) {
                let message = format!("{sum} satoshis in {count} outputs cannot be");
                return Err(Error::malformed(message));
            }
        }
        Ok(())
    }
}

/// A block's height: digits only.
pub(crate) fn height(response: &Response) -> Result<u64, Error> {
    let text = response.text()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let height = digits.then(|| text.parse().ok()).flatten();
    height.ok_or_else(|| Error::malformed(format!("not a block height: {}", response.quote())))
}

/// A block's hash as text: 64 hex digits in lower case.
pub(crate) fn block_hash(response: &Response) -> Result<&str, Error> {
    let text = response.text()?;
    let hex = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if hex && text.len() == 64 {
        return Ok(text);
    }
    Err(Error::malformed(format!(
        "not a block hash: {}",
        response.quote()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> Response {
        Response {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    #[test]
    fn a_height_is_digits() {
        assert_eq!(height(&text("923456")).unwrap(), 923_456);
        assert_eq!(height(&text("0\n")).unwrap(), 0);
        for bad in [
            "",
            "-1",
            "+1",
            "1.0",
            "1e3",
            "0x1",
            "\"1\"",
            "null",
            "99999999999999999999",
        ] {
            assert!(
                height(&text(bad)).is_err(),
                "{bad:?} was taken for a height"
            );
        }
    }

    #[test]
    fn a_hash_is_64_hex_digits_in_lower_case() {
        let hash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
        assert_eq!(block_hash(&text(hash)).unwrap(), hash);
        let upper = hash.to_uppercase();
        let long = format!("{hash}0");
        let quoted = format!("\"{hash}\"");
        for bad in [
            "",
            "{}",
            "Block not found",
            &hash[1..],
            &long,
            &upper,
            &quoted,
        ] {
            assert!(
                block_hash(&text(bad)).is_err(),
                "{bad:?} was taken for a hash"
            );
        }
    }
}
