//! The log file: new versions, each by one `write`, until several of them go to the database together.
//!
//! An entry: `length of the diff LE4 ‖ version LE8 ‖ root 32 ‖ diff`. It needs no checksum: whoever reads it makes the
//! version from the diff, and what does not lead to the root is no state that was. Its number is the disk's word, as it
//! is in the database: see [`At`](super::At).

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::errors::StateError;
use crate::tree::Root;

/// Of the file. What waits takes half at most, and the file is emptied then; but that may fail [bytes].
const MAX_BYTES: u64 = 2 << 20;

const HEAD_BYTES: usize = 4 + 8 + 32;

/// A version with what made it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) version: u64,
    pub(super) root: Root,
    pub(super) diff: &'a [u8],
}

impl<'a> Entry<'a> {
    fn encode(&self) -> Vec<u8> {
        let length = (self.diff.len() as u32).to_le_bytes();
        [&length[..], &self.version.to_le_bytes(), &self.root, self.diff].concat()
    }

    fn split_from(raw: &mut &'a [u8]) -> Option<Self> {
        let (length, rest) = raw.split_first_chunk::<4>()?;
        let (version, rest) = rest.split_first_chunk::<8>()?;
        let (root, rest) = rest.split_first_chunk::<32>()?;
        let (diff, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *raw = rest;
        Some(Self { version: u64::from_le_bytes(*version), root: *root, diff })
    }
}

/// The whole entries that a log begins with.
pub(super) fn entries(mut raw: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    std::iter::from_fn(move || Entry::split_from(&mut raw))
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Where the last entry ends that counts.
    end: u64,
    /// Whether something lies behind the end.
    is_torn: bool,
}

impl Log {
    /// Open the file, or make it, and read what is in it.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Vec<u8>), StateError> {
        let open = || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            let mut raw = Vec::new();
            (&file).take(MAX_BYTES).read_to_end(&mut raw)?;
            Ok((file, raw))
        };
        let (file, raw) = open().map_err(|error| failed(&path, &error))?;
        Ok((Self { path, file, end: raw.len() as u64, is_torn: false }, raw))
    }

    /// Where the next entry begins.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether an entry with such a diff can be appended.
    pub(super) fn has_room_for(&self, diff: &[u8]) -> bool {
        self.end + (HEAD_BYTES + diff.len()) as u64 <= MAX_BYTES
    }

    /// Keep an entry: it outlives the process once this returns. After an error nothing of it counts.
    pub(super) fn append(&mut self, entry: &Entry<'_>) -> Result<(), StateError> {
        if self.is_torn {
            self.cut(self.end)?;
        }
        let raw = entry.encode();
        if let Err(error) = self.file.write_all_at(&raw, self.end) {
            self.is_torn = true;
            let _ = self.cut(self.end);
            return Err(failed(&self.path, &error));
        }
        self.end += raw.len() as u64;
        Ok(())
    }

    /// Forget the entries from a place on.
    pub(super) fn cut(&mut self, end: u64) -> Result<(), StateError> {
        self.file.set_len(end).map_err(|error| failed(&self.path, &error))?;
        (self.end, self.is_torn) = (end, false);
        Ok(())
    }
}

fn failed(path: &Path, error: &io::Error) -> StateError {
    StateError::Database(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, Store};

    fn entry(version: u64) -> Entry<'static> {
        Entry { version, root: [version as u8; 32], diff: b"a diff" }
    }

    #[test]
    fn entries_that_were_appended_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let (mut log, raw) = Log::open(path.clone()).unwrap();
        assert!(raw.is_empty());
        log.append(&entry(1)).unwrap();
        let second = log.end();
        log.append(&entry(2)).unwrap();
        log.cut(second).unwrap();
        log.append(&entry(3)).unwrap();
        let (_, raw) = Log::open(path).unwrap();
        assert_eq!(entries(&raw).collect::<Vec<_>>(), [entry(1), entry(3)]);
    }

    #[test]
    fn of_an_entry_that_could_not_be_written_nothing_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let (mut log, _) = Log::open(path.clone()).unwrap();
        log.append(&entry(1)).unwrap();
        // Neither written nor cut.
        let writable = std::mem::replace(&mut log.file, File::open(&path).unwrap());
        assert!(matches!(log.append(&entry(2)), Err(StateError::Database(_))));
        writable.write_all_at(&[entry(2).encode(), entry(3).encode()].concat(), log.end()).unwrap();
        assert!(matches!(log.append(&entry(4)), Err(StateError::Database(_))));
        log.file = writable;
        log.append(&entry(4)).unwrap();
        let (_, raw) = Log::open(path).unwrap();
        assert_eq!(entries(&raw).collect::<Vec<_>>(), [entry(1), entry(4)], "what lay behind is cut before");
    }

    #[test]
    fn where_a_log_cannot_be_emptied_nobody_goes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.redb");
        let store = Store::open(&path, Options::default()).unwrap();
        (1..16).for_each(|version| store.skip(version).unwrap());
        let replace = |file| std::mem::replace(&mut store.log.lock().unwrap().as_mut().unwrap().file, file);
        let writable = replace(File::open(path.with_extension("log")).unwrap());
        store.skip(16).unwrap();
        for refused in [store.rollback(10), store.skip(17)] {
            assert!(matches!(refused, Err(StateError::Database(_))));
        }
        assert_eq!(store.latest().0, 16, "the log is not needed for what the database has");
        replace(writable);
        store.rollback(10).unwrap();
        store.skip(11).unwrap();
        drop(store);
        assert_eq!(Store::open(&path, Options::default()).unwrap().latest().0, 11);
    }

    #[test]
    fn a_long_file_takes_bounded_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let (log, raw) = Log::open(path).unwrap();
        assert_eq!(raw.len() as u64, MAX_BYTES);
        assert!(!log.has_room_for(b""));
    }
}
