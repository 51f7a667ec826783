//! Accounts of several keys: each key has a weight, and those that signed must weigh enough together.
//!
//! Source: oasis-sdk `runtime-sdk/src/crypto/multisig/mod.rs` @ 00da39c.

use state_core::cbor::{self, Fields, Value};
use thiserror::Error;

use crate::{
    keys::{Key, KeyError},
    layout::{OasisAddress, multisig_address},
};

/// Keys of one account. Source: sapphire-paratime `runtime/src/lib.rs`, `max_multisig_signers`.
pub const MAX_KEYS: usize = 8;

/// Why a list of keys is no account.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MultisigError {
    /// Nobody could sign for it, or everybody; or it is none.
    #[error("invalid config")]
    Invalid,
    /// There are more than [`MAX_KEYS`].
    #[error("multisig too many signers")]
    TooManyKeys,
    /// One of the keys is not taken.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Who may sign for an account together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multisig {
    keys: Vec<(Key, u64)>,
    threshold: u64,
}

impl Multisig {
    /// Reads `{signers: [{public_key, weight}], threshold}`.
    ///
    /// # Errors
    /// See [`MultisigError`].
    pub fn read(value: Value) -> Result<Self, MultisigError> {
        let mut fields = Fields::of(value).ok_or(MultisigError::Invalid)?;
        let Some(Value::Array(signers)) = fields.take("signers") else { return Err(MultisigError::Invalid) };
        let threshold = fields.take("threshold").and_then(|threshold| threshold.as_unsigned()).unwrap_or(0);
        if !fields.is_empty() || threshold == 0 {
            return Err(MultisigError::Invalid);
        }
        if signers.len() > MAX_KEYS {
            return Err(MultisigError::TooManyKeys);
        }
        let keys = signers.into_iter().map(weighted).collect::<Result<Vec<_>, _>>()?;
        let is_once = |at: usize| keys[..at].iter().all(|(other, _)| *other != keys[at].0);
        let weight = keys.iter().try_fold(0_u64, |sum, (_, weight)| sum.checked_add(*weight));
        let is_possible =
            weight.is_some_and(|weight| weight >= threshold) && keys.iter().all(|(_, weight)| *weight > 0);
        let is_sound = is_possible && (0..keys.len()).all(is_once);
        is_sound.then_some(Self { keys, threshold }).ok_or(MultisigError::Invalid)
    }

    /// How many keys there are, whoever of them signed.
    pub fn size(&self) -> usize {
        self.keys.len()
    }

    /// The account of whoever has enough of the keys.
    pub fn account(&self) -> OasisAddress {
        let signers = self
            .keys
            .iter()
            .map(|(key, weight)| Value::map([("public_key", key.value()), ("weight", Value::Unsigned(*weight))]));
        multisig_address(&cbor::encode(&Value::map([
            ("signers", Value::Array(signers.collect())),
            ("threshold", Value::Unsigned(self.threshold)),
        ])))
    }

    /// Whether a list of signatures, null where a key did not sign, is enough; one that is wrong spoils all.
    pub fn has_signed(&self, context: &[u8], body: &[u8], proof: Value) -> bool {
        let Value::Array(signatures) = proof else { return false };
        if signatures.len() != self.keys.len() {
            return false;
        }
        let mut weight = 0;
        for ((key, own), signature) in self.keys.iter().zip(signatures) {
            if signature.is_nothing() {
                continue;
            }
            let Some(signature) = signature.into_bytes() else { return false };
            if !key.has_signed(context, body, &signature) {
                return false;
            }
            // The sum of all of them was found to fit.
            weight += own;
        }
        weight >= self.threshold
    }
}

fn weighted(value: Value) -> Result<(Key, u64), MultisigError> {
    let mut fields = Fields::of(value).ok_or(MultisigError::Invalid)?;
    let key = Key::read(fields.take("public_key").ok_or(MultisigError::Invalid)?)?;
    let weight = fields.take("weight").and_then(|weight| weight.as_unsigned()).ok_or(MultisigError::Invalid)?;
    fields.is_empty().then_some((key, weight)).ok_or(MultisigError::Invalid)
}
