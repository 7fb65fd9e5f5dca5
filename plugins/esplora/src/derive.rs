//! Addresses of public keys.
//!
//! Understood are extended keys alone (`xpub` by BIP 44, `ypub` by BIP 49, `zpub` by BIP 84, and
//! those of test networks) and the descriptors `pkh`, `wpkh`, `sh(wpkh)` and `tr` of one key.
//! Sources: BIP 32, 44, 49, 84, 86, 380 to 382, 386, 389; SLIP-132.

mod checksum;
mod descriptor;

use bitcoin::address::KnownHrp;
use bitcoin::bip32::Xpub;
use bitcoin::secp256k1::{Secp256k1, Verification};
use bitcoin::{Address, CompressedPublicKey, Network};
use scanhost_keys::{Children, ExtendedKey, Purpose, refuse_private};
use scanhost_plugin_api::{Derive, Derived, DerivedAddress, Error, ErrorKind};

use self::descriptor::Descriptor;
use crate::address::name_of;

/// What is paid to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Pkh,
    Wpkh,
    ShWpkh,
    Tr,
}

/// One branch of a key.
struct Branch {
    script: Script,
    /// From the master key, where it is told: `m/84'/0'/0'`.
    origin: Option<String>,
    key: ExtendedKey,
    steps: Vec<u32>,
    /// How many branches there are.
    of: u32,
}

/// The addresses of one branch.
pub(crate) fn derive(request: &Derive, network: Network) -> Result<Derived, Error> {
    refuse_private(&request.key)?;
    let branch = match request.key.contains('(') {
        true => Descriptor::parse(&request.key)?.branch(request.branch)?,
        false => of_key(&request.key, request.branch)?,
    };
    let is_main = network == Network::Bitcoin;
    if branch.key.is_main != is_main {
        return Err(invalid(format!(
            "a key of {} ({}), but the chain's network is {}",
            if is_main { "a test network" } else { "mainnet" },
            branch.key.name,
            name_of(network),
        )));
    }
    let children = Children::below(&branch.key.key, &branch.steps)?;
    let address = |index| {
        let key = children.get(index)?;
        Ok(DerivedAddress {
            address: address(branch.script, children.context(), &key, network).to_string(),
            path: branch.path(index),
        })
    };
    Ok(Derived {
        branches: branch.of,
        addresses: request
            .indices
            .clone()
            .map(address)
            .collect::<Result<_, Error>>()?,
    })
}

impl Branch {
    fn path(&self, index: u32) -> String {
        let origin = self.origin.iter().cloned();
        let steps = self.steps.iter().chain([&index]).map(u32::to_string);
        origin.chain(steps).collect::<Vec<_>>().join("/")
    }
}

/// A key alone is an account's: what it receives on is below 0, its change below 1.
fn of_key(text: &str, branch: u32) -> Result<Branch, Error> {
    const BRANCHES: u32 = 2;
    let key = ExtendedKey::parse(text.trim())?;
    if branch >= BRANCHES {
        return Err(no_branch(branch, BRANCHES));
    }
    Ok(Branch {
        script: match key.purpose {
            Purpose::Plain => Script::Pkh,
            Purpose::NestedSegwit => Script::ShWpkh,
            Purpose::Segwit => Script::Wpkh,
            Purpose::Shared => {
                return Err(invalid(format!(
                    "an {} is one key of several, which alone has no addresses",
                    key.name
                )));
            }
        },
        origin: None,
        key,
        steps: vec![branch],
        of: BRANCHES,
    })
}

fn address(
    script: Script,
    context: &Secp256k1<impl Verification>,
    key: &Xpub,
    network: Network,
) -> Address {
    let public = CompressedPublicKey(key.public_key);
    match script {
        Script::Pkh => Address::p2pkh(public, network),
        Script::Wpkh => Address::p2wpkh(&public, KnownHrp::from(network)),
        Script::ShWpkh => Address::p2shwpkh(&public, network),
        Script::Tr => {
            let internal = key.to_x_only_pub();
            Address::p2tr(context, internal, None, KnownHrp::from(network))
        }
    }
}

fn no_branch(branch: u32, of: u32) -> Error {
    invalid(match of {
        1 => format!("the key has one branch, which is 0; there is no branch {branch}"),
        of => format!("the key has {of} branches, from 0; there is no branch {branch}"),
    })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidKey, message)
}

#[cfg(test)]
mod tests;
