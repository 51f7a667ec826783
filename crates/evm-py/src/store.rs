//! The versioned state.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use state_core::{
    errors::StateError,
    store::{self, At},
};

use pyo3::{prelude::*, types::PyBytes};

use crate::{
    convert::fixed,
    error::{config_error, released, state_error},
};

/// Versioned authenticated key-value state; a version is a round. Holds ciphertext only.
#[pyclass(frozen, module = "evm_native")]
pub(crate) struct Store {
    inner: RwLock<Option<Arc<store::Store>>>,
}

impl Store {
    pub(crate) fn get_open(&self, py: Python<'_>) -> PyResult<Arc<store::Store>> {
        self.inner
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or_else(|| state_error(py, &StateError::Database("the store is closed".into())))
    }

    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&store::Store) -> Result<T, StateError> + Send,
    ) -> PyResult<T> {
        let store = self.get_open(py)?;
        released(py, move || work(&store))?.map_err(|error| state_error(py, &error))
    }

    fn read<T: Send>(
        &self,
        py: Python<'_>,
        version: Option<u64>,
        root: Option<&[u8]>,
        work: impl FnOnce(&store::Snapshot) -> Result<T, StateError> + Send,
    ) -> PyResult<T> {
        let store = self.get_open(py)?;
        let at = at(py, &store, version, root)?;
        released(py, || work(&store.snapshot(at)?))?.map_err(|error| state_error(py, &error))
    }
}

/// Changes computed on a version, not visible yet. Dropping it discards them.
#[pyclass(frozen, module = "evm_native")]
pub(crate) struct Staged {
    store: Arc<store::Store>,
    inner: store::Staged,
    version: u64,
}

#[pymethods]
impl Staged {
    /// Version that it becomes.
    #[getter]
    fn version(&self) -> u64 {
        self.version
    }

    /// Root of the state with the changes made, 32 bytes.
    #[getter]
    fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.root)
    }

    /// Canonical diff.
    #[getter]
    fn diff<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.diff)
    }

    /// Makes it the latest version, durably.
    fn persist(&self, py: Python<'_>) -> PyResult<()> {
        released(py, || self.store.persist(&self.inner, self.version))?.map_err(|error| state_error(py, &error))
    }
}

fn wrap(store: store::Store) -> Store {
    Store { inner: RwLock::new(Some(Arc::new(store))) }
}

#[pymethods]
impl Store {
    /// A store that lives as long as the object.
    #[staticmethod]
    fn memory(py: Python<'_>) -> PyResult<Self> {
        released(py, store::Store::memory)?.map(wrap).map_err(|error| state_error(py, &error))
    }

    /// A store in a file, made if absent.
    #[staticmethod]
    #[pyo3(signature = (path, *, fsync=false, cache_mb=32))]
    fn open(py: Python<'_>, path: PathBuf, fsync: bool, cache_mb: usize) -> PyResult<Self> {
        let cache_bytes =
            cache_mb.checked_mul(1 << 20).ok_or_else(|| config_error(py, "cache_mb does not fit the address space"))?;
        let options = store::Options { fsync, cache_bytes };
        released(py, move || store::Store::open(&path, options))?.map(wrap).map_err(|error| state_error(py, &error))
    }

