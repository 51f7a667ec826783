//! The surroundings of one round: header facts and the secrets the key manager released for its epoch.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use state_core::store::{At, Root};
use zeroize::Zeroizing;

/// Everything about a round that is not a transaction. Made once a round and shared by its queries.
#[derive(Clone)]
pub struct Environment {
    /// The round being executed: parent + 1; for queries the latest + 1.
    pub round: u64,
    /// Root of the state that the round builds on, where it is known; then no other state is read.
    pub state_root: Option<Root>,
    /// Number contracts see: transactions run under the header of the parent round.
    pub parent_round: u64,
    /// Time contracts see [s since the Unix epoch].
    pub parent_timestamp: u64,
    /// Hash of round `parent_round - 1`, the newest hash that `BLOCKHASH` may show.
    pub grandparent_hash: B256,
    /// Consensus epoch of the round.
    pub epoch: u64,
    /// X25519 secrets by epoch: the current one and up to five older.
    pub call_keys: BTreeMap<u64, Zeroizing<[u8; 32]>>,
    /// Root of the round's randomness.
    pub rng_key: Zeroizing<[u8; 32]>,
    /// CBOR answer to `core.CallDataPublicKey`: `{epoch, public_key{key, checksum, signature, expiration}}`.
    pub call_data_public_key: Vec<u8>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Environment")
            .field("round", &self.round)
            .field("epoch", &self.epoch)
            .field("keys", &"<secret>")
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// The state that the round builds on; None for round 0, which builds on nothing.
    pub fn parent(&self) -> Option<At> {
        Some(At { version: self.round.checked_sub(1)?, root: self.state_root })
    }
}
