//! What is kept for each version: its root, what it replaced, and its diff.

use crate::cbor;
use crate::errors::StateError;
use crate::tree::{Change, EMPTY_ROOT, Link};

/// Number that stands for "no node": of the root of an empty tree, of the batch of a version without new nodes.
const NONE: u64 = u64::MAX;

/// One version. On disk: `root hash 32 ‖ root number LE8 ‖ batch LE8 ‖ count of stale LE4 ‖ stale LE8... ‖ diff`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Root node, none for the empty tree.
    pub(super) root: Option<Link>,
    /// Which update made this version's nodes; none when it has no nodes of its own.
    pub(super) batch: Option<u64>,
    /// Nodes of the version before that this one does not use.
    pub(super) stale: Vec<u64>,
    /// Canonical diff, see [`encode_diff`].
    pub(super) diff: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(52 + 8 * self.stale.len() + self.diff.len());
        let (hash, id) = self.root.map_or((EMPTY_ROOT, NONE), |link| (link.hash, link.id));
        out.extend_from_slice(&hash);
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&self.batch.unwrap_or(NONE).to_le_bytes());
        out.extend_from_slice(&(self.stale.len() as u32).to_le_bytes());
        self.stale.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
        out.extend_from_slice(self.diff);
        out
    }

    pub(super) fn decode(data: &'a [u8]) -> Result<Self, StateError> {
        Self::parse(data).ok_or_else(|| StateError::Corrupt("malformed version record".into()))
    }

    fn parse(data: &'a [u8]) -> Option<Self> {
        let (hash, data) = data.split_first_chunk::<32>()?;
        let (id, data) = number(data)?;
        let (batch, data) = number(data)?;
        let (count, data) = data.split_first_chunk::<4>()?;
        let (stale, diff) = data.split_at_checked(8 * u32::from_le_bytes(*count) as usize)?;
        Some(Self {
            root: (id != NONE).then_some(Link { hash: *hash, id }),
            batch: (batch != NONE).then_some(batch),
            stale: stale.chunks_exact(8).filter_map(|id| Some(number(id)?.0)).collect(),
            diff,
        })
    }
}

fn number(data: &[u8]) -> Option<(u64, &[u8])> {
    let (bytes, rest) = data.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*bytes), rest))
}

/// The canonical diff: CBOR `[[key, value or null], ...]`, keys ascending, only what really changes.
pub(super) fn encode_diff(changes: &[Change<'_>]) -> Vec<u8> {
    // Heads: 9 bytes at most of the array; 1 of a pair, 2 of its key, 5 of its value.
    let content: usize = changes.iter().map(|change| change.key.len() + change.value.map_or(0, <[u8]>::len)).sum();
    let mut out = Vec::with_capacity(9 + content + 8 * changes.len());
    cbor::write_array(&mut out, changes.len());
    for change in changes {
        cbor::write_array(&mut out, 2);
        cbor::write_bytes(&mut out, change.key);
        match change.value {
            Some(value) => cbor::write_bytes(&mut out, value),
            None => cbor::write_null(&mut out),
        }
    }
    out
}

/// Read a diff, where it lies. Whether each entry changes something is seen only against the state.
pub(super) fn decode_diff(diff: &[u8]) -> Result<Vec<Change<'_>>, StateError> {
    let mut reader = cbor::Reader::new(diff);
    let count = reader.array().map_err(|_| StateError::MalformedDiff("not a CBOR array"))?;
    let changes = (0..count).map(|_| decode_change(&mut reader)).collect::<Option<Vec<_>>>();
    let changes = changes.ok_or(StateError::MalformedDiff("an entry is no pair of key and value"))?;
    if !reader.is_at_end() {
        return Err(StateError::MalformedDiff("bytes behind the array"));
    }
    if !changes.is_sorted_by(|left, right| left.key < right.key) {
        return Err(StateError::MalformedDiff("keys do not ascend"));
    }
    Ok(changes)
}

fn decode_change<'a>(reader: &mut cbor::Reader<'a>) -> Option<Change<'a>> {
    let 2 = reader.array().ok()? else { return None };
    let key = reader.bytes_or_null().ok()??;
    Some(Change { key, value: reader.bytes_or_null().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_read_as_it_was_written() {
        let value = [7; 300];
        let changes = [Change::set(b"a", &value), Change { key: b"b", value: None }, Change::set(b"c", b"")];
        let diff = encode_diff(&changes);
        let read = decode_diff(&diff).unwrap();
        assert!(read.iter().map(|one| (one.key, one.value)).eq(changes.iter().map(|one| (one.key, one.value))));
        for cut in 0..diff.len() {
            assert!(matches!(decode_diff(&diff[..cut]), Err(StateError::MalformedDiff(_))));
        }
    }

    #[test]
    fn what_is_no_list_of_ascending_keys_and_values_is_refused() {
        for (diff, why) in [
            ("a0", "not a CBOR array"),
            ("9fff", "not a CBOR array"),
            ("9bffffffffffffffff", "an entry is no pair of key and value"),
            ("818141aa", "an entry is no pair of key and value"),
            ("818341aaf6f6", "an entry is no pair of key and value"),
            ("8182f6f6", "an entry is no pair of key and value"),
            ("818241aaf7", "an entry is no pair of key and value"),
            ("81825801aaf6", "an entry is no pair of key and value"),
            ("818241aa6161", "an entry is no pair of key and value"),
            ("8000", "bytes behind the array"),
            ("828241aaf68241aaf6", "keys do not ascend"),
        ] {
            let bytes = |hex: &str| -> Vec<u8> {
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
            };
            assert_eq!(decode_diff(&bytes(diff)).err(), Some(StateError::MalformedDiff(why)), "{diff}");
        }
    }
}
