//! What the module of attested apps needs of the enclave around the engine.

use zeroize::Zeroizing;

use crate::failure::HostError;
use state_core::cbor::{self, Value};

/// A key pair of the key manager.
pub struct KeyPair {
    /// Entropy.
    pub state_key: Zeroizing<[u8; 32]>,
    /// X25519 secret.
    pub secret: Zeroizing<[u8; 32]>,
}

/// Keys, and the judgement of evidence. Equal questions get equal answers on every replica.
pub trait AttestedHost: Send + Sync {
    /// The long-term pair of these names.
    fn key_pair(&self, names: &[&[u8]]) -> Result<KeyPair, HostError>;

    /// Judges an enclave that wants to register: CBOR `{capability, node_id, policy, proof, epoch, now}` gives
    /// `{code}`, which is 0 or the module's refusal, and `{entity_id}` of a registered node.
    fn judge(&self, question: &[u8]) -> Result<Vec<u8>, HostError>;
}

/// Stands before the enclave in questions, which anybody asks for nothing: no key is fetched, and nobody judged.
pub(crate) struct Pretended;

impl AttestedHost for Pretended {
    fn key_pair(&self, _: &[&[u8]]) -> Result<KeyPair, HostError> {
        Ok(KeyPair { state_key: Zeroizing::new([0; 32]), secret: Zeroizing::new([0; 32]) })
    }

    fn judge(&self, _: &[u8]) -> Result<Vec<u8>, HostError> {
        Ok(cbor::encode(&Value::map([("code", Value::Unsigned(1))])))
    }
}