    /// Latest version.
    #[getter]
    fn version(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.get_open(py)?.latest().0)
    }

    /// Oldest version that can be read.
    #[getter]
    fn oldest(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.get_open(py)?.oldest())
    }

    /// Root of the latest version, 32 bytes.
    #[getter]
    fn root<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.get_open(py)?.latest().1))
    }

    fn root_at<'py>(&self, py: Python<'py>, version: u64) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.with(py, move |store| store.root_at(version))?))
    }

    #[pyo3(signature = (key, *, version=None, root=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        version: Option<u64>,
        root: Option<&[u8]>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let value = self.read(py, version, root, |snapshot| snapshot.get(key))?;
        Ok(value.map(|value| PyBytes::new(py, &value)))
    }

    #[pyo3(
        signature = (prefix=b"".as_slice(), *, start=None, limit=1000, version=None, root=None),
        text_signature = "($self, prefix=b'', *, start=None, limit=1000, version=None, root=None)"
    )]
    fn scan<'py>(
        &self,
        py: Python<'py>,
        prefix: &[u8],
        start: Option<&[u8]>,
        limit: usize,
        version: Option<u64>,
        root: Option<&[u8]>,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
        let items = self.read(py, version, root, |snapshot| snapshot.scan(prefix, start, limit))?;
        Ok(items.iter().map(|(key, value)| (PyBytes::new(py, key), PyBytes::new(py, value))).collect())
    }

    #[pyo3(signature = (keys, *, version=None))]
    fn prove<'py>(&self, py: Python<'py>, keys: Vec<Vec<u8>>, version: Option<u64>) -> PyResult<Bound<'py, PyBytes>> {
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let proof = self.read(py, version, None, |snapshot| snapshot.prove(&keys))?;
        Ok(PyBytes::new(py, &proof))
    }

    /// Computes what changes (None deletes) make of a version, without making it visible.
    #[pyo3(signature = (changes, *, version, root=None))]
    fn stage(
        &self,
        py: Python<'_>,
        changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
        version: u64,
        root: Option<&[u8]>,
    ) -> PyResult<Staged> {
        let store = self.get_open(py)?;
        let parent = at(py, &store, Some(version), root)?;
        let inner = released(py, || store.stage(parent, &changes))?.map_err(|error| state_error(py, &error))?;
        Ok(Staged { store, inner, version: version.saturating_add(1) })
    }

    /// Makes a version equal to the one before: a failed round, an epoch transition.
    fn skip(&self, py: Python<'_>, version: u64) -> PyResult<()> {
        self.with(py, move |store| store.skip(version))
    }

    /// Makes a version from its diff, without any key; a wrong root changes nothing.
    #[pyo3(signature = (version, diff, *, expect_root))]
    fn apply(&self, py: Python<'_>, version: u64, diff: &[u8], expect_root: &[u8]) -> PyResult<()> {
        let root = fixed(py, "expect_root", expect_root)?;
        self.with(py, |store| store.apply(version, diff, root))
    }

    /// Canonical diff of a version.
    fn diff_at<'py>(&self, py: Python<'py>, version: u64) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.with(py, move |store| store.diff_at(version))?))
    }

    /// Forgets versions below one, in steps; the oldest that is kept, and whether nothing is left to do.
    fn prune(&self, py: Python<'_>, keep_from: u64, most: usize) -> PyResult<(u64, bool)> {
        let pruned = self.with(py, move |store| store.prune(keep_from, most))?;
        Ok((pruned.oldest, pruned.is_done))
    }

    /// Makes an older version the latest; what came after is gone.
    fn rollback(&self, py: Python<'_>, version: u64) -> PyResult<()> {
        self.with(py, move |store| store.rollback(version))
    }

    /// Closes the store. Its file is free once no engine uses it any more.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let store = self.inner.write().unwrap_or_else(PoisonError::into_inner).take();
        released(py, move || drop(store))
    }
}

/// The state that Python means: without a version the latest, without a root the disk's word.
pub(crate) fn at(py: Python<'_>, store: &store::Store, version: Option<u64>, root: Option<&[u8]>) -> PyResult<At> {
    let root = root.map(|root| fixed(py, "root", root)).transpose()?;
    Ok(At { version: version.unwrap_or_else(|| store.latest().0), root })
}

/// Value of a key under a root (None: proven absent).
#[pyfunction]
pub(crate) fn verify_proof<'py>(
    py: Python<'py>,
    root: &[u8],
    proof: &[u8],
    key: &[u8],
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let root = fixed(py, "root", root)?;
    let value = released(py, || store::verify_proof(root, proof, key))?.map_err(|error| state_error(py, &error))?;
    Ok(value.map(|value| PyBytes::new(py, &value)))
}
