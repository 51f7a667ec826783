//! Versioned, authenticated key-value state.
use crate::errors::StateError;
pub use crate::tree::Root;
use std::{collections::BTreeMap, path::Path};

type Result<T> = std::result::Result<T, StateError>;

/// How a store on disk behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// false: data survives `kill -9` (page cache), not power loss.
    pub fsync: bool,
    /// Memory for decoded tree nodes [bytes].
    pub cache_bytes: usize,
    /// Versions kept below the latest; older ones are pruned.
    pub keep_versions: u64,
}
/// The store.
#[derive(Debug)]
pub struct Store {}
/// One version, immutable.
#[derive(Debug)]
pub struct Snapshot {}
/// Changes computed but not visible.
#[derive(Debug)]
pub struct Staged {
    /// Root after the changes.
    pub root: Root,
    /// Canonical diff.
    pub diff: Vec<u8>,
}

#[allow(unused_variables, missing_docs)]
impl Store {
    pub fn memory() -> Result<Store> {
        unimplemented!()
    }
    pub fn open(path: &Path, options: Options) -> Result<Store> {
        unimplemented!()
    }
    pub fn latest(&self) -> (u64, Root) {
        unimplemented!()
    }
    pub fn oldest(&self) -> u64 {
        unimplemented!()
    }
    pub fn root_at(&self, version: u64) -> Result<Root> {
        unimplemented!()
    }
    pub fn snapshot(&self, version: u64) -> Result<Snapshot> {
        unimplemented!()
    }
    pub fn stage(
        &self,
        parent: u64,
        changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Result<Staged> {
        unimplemented!()
    }
    pub fn persist(&self, staged: &Staged, version: u64) -> Result<()> {
        unimplemented!()
    }
    pub fn skip(&self, version: u64) -> Result<()> {
        unimplemented!()
    }
    pub fn apply(&self, version: u64, diff: &[u8], expected_root: Root) -> Result<()> {
        unimplemented!()
    }
    pub fn diff_at(&self, version: u64) -> Result<Vec<u8>> {
        unimplemented!()
    }
    pub fn rollback(&self, version: u64) -> Result<()> {
        unimplemented!()
    }
}

#[allow(unused_variables, missing_docs)]
impl Snapshot {
    pub fn version(&self) -> u64 {
        unimplemented!()
    }
    pub fn root(&self) -> Root {
        unimplemented!()
    }
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        unimplemented!()
    }
    pub fn scan(
        &self,
        prefix: &[u8],
        start: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        unimplemented!()
    }
    pub fn prove(&self, keys: &[&[u8]]) -> Result<Vec<u8>> {
        unimplemented!()
    }
}

#[allow(unused_variables, missing_docs)]
pub fn verify_proof(root: Root, proof: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>> {
    unimplemented!()
}
