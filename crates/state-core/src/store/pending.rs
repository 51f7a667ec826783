//! Versions that wait for the database: they are in the log, and here for whoever reads them.

use std::sync::Arc;

use super::record::Record;
use crate::tree::{Known, Link};

/// As many together are written.
pub(super) const MOST_VERSIONS: usize = 16;

/// Of records and nodes; with more, they are written [bytes].
const MOST_BYTES: usize = 1 << 20;

/// One of them.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) number: u64,
    /// As the database gets it.
    pub(super) record: Vec<u8>,
    /// The nodes it made, in ascending order of their numbers.
    pub(super) fresh: Arc<Vec<Known>>,
    /// Where its entry in the log begins.
    pub(super) logged_at: u64,
}

impl Version {
    pub(super) fn new(number: u64, record: &Record<'_>, fresh: Arc<Vec<Known>>, logged_at: u64) -> Self {
        Self { number, record: record.encode(), fresh, logged_at }
    }

    fn bytes(&self) -> usize {
        let nodes: usize = self.fresh.iter().map(Known::memory_bytes).sum();
        self.record.len() + nodes
    }
}

/// Consecutive versions up to the latest. Never changed, so that snapshots share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    pub(super) versions: Vec<Arc<Version>>,
    bytes: usize,
}

impl Pending {
    /// Whether they are to be written.
    pub(super) fn is_due(&self) -> bool {
        self.versions.len() >= MOST_VERSIONS || self.bytes > MOST_BYTES
    }

    /// These, and one more.
    pub(super) fn with(&self, version: Version) -> Self {
        let bytes = self.bytes + version.bytes();
        let mut versions = Vec::with_capacity(self.versions.len() + 1);
        versions.extend_from_slice(&self.versions);
        versions.push(Arc::new(version));
        Self { versions, bytes }
    }

    /// Those up to a version.
    pub(super) fn up_to(&self, version: u64) -> Self {
        let versions: Vec<_> = self.versions.iter().filter(|pending| pending.number <= version).cloned().collect();
        let bytes = versions.iter().map(|version| version.bytes()).sum();
        Self { versions, bytes }
    }

    /// The node that a link leads to, where one of them made it.
    pub(super) fn find(&self, link: &Link) -> Option<&Known> {
        let made_by = |version: &&Arc<Version>| {
            let fresh = &version.fresh;
            fresh.first().is_some_and(|first| first.id() <= link.id)
                && fresh.last().is_some_and(|last| link.id <= last.id())
        };
        let fresh = &self.versions.iter().rev().find(made_by)?.fresh;
        let index = fresh.binary_search_by_key(&link.id, Known::id).ok()?;
        // By hash too: a number from the disk must not lead to another node.
        fresh.get(index).filter(|known| known.link() == *link)
    }
}
