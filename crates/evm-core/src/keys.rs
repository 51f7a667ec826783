//! Public keys that sign transactions of the SDK's format.
//!
//! Source: oasis-sdk `runtime-sdk/src/crypto/signature/mod.rs`, `types/address.rs` @ 00da39c.

use alloy_primitives::{Address, keccak256};
use secp256k1::PublicKey;
use state_core::cbor::Value;
use thiserror::Error;

use crate::{
    crypto::{Scheme, verify_separated},
    layout::{OasisAddress, oasis_address, sr25519_address, staking_address},
};

/// How accounts name a secp256k1 key, whose address is Ethereum's.
const SECP256K1_ETH: &str = "secp256k1eth";
/// Longest name of a scheme that an error tells.
const MAX_NAME_BYTES: usize = 32;

/// Why a key is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is not one map of a scheme and a key of the scheme's length.
    #[error("malformed public key")]
    Malformed,
    /// No account belongs to a key of its scheme.
    #[error("keys of scheme {0} are not taken for an account; ed25519, secp256k1eth and sr25519 are")]
    NoAccount(String),
    /// Nobody here knows its scheme.
    #[error("keys of scheme {0} are not taken; ed25519, secp256k1, secp256r1, secp384r1 and sr25519 are")]
    UnknownScheme(String),
}

/// A public key that can sign: for its account, or as one of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Ed25519, as of consensus.
    Ed25519([u8; 32]),
    /// secp256k1, compressed, and the Ethereum address that follows from it.
    Secp256k1([u8; 33], Address),
    /// P-256, as SEC 1 writes points; has no account of its own.
    Secp256r1(Vec<u8>),
    /// P-384, as SEC 1 writes points; has no account of its own.
    Secp384r1(Vec<u8>),
    /// Schnorrkel over Ristretto, as of Polkadot.
    Sr25519([u8; 32]),
}

impl Key {
    /// Reads `{scheme: bytes}`, as modules and multisig accounts name keys.
    pub fn read(value: Value) -> Result<Self, KeyError> {
        let (name, key) = named(value)?;
        let scheme = Scheme::find(&name).ok_or_else(|| KeyError::UnknownScheme(shown(&name)))?;
        Self::of(scheme, key).ok_or(KeyError::Malformed)
    }

    /// Reads `{scheme: bytes}`, as signers name the key of an account; gives the account too.
    pub fn read_with_account(value: Value) -> Result<(Self, OasisAddress), KeyError> {
        let (name, key) = named(value)?;
        let scheme = match name.as_str() {
            "ed25519" => Scheme::Ed25519,
            SECP256K1_ETH => Scheme::Secp256k1,
            "sr25519" => Scheme::Sr25519,
            _ => return Err(KeyError::NoAccount(shown(&name))),
        };
        let key = Self::of(scheme, key).ok_or(KeyError::Malformed)?;
        let account = key.account().ok_or(KeyError::NoAccount(name))?;
        Ok((key, account))
    }

    fn of(scheme: Scheme, key: Vec<u8>) -> Option<Self> {
        Some(match scheme {
            Scheme::Ed25519 => Self::Ed25519(key.try_into().ok()?),
            Scheme::Secp256k1 => {
                let bytes: [u8; 33] = key.try_into().ok()?;
                let point = PublicKey::from_slice(&bytes).ok()?.serialize_uncompressed();
                Self::Secp256k1(bytes, Address::from_slice(&keccak256(&point[1..])[12..]))
            }
            Scheme::Secp256r1 => Self::Secp256r1(sec1(key, 32)?),
            Scheme::Secp384r1 => Self::Secp384r1(sec1(key, 48)?),
            Scheme::Sr25519 => Self::Sr25519(key.try_into().ok()?),
        })
    }

    /// `{scheme: bytes}`, as modules name keys.
    pub fn value(&self) -> Value {
        Value::map([(self.scheme().name(), Value::Bytes(self.bytes().to_vec()))])
    }

