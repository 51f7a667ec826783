//! What the module of attested apps needs of the enclave around the engine.

use zeroize::Zeroizing;

use crate::failure::HostError;

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
