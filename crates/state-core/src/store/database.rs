//! The database file: redb, its tables, and when it is flushed.
//!
//! Two tables: `packs` (eighth part of a number -> [`super::packs`]) and `versions` (version -> [`super::record`]). One
//! write transaction for each version, or for several, so a version is there as a whole or not at all.

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::path::Path;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{BackendError, Database, ReadOnlyTable, ReadableDatabase, StorageBackend, TableDefinition};

use crate::errors::StateError;

pub(super) type ReadTable = ReadOnlyTable<u64, &'static [u8]>;

pub(super) const PACKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("packs");
pub(super) const VERSIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("versions");

/// The tables as one transaction left them: for all readers until the next, who then need none of their own.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) packs: ReadTable,
    pub(super) versions: ReadTable,
}

impl Tables {
    pub(super) fn open(database: &Database) -> Result<Self, StateError> {
        let transaction = database.begin_read().map_err(failed)?;
        let packs = transaction.open_table(PACKS).map_err(failed)?;
        Ok(Self { packs, versions: transaction.open_table(VERSIONS).map_err(failed)? })
    }
}

/// Any error of redb.
pub(super) fn failed(error: impl Into<redb::Error>) -> StateError {
    StateError::Database(error.into().to_string())
}

pub(super) fn open_file(path: &Path, page_cache_bytes: usize, fsync: bool) -> Result<Database, StateError> {
    let io = |error: io::Error| StateError::Database(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
    let file = FileBackend::new(file).map_err(failed)?;
    let mut builder = Database::builder();
    builder.set_cache_size(page_cache_bytes);
    builder.create_with_backend(Flushing { file, fsync }).map_err(failed)
}

pub(super) fn in_memory() -> Result<Database, StateError> {
    Database::builder().create_with_backend(InMemoryBackend::new()).map_err(failed)
}

/// A file that is flushed to the disk only on demand.
///
/// Without flushing, a commit is in the page cache in the order redb wrote it: it survives the death of the process
/// at any moment, but not of the machine. redb's own `Durability::None` would keep it in memory of the process.
#[derive(Debug)]
struct Flushing {
    file: FileBackend,
    fsync: bool,
}

impl StorageBackend for Flushing {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.fsync { self.file.sync_data() } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
