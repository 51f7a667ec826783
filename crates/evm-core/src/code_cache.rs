//! Analysed contract code by hash, shared by rounds and queries.

use std::sync::{Mutex, PoisonError};

use alloy_primitives::{B256, Bytes, keccak256, map::HashMap};
use revm::bytecode::Bytecode;

use crate::{
    failure::EngineError,
    layout::{code_key, is_no_code},
};
use state_core::{errors::StateError, store::Snapshot};

/// Code kept in memory before the cache starts anew [bytes].
const CACHE_BYTES: usize = 64 << 20;

/// Code never changes under its hash, which is checked, so entries stay true for ever. Locked for a lookup only.
#[derive(Default)]
pub struct CodeCache {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    codes: HashMap<B256, Bytecode>,
    bytes: usize,
}

/// Raw code, ready to run; one that names another account's code stands for that (EIP-7702).
pub fn analyse(raw: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(raw.clone()).unwrap_or_else(|_| Bytecode::new_legacy(raw))
}

impl CodeCache {
    /// Keeps a code whose hash is known.
    pub fn insert(&self, hash: B256, code: Bytecode) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.bytes > CACHE_BYTES {
            *inner = Inner::default();
        }
        inner.bytes += code.len();
        inner.codes.insert(hash, code);
    }

    /// The code of a hash, from memory or from the state.
    pub fn load(&self, snapshot: &Snapshot, hash: &B256) -> Result<Bytecode, EngineError> {
        if is_no_code(hash) {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.inner.lock().unwrap_or_else(PoisonError::into_inner).codes.get(hash) {
            return Ok(code.clone());
        }
        let raw =
            snapshot.get(&code_key(hash))?.ok_or_else(|| StateError::Corrupt(format!("no code for hash {hash}")))?;
        // The cache outlives this snapshot: what enters it must be that code under any state.
        if keccak256(&raw) != *hash {
            return Err(StateError::Corrupt(format!("code under hash {hash} is another")).into());
        }
        let code = analyse(Bytes::from(raw));
        self.insert(*hash, code.clone());
        Ok(code)
    }
}
