//! Records of the module: apps, registered instances, and which key speaks for which.
//!
//! | key | value |
//! |---|---|
//! | `09 01 ‖ app (21)` | `AppConfig`, CBOR as queries answer it |
//! | `09 02 ‖ app (21) ‖ key (32)` | `Registration` of an instance, by its attestation key, CBOR as queries answer it |
//! | `09 03 ‖ key (32)` | `[app, node, attestation key or null, expiration]` of a key that speaks for an instance |
//! | `09 04 ‖ epoch (8) ‖ app (21) ‖ key (32)` | 01: that instance ends with that epoch |
//!
//! A key is told by SHA-512/256 over its kind and itself, or the Ethereum address where it is of secp256k1: of who sent
//! an Ethereum transaction no more is known.

use state_core::cbor::{self, Value};

use crate::{context::OriginKey, crypto::sha512_256, failure::EngineError, keys::Key, layout::OasisAddress};
use state_core::errors::StateError;

const MODULE: u8 = 0x09;
/// What the keys of all apps begin with.
pub(crate) const APPS: &[u8] = &[MODULE, 0x01];
const REGISTRATIONS: u8 = 0x02;
const ENDORSED: u8 = 0x03;
/// What the keys of all ends begin with.
pub(crate) const ENDS: &[u8] = &[MODULE, 0x04];

/// Digest by which a key is found.
pub(super) type KeyId = [u8; 32];

/// Digest of a key.
pub(super) fn key_id(key: &Key) -> KeyId {
    match key {
        Key::Secp256k1(_, address) => sha512_256(&[b"secp256k1eth", address.as_slice()]),
        other => sha512_256(&[other.scheme().name().as_bytes(), other.bytes()]),
    }
}

/// Digest of a key that signed.
pub(super) fn origin_id(key: &OriginKey) -> KeyId {
    match key {
        OriginKey::Known(key) => key_id(key),
        OriginKey::Ethereum(address) => sha512_256(&[b"secp256k1eth", address.as_slice()]),
        OriginKey::Multisig(account) => sha512_256(&[b"multisig", account.as_slice()]),
    }
}

pub(crate) fn app_key(app: &OasisAddress) -> Vec<u8> {
    [APPS, app.as_slice()].concat()
}

pub(crate) fn registrations_prefix(app: &OasisAddress) -> Vec<u8> {
    [[MODULE, REGISTRATIONS].as_slice(), app.as_slice()].concat()
}

pub(super) fn registration_key(app: &OasisAddress, key: &KeyId) -> Vec<u8> {
    [registrations_prefix(app).as_slice(), key.as_slice()].concat()
}

pub(super) fn endorsed_key(key: &KeyId) -> Vec<u8> {
    [[MODULE, ENDORSED].as_slice(), key.as_slice()].concat()
}

pub(super) fn end_key(epoch: u64, app: &OasisAddress, key: &KeyId) -> Vec<u8> {
    [ENDS, epoch.to_be_bytes().as_slice(), app.as_slice(), key.as_slice()].concat()
}

/// Epoch, app and key of an end.
pub(super) fn read_end(key: &[u8]) -> Option<(u64, OasisAddress, KeyId)> {
    let rest = key.strip_prefix(ENDS)?;
    let (epoch, rest) = rest.split_first_chunk::<8>()?;
    let (app, key) = rest.split_first_chunk::<21>()?;
    Some((u64::from_be_bytes(*epoch), *app, key.try_into().ok()?))
}

/// For whom a key speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endorsed {
    pub app: OasisAddress,
    pub node: [u8; 32],
    /// Attestation key of the instance, where this is another key of it.
    pub rak: Option<[u8; 32]>,
    pub expiration: u64,
}

impl Endorsed {
    pub(super) fn encode(&self) -> Vec<u8> {
        cbor::encode(&Value::Array(vec![
            Value::Bytes(self.app.to_vec()),
            Value::Bytes(self.node.to_vec()),
            self.rak.map_or(Value::Null, |rak| Value::Bytes(rak.to_vec())),
            Value::Unsigned(self.expiration),
        ]))
    }

    pub(super) fn decode(record: &[u8]) -> Result<Self, EngineError> {
        let read = || {
            let Value::Array(parts) = cbor::decode(record).ok()? else { return None };
            let [app, node, rak, expiration] = <[Value; 4]>::try_from(parts).ok()?;
            let rak = if rak.is_nothing() { None } else { Some(rak.into_bytes()?.try_into().ok()?) };
            Some(Self {
                app: app.into_bytes()?.try_into().ok()?,
                node: node.into_bytes()?.try_into().ok()?,
                rak,
                expiration: expiration.as_unsigned()?,
            })
        };
        read().ok_or_else(|| corrupt("an endorsed key"))
    }
}

pub(super) fn corrupt(what: &str) -> EngineError {
    StateError::Corrupt(what.into()).into()
}
