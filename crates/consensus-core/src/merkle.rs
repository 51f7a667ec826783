//! Merkle trees over lists, as CometBFT builds them.
//!
//! SHA-256: the root of no items is H(""), of one H(0x00 ‖ item), of more H(0x01 ‖ left ‖ right), split at the largest
//! power of two below their number. Source: RFC 6962 section 2.1; cometbft crypto/merkle @ v0.40.0.

use crate::digest::{Digest, sha256};

/// Longest proof that is looked at \[hashes\]. Source: cometbft crypto/merkle/proof.go, `MaxAunts`.
const MAX_AUNTS: usize = 100;

/// The proof does not show the item at this place under this root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadProof(String);

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

/// Verifies that an item is the last of `total` with this root, by its siblings from the leaf up.
///
/// # Errors
/// [`BadProof`]: an empty list, a wrong number of siblings, or another root.
pub fn verify_last(root: &[u8], item: &[u8], total: u64, aunts: &[impl AsRef<[u8]>]) -> Result<(), BadProof> {
    let bad = |message: &str| Err(BadProof(message.into()));
    if total == 0 || aunts.len() > MAX_AUNTS {
        let index = i128::from(total) - 1;
        return bad(&format!("no item {index} among {total} by {} siblings", aunts.len()));
    }
    if aunts.iter().any(|aunt| aunt.as_ref().len() != size_of::<Digest>()) {
        return bad("a sibling has not 32 bytes");
    }
    let (mut digest, mut left, mut rest) = (leaf(item), total, aunts.iter());
    // The last of a level stays the last: it has a sibling before it, or is carried upward.
    while left > 1 {
        if left % 2 == 0 {
            let Some(aunt) = rest.next() else {
                return bad("too few siblings");
            };
            digest = inner(aunt.as_ref(), &digest);
        }
        left = left.div_ceil(2);
    }
    if rest.next().is_some() {
        return bad("too many siblings");
    }
    if digest == root { Ok(()) } else { bad("the siblings lead to another root") }
}

fn leaf(item: &[u8]) -> Digest {
    sha256(&[&[0], item])
}

fn inner(left: &[u8], right: &[u8]) -> Digest {
    sha256(&[&[1], left, right])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Siblings of the last item, from its leaf up.
    fn siblings_of_last(items: &[Vec<u8>]) -> Vec<Digest> {
        let (mut aunts, mut width) = (Vec::new(), 1);
        while items.len() > width {
            let level = items.len().div_ceil(width);
            if level % 2 == 0 {
                let start = (level - 2) * width;
                aunts.push(root(&items[start..start + width]));
            }
            width *= 2;
        }
        aunts
    }

    proptest! {
        #[test]
        fn the_last_item_is_shown_and_no_other(
            items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 1..40),
        ) {
            let (root, total) = (root(&items), items.len() as u64);
            let aunts = siblings_of_last(&items);
            let (last, others) = items.split_last().unwrap();
            prop_assert_eq!(verify_last(&root, last, total, &aunts), Ok(()));
            for other in others.iter().filter(|other| *other != last) {
                prop_assert!(verify_last(&root, other, total, &aunts).is_err());
            }
            prop_assert!(verify_last(&root, last, total, &[aunts.as_slice(), &[[0; 32]]].concat()).is_err());
            if let Some((_, fewer)) = aunts.split_last() {
                prop_assert!(verify_last(&root, last, total, fewer).is_err());
            }
        }
    }

    #[test]
    fn impossible_places_are_refused() {
        let none: [&[u8]; 0] = [];
        assert_eq!(verify_last(&[], b"", 0, &none).unwrap_err().to_string(), "no item -1 among 0 by 0 siblings");
        assert!(verify_last(&[], b"", u64::MAX, &none).is_err());
        assert!(verify_last(&[], b"", 2, &[[0; 31]]).is_err());
        assert!(verify_last(&[], b"", u64::MAX, &[[0; 32]; MAX_AUNTS + 1]).is_err());
    }
}
