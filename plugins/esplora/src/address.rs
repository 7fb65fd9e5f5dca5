//! Addresses of the Bitcoin networks.

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network, bech32};
use scanhost_plugin_api::Error;

/// The networks under the names that the configuration has for them.
const NETWORKS: [(&str, Network); 5] = [
    ("mainnet", Network::Bitcoin),
    ("testnet", Network::Testnet),
    ("testnet4", Network::Testnet4),
    ("signet", Network::Signet),
    ("regtest", Network::Regtest),
];

/// The network of that name.
pub(crate) fn network(name: &str) -> Result<Network, Error> {
    let known = NETWORKS.iter().find(|(known, _)| *known == name);
    known.map(|(_, network)| *network).ok_or_else(|| {
        let known = NETWORKS.map(|(name, _)| name).join(", ");
        Error::unsupported(format!(
            "`{name}` is not a Bitcoin network; use one of {known}"
        ))
    })
}

/// The name of that network.
pub(crate) fn name_of(network: Network) -> &'static str {
    let known = NETWORKS.iter().find(|(_, known)| *known == network);
    known.map_or("another", |(name, _)| name)
}

/// The canonical form: bech32 in lower case, base58 as it is.
///
/// Test networks share prefixes: testnet, testnet4 and signet cannot be told apart, nor regtest
/// from them in base58.
pub(crate) fn canonical(address: &str, network: Network) -> Result<String, Error> {
    let parsed: Address<NetworkUnchecked> = address
        .parse()
        .map_err(|error| Error::invalid_address(reason(address, &error)))?;
    if !parsed.is_valid_for_network(network) {
        let names = |fits: &dyn Fn(Network) -> bool| {
            let fitting = NETWORKS.iter().filter(|(_, network)| fits(*network));
            fitting.map(|(name, _)| *name).collect::<Vec<_>>().join("/")
        };
        return Err(Error::invalid_address(format!(
            "an address of {}, but the chain's network is {}",
            names(&|other| parsed.is_valid_for_network(other)),
            names(&|other| other == network),
        )));
    }
    Ok(parsed.assume_checked().to_string())
}

/// Why it is no address. What begins like bech32 is not judged as base58, which the parser does.
fn reason(address: &str, error: &dyn std::error::Error) -> String {
    let lower = address.to_ascii_lowercase();
    let bech32 = ["bc1", "tb1", "bcrt1"]
        .iter()
        .any(|prefix| lower.starts_with(prefix));
    match bech32::segwit::decode(address) {
        Err(error) if bech32 => format!("not a bech32 address: {}", causes(&error)),
        _ => format!("not a Bitcoin address: {}", causes(error)),
    }
}

/// The error and its causes on one line; the `bitcoin` crate prints one level only.
fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use scanhost_plugin_api::ErrorKind;

    use super::*;

    const P2PKH: &str = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
    const P2SH: &str = "3P14159f73E4gFr7JterCCQh9QjiTjiZrG";
    // From BIP 173 and BIP 350.
    const P2WPKH: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    const P2WSH: &str = "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3";
    const P2TR: &str = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0";
    const TESTNET: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
    const TESTNET_P2PKH: &str = "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn";
    const REGTEST: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    #[test]
    fn an_address_has_one_canonical_form() {
        #[track_caller]
        fn check(name: &str, address: &str, expected: &str) {
            let canonical = canonical(address, network(name).unwrap()).unwrap();
            assert_eq!(canonical, expected, "{name}");
        }
        for address in [P2PKH, P2SH, P2WPKH, P2WSH, P2TR] {
            check("mainnet", address, address);
        }
        check("mainnet", &P2WPKH.to_uppercase(), P2WPKH);
        check("mainnet", &P2TR.to_uppercase(), P2TR);
        for name in ["testnet", "testnet4", "signet"] {
            check(name, TESTNET, TESTNET);
            check(name, TESTNET_P2PKH, TESTNET_P2PKH);
        }
        check("regtest", REGTEST, REGTEST);
        check("regtest", &REGTEST.to_uppercase(), REGTEST);
        check("regtest", TESTNET_P2PKH, TESTNET_P2PKH);
    }

    #[test]
    fn an_address_of_another_network_is_told_with_both() {
        #[track_caller]
        fn check(name: &str, address: &str, expected: &str) {
            let error = canonical(address, network(name).unwrap()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidAddress);
            assert_eq!(
                error.message,
                format!("an address of {expected}, but the chain's network is {name}")
            );
        }
        check("mainnet", TESTNET, "testnet/testnet4/signet");
        check("mainnet", TESTNET_P2PKH, "testnet/testnet4/signet/regtest");
        check("mainnet", REGTEST, "regtest");
        for name in ["testnet", "testnet4", "signet", "regtest"] {
            for address in [P2PKH, P2SH, P2WPKH, P2TR] {
                check(name, address, "mainnet");
            }
        }
        check("signet", REGTEST, "regtest");
        check("regtest", TESTNET, "testnet/testnet4/signet");
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        #[track_caller]
        fn check(address: &str, expected: &str) {
            let error = canonical(address, Network::Bitcoin).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidAddress);
            assert!(error.message.starts_with(expected), "{}", error.message);
        }
        check("", "not a Bitcoin address: ");
        check("hello", "not a Bitcoin address: ");
        check(
            "0x0000000000000000000000000000000000000000",
            "not a Bitcoin address: ",
        );
        check(&format!(" {P2PKH}"), "not a Bitcoin address: ");
        check(
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
            "not a Bitcoin address: ",
        );
        check(&P2PKH.to_lowercase(), "not a Bitcoin address: ");
        check(
            "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
            "not a Bitcoin address: ",
        );
        check(
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "not a bech32 address: ",
        );
        check(
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3",
            "not a bech32 address: ",
        );
        // Mixed case.
        check(
            "bc1Qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "not a bech32 address: ",
        );
        check(
            "BC1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "not a bech32 address: ",
        );
        // Versions 16 and 1 with the checksum that BIP 350 took from them.
        check("BC1SW50QA3JX3S", "not a bech32 address: ");
        check(
            "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
            "not a bech32",
        );
        check(&"1".repeat(5000), "not a Bitcoin address: ");
        check("bc1q\u{e9}", "not a bech32 address: ");
    }

    #[test]
    fn a_network_that_bitcoin_lacks_is_refused() {
        let error = network("devnet").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains("testnet4"), "{}", error.message);
        network("Mainnet").unwrap_err();
    }
}
