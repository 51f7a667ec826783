//! The versioned state.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use evm_core::{errors::StateError, store};
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
}

fn wrap(store: store::Store) -> Store {
    Store { inner: RwLock::new(Some(Arc::new(store))) }
}

#[pymethods]
impl Store {
    /// A store that lives as long as the object.
    #[staticmethod]
    fn memory(py: Python<'_>) -> PyResult<Self> {
        store::Store::memory().map(wrap).map_err(|error| state_error(py, &error))
    }

    /// A store in a file, made if absent.
    #[staticmethod]
    #[pyo3(signature = (path, *, fsync=false, cache_mb=32, keep_versions=None))]
    fn open(py: Python<'_>, path: PathBuf, fsync: bool, cache_mb: usize, keep_versions: Option<u64>) -> PyResult<Self> {
        let cache_bytes =
            cache_mb.checked_mul(1 << 20).ok_or_else(|| config_error(py, "cache_mb does not fit the address space"))?;
        let options = store::Options { fsync, cache_bytes, keep_versions: keep_versions.unwrap_or(u64::MAX) };
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

    #[pyo3(signature = (key, *, version=None))]
    fn get<'py>(&self, py: Python<'py>, key: &[u8], version: Option<u64>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let value = self.with(py, |store| at(store, version)?.get(key))?;
        Ok(value.map(|value| PyBytes::new(py, &value)))
    }

    #[pyo3(
        signature = (prefix=b"".as_slice(), *, start=None, limit=1000, version=None),
        text_signature = "($self, prefix=b'', *, start=None, limit=1000, version=None)"
    )]
    fn scan<'py>(
        &self,
        py: Python<'py>,
        prefix: &[u8],
        start: Option<&[u8]>,
        limit: usize,
        version: Option<u64>,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
        let items = self.with(py, |store| at(store, version)?.scan(prefix, start, limit))?;
        Ok(items.iter().map(|(key, value)| (PyBytes::new(py, key), PyBytes::new(py, value))).collect())
    }

    #[pyo3(signature = (keys, *, version=None))]
    fn prove<'py>(&self, py: Python<'py>, keys: Vec<Vec<u8>>, version: Option<u64>) -> PyResult<Bound<'py, PyBytes>> {
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let proof = self.with(py, |store| at(store, version)?.prove(&keys))?;
        Ok(PyBytes::new(py, &proof))
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

fn at(store: &store::Store, version: Option<u64>) -> Result<store::Snapshot, StateError> {
    store.snapshot(version.unwrap_or_else(|| store.latest().0))
}

/// Value of a key under a root (None: proven absent).
#[pyfunction]
pub(crate) fn verify_proof<'py>(
    py: Python<'py>,
    root: &[u8],
    proof: &[u8],
    key: &[u8],
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let value = store::verify_proof(fixed(py, "root", root)?, proof, key).map_err(|error| state_error(py, &error))?;
    Ok(value.map(|value| PyBytes::new(py, &value)))
}
