//! What consensus proves; see `consensus-core`. Callers are `shared/crypto` and `shared/rules/headers.py`.

use std::borrow::Cow;

use consensus_core::{
    digest::sha512_256,
    header::{self, BlockId, Commit, CommitSignature, Header, TimeOutOfRange},
    merkle, signature,
    tree::{self, Tree},
};
use pyo3::{
    exceptions::PyOverflowError,
    intern,
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyBytes, PyDict, PyString},
};

use crate::{
    convert::{byte_strings, fixed},
    error::{guarded, proof_error},
};

type Name<'a, 'py> = &'a Bound<'py, PyString>;

fn time_error(error: TimeOutOfRange) -> PyErr {
    PyOverflowError::new_err(error.to_string())
}

fn bytes(of: &Bound<'_, PyAny>, name: Name<'_, '_>) -> PyResult<PyBackedBytes> {
    Ok(of.getattr(name)?.extract::<PyBackedBytes>()?)
}

/// A 64-bit integer; `OverflowError` where it is larger.
fn integer(of: &Bound<'_, PyAny>, name: Name<'_, '_>) -> PyResult<i64> {
    of.getattr(name)?.extract()
}

fn nanoseconds(value: &Bound<'_, PyAny>) -> PyResult<i128> {
    match value.extract::<i64>() {
        Ok(small) => Ok(small.into()),
        Err(_) => value.extract(),
    }
}

fn time_ns(of: &Bound<'_, PyAny>) -> PyResult<i128> {
    nanoseconds(&of.getattr(intern!(of.py(), "time_ns"))?)
}

fn block_id(of: &Bound<'_, PyAny>) -> PyResult<BlockId<PyBackedBytes>> {
    let py = of.py();
    Ok(BlockId {
        hash: bytes(of, intern!(py, "hash"))?,
        parts_total: integer(of, intern!(py, "parts_total"))?,
        parts_hash: bytes(of, intern!(py, "parts_hash"))?,
    })
}

fn header_of(of: &Bound<'_, PyAny>) -> PyResult<Header<PyBackedBytes>> {
    let py = of.py();
    let chain_id = of.getattr(intern!(py, "chain_id"))?.cast_into::<PyString>()?;
    Ok(Header {
        version_block: integer(of, intern!(py, "version_block"))?,
        version_app: integer(of, intern!(py, "version_app"))?,
        chain_id: chain_id.encode_utf8()?.into(),
        height: integer(of, intern!(py, "height"))?,
        time_ns: time_ns(of)?,
        last_block_id: block_id(&of.getattr(intern!(py, "last_block_id"))?)?,
        hashes: [
            bytes(of, intern!(py, "last_commit_hash"))?,
            bytes(of, intern!(py, "data_hash"))?,
            bytes(of, intern!(py, "validators_hash"))?,
            bytes(of, intern!(py, "next_validators_hash"))?,
            bytes(of, intern!(py, "consensus_hash"))?,
            bytes(of, intern!(py, "app_hash"))?,
            bytes(of, intern!(py, "last_results_hash"))?,
            bytes(of, intern!(py, "evidence_hash"))?,
            bytes(of, intern!(py, "proposer_address"))?,
        ],
    })
}

fn signatures_of(of: &Bound<'_, PyAny>) -> PyResult<Vec<CommitSignature<PyBackedBytes>>> {
    of.try_iter()?
        .map(|one| {
            let one = one?;
            Ok(CommitSignature {
                validator_address: bytes(&one, intern!(one.py(), "validator_address"))?,
                time_ns: time_ns(&one)?,
                signature: bytes(&one, intern!(one.py(), "signature"))?,
            })
        })
        .collect()
}

fn commit_of(of: &Bound<'_, PyAny>) -> PyResult<Commit<PyBackedBytes>> {
    let py = of.py();
    Ok(Commit {
        height: integer(of, intern!(py, "height"))?,
        round: integer(of, intern!(py, "round"))?,
        block_id: block_id(&of.getattr(intern!(py, "block_id"))?)?,
        signatures: signatures_of(&of.getattr(intern!(py, "signatures"))?)?,
    })
}

/// An Ed25519 private key. Shows its public one only.
#[pyclass(frozen, module = "evm_native")]
pub(crate) struct Ed25519Key(signature::Signer);

#[pymethods]
impl Ed25519Key {
    #[new]
    fn new(py: Python<'_>, seed: &[u8]) -> PyResult<Self> {
        Ok(Self(signature::Signer::new(&fixed(py, "seed", seed)?)))
    }

    #[getter]
    fn public_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.public_key())
    }

    /// Signs a message, or SHA-512/256 of a context and a message.
    #[pyo3(signature = (message, context=None), text_signature = "($self, message, context=None)")]
    fn sign<'py>(&self, py: Python<'py>, message: &[u8], context: Option<&[u8]>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.sign(&signed_bytes(message, context)))
    }
}

fn signed_bytes<'a>(message: &'a [u8], context: Option<&[u8]>) -> Cow<'a, [u8]> {
    match context {
        None => Cow::Borrowed(message),
        Some(context) => Cow::Owned(sha512_256(&[context, message]).to_vec()),
    }
}

