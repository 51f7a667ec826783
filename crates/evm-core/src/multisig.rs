//! Accounts of several keys: each key has a weight, and those that signed must weigh enough together.
//!
//! Source: oasis-sdk `runtime-sdk/src/crypto/multisig/mod.rs` @ 00da39c.

use state_core::cbor::{self, Fields, Value};

use crate::{
    layout::{OasisAddress, multisig_address},
    sdk_transaction::Key,
};

/// Keys of one account. Source: sapphire-paratime `runtime/src/lib.rs`, `max_multisig_signers`.
pub const MAX_KEYS: usize = 8;

/// Who may sign for an account together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multisig {
    keys: Vec<(Key, u64)>,
    threshold: u64,
}

impl Multisig {
    /// Reads `{signers: [{public_key, weight}], threshold}`; None for one that nobody can sign for, or everybody.
    pub fn read(value: Value) -> Option<Self> {
        let mut fields = Fields::of(value)?;
        let Value::Array(signers) = fields.take("signers")? else { return None };
        let threshold = fields.take("threshold")?.as_unsigned()?;
        if !fields.is_empty() || threshold == 0 || signers.len() > MAX_KEYS {
            return None;
        }
        let keys = signers.into_iter().map(weighted).collect::<Option<Vec<_>>>()?;
        let is_once = |at: usize| keys[..at].iter().all(|(other, _)| *other != keys[at].0);
        let weight = keys.iter().try_fold(0_u64, |sum, (_, weight)| sum.checked_add(*weight))?;
        let is_possible = weight >= threshold && keys.iter().all(|(_, weight)| *weight > 0);
        (is_possible && (0..keys.len()).all(is_once)).then_some(Self { keys, threshold })
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

fn weighted(value: Value) -> Option<(Key, u64)> {
    let mut fields = Fields::of(value)?;
    let key = Key::read(fields.take("public_key")?, "secp256k1")?;
    let weight = fields.take("weight")?.as_unsigned()?;
    fields.is_empty().then_some((key, weight))
}
