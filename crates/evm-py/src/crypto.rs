//! The cryptography of precompiles and envelopes, for clients and tests.

use alloy_primitives::B256;
use evm_core::{
    crypto::{self, Algorithm, Scheme},
    layout, signature,
};
use pyo3::{prelude::*, types::PyBytes};
use state_core::cbor::{self, Value};

use crate::{
    convert::{address, fixed},
    error::{config_error, guarded, invalid_tag},
};

#[pyfunction]
pub(crate) fn keccak256<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, alloy_primitives::keccak256(data).as_slice())
}

#[pyfunction]
pub(crate) fn sha512_256<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &crypto::sha512_256(&[data]))
}

#[pyfunction]
pub(crate) fn cshake256<'py>(
    py: Python<'py>,
    message: &[u8],
    name: &[u8],
    custom: &[u8],
    length: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, length, |output| {
        crypto::cshake256(message, name, custom, output);
        Ok(())
    })
}

#[pyfunction]
#[pyo3(signature = (key, nonce, message, ad=b"".as_slice()), text_signature = "(key, nonce, message, ad=b'')")]
pub(crate) fn deoxysii_seal<'py>(
    py: Python<'py>,
    key: &[u8],
    nonce: &[u8],
    message: &[u8],
    ad: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let (key, nonce) = (fixed(py, "key", key)?, fixed(py, "nonce", nonce)?);
    let sealed = guarded(py, || crypto::deoxysii_seal(&key, &nonce, message, ad))?;
    Ok(PyBytes::new(py, &sealed))
}

#[pyfunction]
#[pyo3(signature = (key, nonce, sealed, ad=b"".as_slice()), text_signature = "(key, nonce, sealed, ad=b'')")]
pub(crate) fn deoxysii_open<'py>(
    py: Python<'py>,
    key: &[u8],
    nonce: &[u8],
    sealed: &[u8],
    ad: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let (key, nonce) = (fixed(py, "key", key)?, fixed(py, "nonce", nonce)?);
    let message = guarded(py, || crypto::deoxysii_open(&key, &nonce, sealed, ad))?.map_err(|_| invalid_tag(py))?;
    Ok(PyBytes::new(py, &message))
}

#[pyfunction]
pub(crate) fn x25519_public<'py>(py: Python<'py>, secret: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let secret = fixed(py, "secret", secret)?;
    Ok(PyBytes::new(py, &guarded(py, || crypto::x25519_public(&secret))?))
}

#[pyfunction]
pub(crate) fn mrae_key<'py>(py: Python<'py>, secret: &[u8], public: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let (secret, public) = (fixed(py, "secret", secret)?, fixed(py, "public", public)?);
    let key = guarded(py, || crypto::mrae_key(&secret, &public))?;
    Ok(PyBytes::new(py, &key))
}

fn algorithm(py: Python<'_>, id: u64) -> PyResult<Algorithm> {
    Algorithm::from_id(id).ok_or_else(|| config_error(py, "unknown signature algorithm"))
}

/// Public and private key of a seed.
#[pyfunction(name = "keypair")]
pub(crate) fn keypair<'py>(
    py: Python<'py>,
    method: u64,
    seed: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let algorithm = algorithm(py, method)?;
    let (public, private) =
        guarded(py, || crypto::keypair(algorithm, seed))?.map_err(|error| config_error(py, error.0))?;
    Ok((PyBytes::new(py, &public), PyBytes::new(py, &private)))
}

#[pyfunction]
pub(crate) fn sign<'py>(
    py: Python<'py>,
    method: u64,
    secret: &[u8],
    context: &[u8],
    message: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let algorithm = algorithm(py, method)?;
    let signature = guarded(py, || crypto::sign(algorithm, secret, context, message))?
        .map_err(|error| config_error(py, error.0))?;
    Ok(PyBytes::new(py, &signature))
}

#[pyfunction]
pub(crate) fn verify(
    py: Python<'_>,
    method: u64,
    public: &[u8],
    context: &[u8],
    message: &[u8],
    signature: &[u8],
) -> PyResult<bool> {
    let algorithm = algorithm(py, method)?;
    guarded(py, || crypto::verify(algorithm, public, context, message, signature))?
        .map_err(|error| config_error(py, error.0))
}

