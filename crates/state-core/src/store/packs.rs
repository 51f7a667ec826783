//! Rows of nodes: eight with consecutive numbers in one, since a row costs the database far more than the bytes in it.
//!
//! A row: for each node that is still there, in ascending order, `place 1 ‖ length LE4 ‖ node`. Pruning takes nodes out
//! of their row, and the row away with the last.

use redb::{ReadableTable, Table, TableDefinition, TableHandle, WriteTransaction};

use super::database::{PACKS, ReadTable, failed};
use crate::errors::StateError;
use crate::tree::{Known, MAX_NODES_PER_UPDATE_BITS};

/// Nodes of a row: 2^3, about 1 KiB. Twice as many leave half of each of the database's pages of 4 KiB empty.
const PLACE_BITS: u32 = 3;

const NODES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("nodes");

/// Which update made the nodes of a row.
pub(super) fn batch_of(row: u64) -> u64 {
    row >> (MAX_NODES_PER_UPDATE_BITS - PLACE_BITS)
}

fn row_and_place(id: u64) -> (u64, u8) {
    (id >> PLACE_BITS, (id & ((1 << PLACE_BITS) - 1)) as u8)
}

/// The nodes of a row with their places.
struct Nodes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Result<(u8, &'a [u8]), StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| {
            let split = || {
                let (&place, rest) = self.rest.split_first()?;
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let (node, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                Some((place, node, rest))
            };
            let (place, node, rest) =
                split().ok_or_else(|| StateError::Corrupt("a row of nodes is malformed".into()))?;
            self.rest = rest;
            Ok((place, node))
        })
    }
}

/// Read what is stored of a node; none where it is not there.
pub(super) fn read<T>(
    table: &ReadTable,
    id: u64,
    decode: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<Option<T>>, StateError> {
    let (row, place) = row_and_place(id);
    let Some(stored) = table.get(row).map_err(failed)? else { return Ok(None) };
    for node in (Nodes { rest: stored.value() }) {
        match node? {
            (at, node) if at == place => return Ok(Some(decode(node))),
            _ => {}
        }
    }
    Ok(None)
}

/// Write the nodes of an update, which are in ascending order of their numbers.
pub(super) fn write(transaction: &WriteTransaction, nodes: &[Known]) -> Result<(), StateError> {
    let mut table = transaction.open_table(PACKS).map_err(failed)?;
    let mut data = Vec::with_capacity(4096);
    for together in nodes.chunk_by(|left, right| row_and_place(left.id()).0 == row_and_place(right.id()).0) {
        data.clear();
        together.iter().for_each(|known| append(&mut data, row_and_place(known.id()).1, known.stored()));
        table.insert(row_and_place(together[0].id()).0, data.as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// Pack what a store of before packs holds, one node a row.
pub(super) fn convert(transaction: &WriteTransaction) -> Result<(), StateError> {
    let mut tables = transaction.list_tables().map_err(failed)?;
    if !tables.any(|table| table.name() == NODES.name()) {
        return Ok(());
    }
    {
        let mut packs = transaction.open_table(PACKS).map_err(failed)?;
        let mut pack: Option<(u64, Vec<u8>)> = None;
        for stored in transaction.open_table(NODES).map_err(failed)?.iter().map_err(failed)? {
            let (id, node) = stored.map_err(failed)?;
            let (row, place) = row_and_place(id.value());
            if let Some((done, data)) = pack.take_if(|(current, _)| *current != row) {
                packs.insert(done, data.as_slice()).map_err(failed)?;
            }
            let (_, data) = pack.get_or_insert_with(|| (row, Vec::new()));
            append(data, place, node.value());
        }
        if let Some((row, data)) = pack {
            packs.insert(row, data.as_slice()).map_err(failed)?;
        }
    }
    transaction.delete_table(NODES).map_err(failed)?;
    Ok(())
}

fn append(row: &mut Vec<u8>, place: u8, node: &[u8]) {
    row.push(place);
    row.extend_from_slice(&(node.len() as u32).to_le_bytes());
    row.extend_from_slice(node);
}

/// Take nodes out, by their numbers in ascending order.
pub(super) fn remove(table: &mut Table<'_, u64, &'static [u8]>, ids: &[u64]) -> Result<(), StateError> {
    for together in ids.chunk_by(|left, right| row_and_place(*left).0 == row_and_place(*right).0) {
        let (row, _) = row_and_place(together[0]);
        let mut kept = Vec::new();
        let Some(stored) = table.remove(row).map_err(failed)? else { continue };
        for node in (Nodes { rest: stored.value() }) {
            let (place, node) = node?;
            if !together.iter().any(|id| row_and_place(*id).1 == place) {
                append(&mut kept, place, node);
            }
        }
        drop(stored);
        if !kept.is_empty() {
            table.insert(row, kept.as_slice()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Take out everything that an update made.
pub(super) fn remove_batch(table: &mut Table<'_, u64, &'static [u8]>, batch: u64) -> Result<(), StateError> {
    let rows = MAX_NODES_PER_UPDATE_BITS - PLACE_BITS;
    table.retain_in(batch << rows..(batch + 1) << rows, |_, _| false).map_err(failed)
}
