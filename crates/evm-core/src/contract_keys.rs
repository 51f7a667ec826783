//! Keys of contract storage: asked from the key manager on a miss, kept in memory, wiped on drop.

use std::sync::{Arc, PoisonError, RwLock};

use alloy_primitives::{Address, U256, map::HashMap};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    crypto::{Deoxys, hmac_sha512_256, sha512_256},
    failure::{EngineError, HostError},
};

/// Contracts whose keys are kept in memory. Each is some hundred bytes; above this the cache starts anew.
const CACHE_CONTRACTS: usize = 4096;

const SLOT_NONCE_CONTEXT: &[u8] = b"oasis-runtime-sdk/confidential-store: nonce key";
const VALUE_NONCE_CONTEXT: &[u8] = b"qanat/evm: value nonce key";

/// Where the 32-byte storage key of a contract comes from.
pub trait StateKeys: Send + Sync {
    /// The key of one contract. Called on a miss only, never while a lock is held.
    fn state_key(&self, contract: &Address) -> Result<Zeroizing<[u8; 32]>, HostError>;
}

/// Seals and opens the storage of one contract.
///
/// Both nonces are derived, so replicas with the key agree on every byte. The slot's nonce depends on
/// the slot only, so lookups work; the value's on round and slot. Deoxys-II tolerates a repeated nonce:
/// it then shows equality of two messages, nothing else. Differs from upstream: the value is bound to
/// its record key (upstream's associated data is empty, so a host could swap values within one root),
/// and the value's nonce is keyed rather than counted, so it does not depend on the order of writes.
pub struct ContractCipher {
    cipher: Deoxys,
    slot_nonce_key: [u8; 32],
    value_nonce_key: [u8; 32],
}

impl Drop for ContractCipher {
    fn drop(&mut self) {
        self.slot_nonce_key.zeroize();
        self.value_nonce_key.zeroize();
    }
}

impl ContractCipher {
    /// From the contract's state key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: Deoxys::new(key),
            slot_nonce_key: hmac_sha512_256(SLOT_NONCE_CONTEXT, &[key]),
            value_nonce_key: hmac_sha512_256(VALUE_NONCE_CONTEXT, &[key]),
        }
    }

    /// State key of a slot: `04 ‖ contract ‖ nonce ‖ seal(slot)`.
    pub fn record_key(&self, contract: &Address, slot: &U256) -> Vec<u8> {
        let slot = slot.to_be_bytes::<32>();
        let nonce = first_15(&sha512_256(&[&self.slot_nonce_key, &slot]));
        let sealed = self.cipher.seal(&nonce, &slot, &[]);
        let mut key = Vec::with_capacity(84);
        key.push(0x04);
        key.extend_from_slice(contract.as_slice());
        key.extend_from_slice(&nonce);
        key.extend_from_slice(&sealed);
        key
    }

    /// The slot of a record key; None when this contract's key did not seal it.
    pub fn open_slot(&self, record_key: &[u8]) -> Option<U256> {
        let (nonce, sealed) = record_key.get(21..)?.split_first_chunk::<15>()?;
        let slot = Zeroizing::new(self.cipher.open(nonce, sealed, &[]).ok()?);
        let slot: &[u8; 32] = slot.as_slice().try_into().ok()?;
        Some(U256::from_be_bytes(*slot))
    }

    /// Record of a value written in `round`: `nonce ‖ seal(value)`, bound to its record key.
    pub fn seal_value(&self, record_key: &[u8], round: u64, value: &U256) -> Vec<u8> {
        let nonce = first_15(&sha512_256(&[&self.value_nonce_key, &round.to_be_bytes(), record_key]));
        let mut record = Vec::with_capacity(63);
        record.extend_from_slice(&nonce);
        record.extend_from_slice(&self.cipher.seal(&nonce, &value.to_be_bytes::<32>(), record_key));
        record
    }

    /// Opens a record; None when it is not what this contract's key sealed for this slot.
    pub fn open_value(&self, record_key: &[u8], record: &[u8]) -> Option<U256> {
        let (nonce, sealed) = record.split_first_chunk::<15>()?;
        let value = Zeroizing::new(self.cipher.open(nonce, sealed, record_key).ok()?);
        let value: &[u8; 32] = value.as_slice().try_into().ok()?;
        Some(U256::from_be_bytes(*value))
    }
}

fn first_15(hash: &[u8; 32]) -> [u8; 15] {
    let mut nonce = [0; 15];
    nonce.copy_from_slice(&hash[..15]);
    nonce
}

/// Ciphers by contract over a [`StateKeys`].
pub struct KeyRing {
    source: Box<dyn StateKeys>,
    ciphers: RwLock<HashMap<Address, Arc<ContractCipher>>>,
}

impl KeyRing {
    /// An empty ring over a source of keys.
    pub fn new(source: Box<dyn StateKeys>) -> Self {
        Self { source, ciphers: RwLock::default() }
    }

    /// The cipher of a contract, from memory or from the source.
    pub fn cipher(&self, contract: &Address) -> Result<Arc<ContractCipher>, EngineError> {
        if let Some(cipher) = self.ciphers.read().unwrap_or_else(PoisonError::into_inner).get(contract) {
            return Ok(Arc::clone(cipher));
        }
        let cipher = Arc::new(ContractCipher::new(&*self.source.state_key(contract)?));
        let mut ciphers = self.ciphers.write().unwrap_or_else(PoisonError::into_inner);
        if ciphers.len() >= CACHE_CONTRACTS {
            ciphers.clear();
        }
        ciphers.insert(*contract, Arc::clone(&cipher));
        Ok(cipher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_open_only_under_their_slot_contract_and_key() {
        let (first, second) = (ContractCipher::new(&[1; 32]), ContractCipher::new(&[2; 32]));
        let contract = Address::repeat_byte(7);
        let (one, two) = (first.record_key(&contract, &U256::ONE), first.record_key(&contract, &U256::from(2)));
        let record = first.seal_value(&one, 9, &U256::from(42));
        assert_eq!(first.open_value(&one, &record), Some(U256::from(42)));
        assert_eq!(first.open_value(&two, &record), None, "another slot");
        assert_eq!(second.open_value(&one, &record), None, "another key");
        assert_eq!(first.open_value(&one, &record[..62]), None, "cut");
        assert_eq!(record, first.seal_value(&one, 9, &U256::from(42)), "replicas agree");
        assert_ne!(record, first.seal_value(&one, 10, &U256::from(42)), "another round, another nonce");
        assert_eq!((one.len(), record.len()), (84, 63));
        assert_eq!((first.open_slot(&one), first.open_slot(&two)), (Some(U256::ONE), Some(U256::from(2))));
        assert_eq!((second.open_slot(&one), first.open_slot(&one[..83])), (None, None), "another key; cut");
    }
}
