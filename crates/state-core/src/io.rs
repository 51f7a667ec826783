//! The I/O root of a round.

use std::collections::BTreeMap;

use crate::{
    errors::StateError,
    tree::{Root, root_of},
};

/// Root over the transactions of a round and their records, so that a light client can check either.
///
/// A tree of its own: `i ‖ 0` holds transaction i, `i ‖ 1` its record, with i as 4 bytes big-endian.
pub fn io_root(transactions: &[impl AsRef<[u8]>], records: &[impl AsRef<[u8]>]) -> Result<Root, StateError> {
    let mut entries = BTreeMap::new();
    for (kind, items) in [
        (0u8, transactions.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
        (1, records.iter().map(AsRef::as_ref).collect()),
    ] {
        for (index, item) in items.into_iter().enumerate() {
            let index = u32::try_from(index).map_err(|_| StateError::BadLength)?;
            let key = [index.to_be_bytes().as_slice(), &[kind]].concat();
            entries.insert(key, item.to_vec());
        }
    }
    root_of(&entries)
}
