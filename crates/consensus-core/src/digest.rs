//! The two hash functions: SHA-256 where CometBFT hashes, SHA-512/256 where this network does.

use sha2::{Digest as _, Sha256, Sha512_256};

/// 32 bytes.
pub type Digest = [u8; 32];

/// SHA-256 of parts in a row.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// SHA-512/256 of parts in a row.
#[must_use]
pub fn sha512_256(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha512_256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
