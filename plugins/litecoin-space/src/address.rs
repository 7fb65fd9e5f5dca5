//! Addresses of the Litecoin networks.

use bitcoin::base58;
use bitcoin::bech32::{self, Hrp};
use scanhost_plugin_api::Error;

/// The prefixes of a network.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Network {
    name: &'static str,
    /// Pay to a key's hash.
    key: u8,
    /// Pay to a script's hash; the second is the one that Bitcoin has as well, which old wallets
    /// still show.
    script: [u8; 2],
    segwit: &'static str,
}

const NETWORKS: [Network; 2] = [
    Network {
        name: "mainnet",
        key: 48,
        script: [50, 5],
        segwit: "ltc",
    },
    Network {
        name: "testnet",
        key: 111,
        script: [58, 196],
        segwit: "tltc",
    },
];
/// A version and a hash.
const BASE58: usize = 21;

/// The network of that name.
pub(crate) fn network(name: &str) -> Result<&'static Network, Error> {
    NETWORKS.iter().find(|it| it.name == name).ok_or_else(|| {
        let known = NETWORKS.map(|it| it.name).join(", ");
        Error::unsupported(format!(
            "`{name}` is not a Litecoin network; use one of {known}"
        ))
    })
}

/// The canonical form: bech32 in lower case, base58 with the network's newer prefix for scripts.
pub(crate) fn canonical(address: &str, network: &Network) -> Result<String, Error> {
    let Network { segwit, name, .. } = network;
    let lower = address.to_ascii_lowercase();
    let human = lower.rsplit_once('1').map(|(human, _)| human);
    if NETWORKS.iter().any(|it| human == Some(it.segwit)) {
        let (hrp, version, program) = bech32::segwit::decode(address)
            .map_err(|error| Error::invalid_address(format!("not a bech32 address: {error}")))?;
        if hrp != Hrp::parse_unchecked(segwit) {
            return Err(elsewhere(name));
        }
        return bech32::segwit::encode(hrp, version, &program)
            .map_err(|error| Error::invalid_address(error.to_string()));
    }
    let mut bytes = base58::decode_check(address)
        .map_err(|error| Error::invalid_address(format!("not a Litecoin address: {error}")))?;
    if bytes.len() != BASE58 {
        return Err(Error::invalid_address("not a Litecoin address: its length"));
    }
    if network.script.contains(&bytes[0]) {
        bytes[0] = network.script[0];
    } else if bytes[0] != network.key {
        return Err(elsewhere(name));
    }
    Ok(base58::encode_check(&bytes))
}

fn elsewhere(network: &str) -> Error {
    Error::invalid_address(format!(
        "an address of another network or chain than Litecoin's {network}"
    ))
}
