//! Lives of the chain: heights rise within one, and only a later one may lead to a lower height.

use super::{LightClient, Refusal, Trusted};
use crate::tree::Claim;

/// Key of what tells which blocks a later life voids. Source: `shared/rules/state_keys.py`.
const INCARNATION: &[u8] = b"\xF0incarnation";

impl LightClient {
    /// What a block of a life of the chain is verified against.
    pub(super) fn base_of(&self, incarnation: u32, items: &[Claim<'_>]) -> Result<Trusted, Refusal> {
        let known = &self.trusted;
        if incarnation < known.incarnation {
            return Err(Refusal::OldIncarnation { got: incarnation, seen: known.incarnation });
        }
        if incarnation == known.incarnation {
            return Ok(known.clone());
        }
        if !self.follows_rewinds {
            return Err(Refusal::RewindForbidden);
        }
        if !items.iter().any(|(key, _)| *key == INCARNATION) {
            return Err(Refusal::UnprovenRewind(incarnation));
        }
        // Blocks that were trusted are void, and so is a validator set that only they knew.
        Ok(Trusted { incarnation, ..self.first.clone() })
    }
}
