//! What is kept for each version: its root, what it replaced, and its diff.

use crate::cbor::{self, Value};
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
    let mut out = Vec::new();
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

/// A key and its new value, or none where it is deleted.
type OwnedChange = (Vec<u8>, Option<Vec<u8>>);

/// Read a diff. Whether each entry changes something is seen only against the state.
pub(super) fn decode_diff(diff: &[u8]) -> Result<Vec<OwnedChange>, StateError> {
    let Ok(Value::Array(entries)) = cbor::decode(diff) else {
        return Err(StateError::MalformedDiff("not a CBOR array"));
    };
    let changes = entries.into_iter().map(decode_change).collect::<Option<Vec<_>>>();
    let changes = changes.ok_or(StateError::MalformedDiff("an entry is no pair of key and value"))?;
    if !changes.is_sorted_by(|(left, _), (right, _)| left < right) {
        return Err(StateError::MalformedDiff("keys do not ascend"));
    }
    Ok(changes)
}

fn decode_change(entry: Value) -> Option<OwnedChange> {
    let Value::Array(pair) = entry else { return None };
    let [key, value] = <[Value; 2]>::try_from(pair).ok()?;
    let value = match value {
        Value::Null => None,
        value => Some(value.into_bytes()?),
    };
    Some((key.into_bytes()?, value))
}
