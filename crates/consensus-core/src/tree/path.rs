//! Paths of entries: 256 bits, the most significant bit of byte 0 first.

use crate::digest::{Digest, sha512_256};

pub(super) type Path = Digest;

/// Path of a key.
pub(super) fn path_of(key: &[u8]) -> Path {
    sha512_256(&[key])
}

/// The bit at an index, as the side of a branch that parts there.
pub(super) fn side(path: &Path, bit: u8) -> usize {
    usize::from(path[usize::from(bit / 8)] >> (7 - bit % 8) & 1)
}

/// First bit at which two paths differ; `None` where they are one.
pub(super) fn parting_bit(left: &Path, right: &Path) -> Option<u8> {
    left.iter().zip(right).zip(0u8..).find(|((one, other), _)| one != other).map(|((one, other), byte)| {
        let within = (one ^ other).leading_zeros();
        byte * 8 + u8::try_from(within).expect("a byte has eight bits")
    })
}