    /// The account of whoever has the key, where keys of its scheme have one.
    pub fn account(&self) -> Option<OasisAddress> {
        match self {
            Self::Ed25519(key) => Some(staking_address(key)),
            Self::Secp256k1(_, address) => Some(oasis_address(address)),
            Self::Sr25519(key) => Some(sr25519_address(key)),
            Self::Secp256r1(_) | Self::Secp384r1(_) => None,
        }
    }

    /// Its scheme.
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Ed25519(_) => Scheme::Ed25519,
            Self::Secp256k1(..) => Scheme::Secp256k1,
            Self::Secp256r1(_) => Scheme::Secp256r1,
            Self::Secp384r1(_) => Scheme::Secp384r1,
            Self::Sr25519(_) => Scheme::Sr25519,
        }
    }

    /// The key as it was named.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(key) | Self::Sr25519(key) => key,
            Self::Secp256k1(key, _) => key,
            Self::Secp256r1(key) | Self::Secp384r1(key) => key,
        }
    }

    /// Whether a signature of a message in a context is of this key.
    pub(crate) fn has_signed(&self, context: &[u8], body: &[u8], signature: &[u8]) -> bool {
        verify_separated(self.scheme(), self.bytes(), context, body, signature) == Ok(true)
    }
}

/// Name and bytes of the one entry of a map.
fn named(value: Value) -> Result<(String, Vec<u8>), KeyError> {
    let Value::Map(entries) = value else { return Err(KeyError::Malformed) };
    match <[(Value, Value); 1]>::try_from(entries) {
        Ok([(Value::Text(name), Value::Bytes(key))]) => Ok((name, key)),
        _ => Err(KeyError::Malformed),
    }
}

/// A name out of an untrusted transaction, as an error tells it.
fn shown(name: &str) -> String {
    let is_plain = name.len() <= MAX_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain { name.into() } else { "of another name".into() }
}

/// A point, compressed or not; `field` is the length of a coordinate [bytes].
fn sec1(point: Vec<u8>, field: usize) -> Option<Vec<u8>> {
    let is_point = match point.first()? {
        0x02 | 0x03 => point.len() == 1 + field,
        0x04 => point.len() == 1 + 2 * field,
        _ => false,
    };
    is_point.then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, key: &[u8]) -> Value {
        Value::map([(name, Value::Bytes(key.to_vec()))])
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let mut point = vec![2];
        point.extend([0x42; 48]);
        for (name, key) in [
            ("ed25519", vec![7; 32]),
            ("sr25519", vec![7; 32]),
            ("secp256r1", point[..33].to_vec()),
            ("secp384r1", point.clone()),
            ("secp256r1", [&[4], [7; 64].as_slice()].concat()),
        ] {
            assert_eq!(Key::read(value(name, &key)).unwrap().value(), value(name, &key));
            assert_eq!(Key::read(value(name, &key[1..])), Err(KeyError::Malformed), "{name}");
        }
    }

    #[test]
    fn a_scheme_without_accounts_is_named_in_the_refusal() {
        for name in ["secp256r1", "secp384r1", "secp256k1", "bls12381"] {
            let error = Key::read_with_account(value(name, &[2; 33])).unwrap_err();
            assert_eq!(error, KeyError::NoAccount(name.into()));
            assert!(error.to_string().starts_with(&format!("keys of scheme {name} are not taken")));
        }
        assert_eq!(Key::read(value("secp256k1eth", &[2; 33])), Err(KeyError::UnknownScheme("secp256k1eth".into())));
        let long = "x".repeat(1_000);
        assert!(Key::read(value(&long, &[])).unwrap_err().to_string().len() < 150);
    }

    #[test]
    fn what_is_no_single_key_is_malformed() {
        let two = Value::map([("ed25519", Value::Bytes(vec![7; 32])), ("sr25519", Value::Bytes(vec![7; 32]))]);
        for wrong in [two, Value::Null, Value::map([]), Value::map([("sr25519", Value::Null)])] {
            assert_eq!(Key::read(wrong.clone()), Err(KeyError::Malformed));
            assert_eq!(Key::read_with_account(wrong), Err(KeyError::Malformed));
        }
    }
}