/// Whether a key signed a message, or SHA-512/256 of a context and a message.
#[pyfunction]
#[pyo3(signature = (public, message, signature, context=None), text_signature = "(public, message, signature, context=None)")]
pub(crate) fn verify_ed25519(public: &[u8], message: &[u8], signature: &[u8], context: Option<&[u8]>) -> bool {
    let (Ok(public), Ok(signature)) = (public.try_into(), signature.try_into()) else { return false };
    signature::verify(public, &signed_bytes(message, context), signature)
}

#[pyfunction]
pub(crate) fn merkle_root<'py>(items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(items.py(), &merkle::root(&byte_strings(items)?)))
}

#[pyfunction]
pub(crate) fn header_hash<'py>(header: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(header.py(), &header_of(header)?.hash().map_err(time_error)?))
}

#[pyfunction]
pub(crate) fn precommit_sign_bytes<'py>(
    chain_id: &str,
    commit: &Bound<'py, PyAny>,
    time_ns: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = commit.py();
    let signed = header::precommit_sign_bytes(
        chain_id.as_bytes(),
        integer(commit, intern!(py, "height"))?,
        integer(commit, intern!(py, "round"))?,
        &block_id(&commit.getattr(intern!(py, "block_id"))?)?,
        nanoseconds(time_ns)?,
    );
    Ok(PyBytes::new(py, &signed.map_err(time_error)?))
}

#[pyfunction]
pub(crate) fn commit_hash<'py>(signatures: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let hash = header::commit_hash(&signatures_of(signatures)?).map_err(time_error)?;
    Ok(PyBytes::new(signatures.py(), &hash))
}

#[pyfunction]
pub(crate) fn validators_hash<'py>(validators: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = validators.py();
    let all: Vec<(PyBackedBytes, i64)> = validators
        .try_iter()?
        .map(|one| {
            let one = one?;
            Ok((bytes(&one, intern!(py, "public_key"))?, integer(&one, intern!(py, "power"))?))
        })
        .collect::<PyResult<_>>()?;
    Ok(PyBytes::new(py, &header::validators_hash(&all)))
}

#[pyfunction]
pub(crate) fn block_parts<'py>(
    header: &Bound<'py, PyAny>,
    transactions: &Bound<'py, PyAny>,
    evidence: &Bound<'py, PyAny>,
    last_commit: Option<&Bound<'py, PyAny>>,
) -> PyResult<(usize, Bound<'py, PyBytes>)> {
    let commit = last_commit.map(commit_of).transpose()?;
    let (total, root) = header::block_parts(
        &header_of(header)?,
        &byte_strings(transactions)?,
        &byte_strings(evidence)?,
        commit.as_ref(),
    )
    .map_err(time_error)?;
    Ok((total, PyBytes::new(header.py(), &root)))
}

/// Keys with values, `None` for those without.
fn claims(items: &Bound<'_, PyAny>) -> PyResult<Vec<(PyBackedBytes, Option<PyBackedBytes>)>> {
    items.try_iter()?.map(|item| item?.extract()).collect()
}

#[pyfunction]
pub(crate) fn verify_state_proof(
    py: Python<'_>,
    root: &[u8],
    untrusted: &[u8],
    items: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let claims = claims(items)?;
    let claimed = claims.iter().map(|(key, value)| (key.as_ref(), value.as_deref()));
    guarded(py, || tree::verify(root, untrusted, claimed))?.map_err(|error| proof_error(py, &error.to_string()))
}

/// One version of consensus state. Never changes.
#[pyclass(frozen, module = "evm_native._native", name = "StateTree")]
#[derive(Debug)]
pub(crate) struct StateTree(Tree);

#[pymethods]
impl StateTree {
    #[staticmethod]
    fn empty() -> Self {
        Self(Tree::default())
    }

    #[getter]
    fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.root())
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn get<'py>(&self, py: Python<'py>, key: &[u8]) -> Option<Bound<'py, PyBytes>> {
        self.0.get(key).map(|value| PyBytes::new(py, value))
    }

    fn keys<'py>(&self, py: Python<'py>, prefix: &[u8]) -> Vec<Bound<'py, PyBytes>> {
        self.0.items(prefix).map(|(key, _)| PyBytes::new(py, key)).collect()
    }

    #[pyo3(signature = (prefix=b"".as_slice()), text_signature = "($self, prefix=b'')")]
    fn items<'py>(&self, py: Python<'py>, prefix: &[u8]) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        self.0.items(prefix).map(|(key, value)| (PyBytes::new(py, key), PyBytes::new(py, value))).collect()
    }

    fn with_changes(&self, changes: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = changes.py();
        let changes = claims(changes.items().as_any())?;
        let changed = changes.iter().map(|(key, value)| (key.as_ref(), value.as_deref()));
        Ok(Self(guarded(py, || self.0.with_changes(changed))?))
    }

    fn prove<'py>(&self, keys: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let asked = byte_strings(keys)?;
        Ok(PyBytes::new(keys.py(), &self.0.prove(asked.iter().map(AsRef::as_ref))))
    }
}
