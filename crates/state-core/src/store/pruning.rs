//! Forgetting old versions: their nodes and what is known of them go, their diffs stay.
//!
//! A node that begins at the first version applies all diffs, so somebody must have them.

use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use super::database::{PACKS, VERSIONS, failed};
use super::packs;
use super::record::{self, Record};
use crate::errors::StateError;

/// Diffs of versions that were forgotten, but for those that change nothing.
const DIFFS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("diffs");

/// Make the table, which stores of before do not have.
pub(super) fn prepare(transaction: &WriteTransaction) -> Result<(), StateError> {
    transaction.open_table(DIFFS).map(drop).map_err(failed)
}

/// How far a step of forgetting came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Oldest version that is kept.
    pub oldest: u64,
    /// Whether nothing is left to do.
    pub is_done: bool,
}

/// Forget versions from `oldest` up to `keep_from`, with `most` nodes and versions together.
///
/// What version n replaced is used by versions below n only. So a version goes first, and what the next one had
/// replaced then: those nodes stand in the record of the oldest version until they are gone.
pub(super) fn forget(
    transaction: &WriteTransaction,
    mut oldest: u64,
    keep_from: u64,
    most: usize,
) -> Result<Pruned, StateError> {
    let mut versions = transaction.open_table(VERSIONS).map_err(failed)?;
    let mut packs = transaction.open_table(PACKS).map_err(failed)?;
    let mut diffs = transaction.open_table(DIFFS).map_err(failed)?;
    let unchanged = record::encode_diff(&[]);
    let (mut unused, mut left) = (Vec::new(), most);
    let is_done = loop {
        let missing = || StateError::Corrupt(format!("version {oldest} is missing"));
        let stored = versions.remove(oldest).map_err(failed)?.ok_or_else(missing)?.value().to_vec();
        let mut record = Record::decode(&stored)?;
        let waiting = record.stale.split_off(record.stale.len().min(left));
        left -= record.stale.len();
        unused.append(&mut record.stale);
        if left == 0 || oldest == keep_from {
            let is_done = waiting.is_empty() && oldest == keep_from;
            versions.insert(oldest, Record { stale: waiting, ..record }.encode().as_slice()).map_err(failed)?;
            break is_done;
        }
        if record.diff != unchanged {
            diffs.insert(oldest, record.diff).map_err(failed)?;
        }
        (oldest, left) = (oldest + 1, left - 1);
    };
    unused.sort_unstable();
    packs::remove(&mut packs, &unused)?;
    Ok(Pruned { oldest, is_done })
}

/// Diff of a version that was forgotten.
pub(super) fn diff_of(transaction: &ReadTransaction, version: u64) -> Result<Vec<u8>, StateError> {
    let diffs = transaction.open_table(DIFFS).map_err(failed)?;
    let stored = diffs.get(version).map_err(failed)?;
    Ok(stored.map_or_else(|| record::encode_diff(&[]), |diff| diff.value().to_vec()))
}

/// Forget everything.
pub(super) fn clear(transaction: &WriteTransaction) -> Result<(), StateError> {
    for table in [PACKS, VERSIONS, DIFFS] {
        transaction.delete_table(table).map_err(failed)?;
        transaction.open_table(table).map(drop).map_err(failed)?;
    }
    Ok(())
}
