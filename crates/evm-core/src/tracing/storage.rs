//! What an account keeps, slot by slot, for debuggers that show variables of contracts.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};

use super::{too_large, write_json};
use crate::{database::StateDatabase, failure::EngineError};

/// Slots of an account of which a part is shown: all are opened for it, since the order is that of their hashes.
const MAX_SLOTS: usize = 1 << 16;
/// Slots that are shown at once.
const MAX_SHOWN: usize = 1024;

/// Which part of an account's storage is wanted.
#[derive(Clone, Debug, Deserialize)]
pub struct StorageRange {
    address: Address,
    /// Hash of a slot's number: the first that is shown is not below it.
    start: B256,
    /// How many slots.
    limit: usize,
}

/// A part of a storage. Source: go-ethereum `eth/api_debug.go` (`StorageRangeResult`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    /// By the hash of the slot's number.
    storage: BTreeMap<B256, Entry>,
    /// Where to go on; None at the end.
    next_key: Option<B256>,
}

#[derive(Serialize)]
struct Entry {
    key: B256,
    value: B256,
}

impl StorageRange {
    /// Reads the part, as JSON of at most `limit_bytes`.
    ///
    /// # Errors
    /// `trace` 3: the account has more slots than are opened for a question, or the answer is too long.
    pub fn read(&self, database: &StateDatabase<'_>, limit_bytes: usize) -> Result<Vec<u8>, EngineError> {
        let slots = database
            .slots(&self.address, MAX_SLOTS)?
            .ok_or_else(|| too_large(format!("the account has over {MAX_SLOTS} slots: ask for single ones")))?;
        let entry = |(slot, value): (_, _)| {
            let key = B256::from(slot);
            (keccak256(key), Entry { key, value: B256::from(value) })
        };
        let mut storage: BTreeMap<B256, Entry> =
            slots.into_iter().map(entry).collect::<BTreeMap<_, _>>().split_off(&self.start);
        let next_key = storage.keys().nth(self.limit.min(MAX_SHOWN)).copied();
        if let Some(next) = &next_key {
            storage.split_off(next);
        }
        write_json(&Page { storage, next_key }, limit_bytes)
    }
}
