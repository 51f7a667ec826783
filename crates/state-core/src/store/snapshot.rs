//! Reading one version.

use std::sync::Arc;

use super::cache::NodeCache;
use super::database::Tables;
use super::packs;
use super::pending::Pending;
use crate::errors::StateError;
use crate::tree::{self, EMPTY_ROOT, Known, Link, NodeSource, Root};

/// One version of the state. Cheap, immutable, usable from any thread; stays readable when the version is pruned or
/// rolled back meanwhile, at the price of disk space that cannot be reused until the snapshot is dropped. Once the
/// store itself is dropped, reads fail.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) version: u64,
    pub(super) root: Option<Link>,
    /// Where the version waits: with the nodes that are not in the tables.
    pub(super) pending: Option<Arc<Pending>>,
    pub(super) tables: Arc<Tables>,
    pub(super) cache: Arc<NodeCache>,
}

impl Snapshot {
    /// Which version this is.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Root of the tree.
    pub fn root(&self) -> Root {
        self.root.map_or(EMPTY_ROOT, |link| link.hash)
    }

    /// Value under a key.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Database`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        tree::get(self, self.root, key)
    }

    /// Up to `limit` items under a prefix, in ascending order of keys, from `start` on.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Database`].
    pub fn scan(&self, prefix: &[u8], start: Option<&[u8]>, limit: usize) -> Result<tree::Items, StateError> {
        tree::scan(self, self.root, prefix, start.unwrap_or_default(), limit)
    }

    /// Proof of the values, or of the absence, of any number of keys, for [`tree::verify_proof`].
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Database`].
    pub fn prove(&self, keys: &[&[u8]]) -> Result<Vec<u8>, StateError> {
        tree::prove(self, self.root, keys)
    }
}

impl NodeSource for Snapshot {
    /// The disk belongs to the host, which is not trusted: what comes from it must hash to what the parent says.
    fn load(&self, link: &Link) -> Result<Known, StateError> {
        if let Some(known) = self.cache.get(link) {
            return Ok(known);
        }
        if let Some(known) = self.pending.as_ref().and_then(|pending| pending.find(link)) {
            self.cache.insert(known.clone());
            return Ok(known.clone());
        }
        let corrupt = |what: &str| StateError::Corrupt(format!("node {} {what}", link.id));
        let stored = packs::read(&self.tables.packs, link.id, |stored| Known::decode(link, stored))?;
        let known = stored.ok_or_else(|| corrupt("is missing"))?.ok_or_else(|| corrupt("is malformed"))?;
        if known.hash() != link.hash {
            return Err(corrupt("is not the one its parent names"));
        }
        self.cache.insert(known.clone());
        Ok(known)
    }
}
