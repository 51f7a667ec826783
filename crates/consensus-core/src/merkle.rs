//! Merkle trees over lists, as CometBFT builds them.
//!
//! SHA-256: the root of no items is H(""), of one H(0x00 ‖ item), of more H(0x01 ‖ left ‖ right), split at the largest
//! power of two below their number. Source: RFC 6962 section 2.1; cometbft crypto/merkle @ v0.40.0.

use crate::digest::{Digest, sha256};

/// Root over a list.
#[must_use]
pub fn root<T: AsRef<[u8]>>(items: &[T]) -> Digest {
    let mut level: Vec<Digest> = items.iter().map(|item| leaf(item.as_ref())).collect();
    // Pairing neighbours and carrying an odd last one upward gives the same tree as the split.
    while level.len() > 1 {
        level =
            level.chunks(2).map(|pair| if let [left, right] = pair { inner(left, right) } else { pair[0] }).collect();
    }
    level.first().copied().unwrap_or_else(|| sha256(&[]))
}

fn leaf(item: &[u8]) -> Digest {
    sha256(&[&[0], item])
}

fn inner(left: &Digest, right: &Digest) -> Digest {
    sha256(&[&[1], left, right])
}