fn scheme(py: Python<'_>, name: &str) -> PyResult<Scheme> {
    Scheme::find(name).ok_or_else(|| config_error(py, "unknown signature scheme"))
}

/// Signature of a message in a context, as transactions are signed.
#[pyfunction]
pub(crate) fn sign_separated<'py>(
    py: Python<'py>,
    scheme_name: &str,
    secret: &[u8],
    context: &[u8],
    message: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let scheme = scheme(py, scheme_name)?;
    let signature = guarded(py, || crypto::sign_separated(scheme, secret, context, message))?
        .map_err(|error| config_error(py, error.0))?;
    Ok(PyBytes::new(py, &signature))
}

#[pyfunction]
pub(crate) fn verify_separated(
    py: Python<'_>,
    scheme_name: &str,
    public: &[u8],
    context: &[u8],
    message: &[u8],
    signature: &[u8],
) -> PyResult<bool> {
    let scheme = scheme(py, scheme_name)?;
    guarded(py, || crypto::verify_separated(scheme, public, context, message, signature))?
        .map_err(|error| config_error(py, error.0))
}

/// Address of who signed a digest.
#[pyfunction]
pub(crate) fn recover_signer<'py>(py: Python<'py>, digest: &[u8], signature: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let (digest, signature) = (fixed(py, "digest", digest)?, fixed(py, "signature", signature)?);
    let signer =
        guarded(py, || signature::recover(&signature, &B256::new(digest)))?.map_err(|error| config_error(py, error))?;
    Ok(PyBytes::new(py, signer.as_slice()))
}

/// Signature of an Ethereum account over a digest.
#[pyfunction]
pub(crate) fn sign_digest<'py>(py: Python<'py>, secret: &[u8], digest: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let (secret, digest) = (fixed(py, "secret", secret)?, fixed(py, "digest", digest)?);
    let signature = guarded(py, || signature::sign(&secret, &B256::new(digest)))?
        .ok_or_else(|| config_error(py, "the secret is no key"))?;
    Ok(PyBytes::new(py, &signature))
}

/// The 21-byte Oasis address of an Ethereum account.
#[pyfunction]
pub(crate) fn oasis_address<'py>(py: Python<'py>, account: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &layout::oasis_address(&address(py, account)?)))
}

/// Return data from a sealed result `{ok: {data, nonce}}`, as a client with the session key reads it.
#[pyfunction]
pub(crate) fn open_result<'py>(py: Python<'py>, key: &[u8], result: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let key = fixed(py, "key", key)?;
    let malformed = || config_error(py, "not a sealed result");
    let (mut sealed, mut nonce) = (None, None);
    if let Some(Value::Map(envelope)) = field(result, "ok") {
        for (name, value) in envelope {
            match (name, value) {
                (Value::Text(name), Value::Bytes(bytes)) if name == "data" => sealed = Some(bytes),
                (Value::Text(name), Value::Bytes(bytes)) if name == "nonce" => nonce = Some(bytes),
                _ => return Err(malformed()),
            }
        }
    }
    let (sealed, nonce) = (sealed.ok_or_else(malformed)?, nonce.ok_or_else(malformed)?);
    let nonce = fixed(py, "nonce", &nonce)?;
    let opened = guarded(py, || crypto::deoxysii_open(&key, &nonce, &sealed, &[]))?.map_err(|_| invalid_tag(py))?;
    match field(&opened, "ok") {
        Some(Value::Bytes(output)) => Ok(PyBytes::new(py, &output)),
        _ => Err(malformed()),
    }
}

/// The value of a map with this one key.
fn field(data: &[u8], name: &str) -> Option<Value> {
    match cbor::decode(data) {
        Ok(Value::Map(mut entries)) if entries.len() == 1 => {
            let (key, value) = entries.pop()?;
            (key == Value::Text(name.into())).then_some(value)
        }
        _ => None,
    }
}
