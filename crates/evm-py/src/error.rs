//! The one table from Rust's errors to the exceptions of `evm_native.errors`.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use consensus_core::light_client::Refusal;
use evm_core::failure::{EngineError, HostError};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyTuple, PyType},
};
use state_core::errors::StateError;

thread_local! {
    /// What a callback raised on this thread; becomes the cause of the [`HostError`] it led to.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Keeps a callback's exception until the call that led to it returns.
pub(crate) fn host_error(error: PyErr) -> HostError {
    RAISED.with(|raised| raised.replace(Some(error)));
    HostError("a Python callback raised".into())
}

fn exception(py: Python<'_>, name: &str, arguments: impl FnOnce() -> PyResult<Py<PyTuple>>) -> PyErr {
    let build = || -> PyResult<PyErr> {
        let class = py.import("evm_native.errors")?.getattr(name)?.cast_into::<PyType>()?;
        Ok(PyErr::from_value(class.call1(arguments()?.bind(py))?))
    };
    build().unwrap_or_else(|error| error)
}

fn with_message(py: Python<'_>, name: &str, message: &str) -> PyErr {
    exception(py, name, || Ok((message,).into_pyobject(py)?.unbind()))
}

pub(crate) fn config_error(py: Python<'_>, message: &str) -> PyErr {
    with_message(py, "ConfigError", message)
}

pub(crate) fn state_error(py: Python<'_>, error: &StateError) -> PyErr {
    with_message(py, "StateError", &error.to_string())
}

/// A proof about consensus state that shows something else.
pub(crate) fn proof_error(py: Python<'_>, message: &str) -> PyErr {
    with_message(py, "ProofError", message)
}

/// Something that the light client does not believe, with the name of the class that says why.
pub(crate) fn light_client_error(py: Python<'_>, refusal: &Refusal) -> PyErr {
    exception(py, "LightClientError", || Ok((refusal.to_string(), refusal.kind()).into_pyobject(py)?.unbind()))
}

pub(crate) fn invalid_tag(py: Python<'_>) -> PyErr {
    with_message(py, "InvalidTag", "Tag verification failed")
}

/// A question to a chain of Ethereum that is refused, with JSON-RPC's code.
pub(crate) fn refused(py: Python<'_>, code: i64, message: &str, data: Option<&[u8]>) -> PyErr {
    exception(py, "EthereumRefused", || {
        let data = data.map(|data| PyBytes::new(py, data));
        Ok((code, message, data).into_pyobject(py)?.unbind())
    })
}

pub(crate) fn engine_error(py: Python<'_>, error: &EngineError) -> PyErr {
    let text = error.to_string();
    match error {
        EngineError::Config(message) => config_error(py, message),
        EngineError::State(error) => state_error(py, error),
        EngineError::Decryption(address) => {
            exception(py, "DecryptionError", || Ok((text, PyBytes::new(py, address)).into_pyobject(py)?.unbind()))
        }
        EngineError::Host(_) => {
            let raised = with_message(py, "HostError", &text);
            raised.set_cause(py, RAISED.with(RefCell::take));
            raised
        }
        EngineError::InvalidBatch { index, error } => {
            exception(py, "InvalidBatch", || Ok((text, *index, error.module, error.code).into_pyobject(py)?.unbind()))
        }
        EngineError::Call(failure) => exception(py, "CallFailed", || {
            let data = failure.data.as_ref().map(|data| PyBytes::new(py, data));
            let error = &failure.error;
            Ok((error.module, error.code, &error.message, data).into_pyobject(py)?.unbind())
        }),
    }
}

/// Runs native work with the interpreter released; a panic becomes an exception that holds no data.
pub(crate) fn released<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work))).map_err(|_| panicked(py))
}

/// [`released`] for work too short to release the interpreter for.
pub(crate) fn guarded<T>(py: Python<'_>, work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| panicked(py))
}

fn panicked(py: Python<'_>) -> PyErr {
    with_message(py, "NativePanic", "the native core panicked; see stderr for the place")
}

/// [`released`] for work that fails with an engine's error.
pub(crate) fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, EngineError> + Send) -> PyResult<T> {
    released(py, work)?.map_err(|error| engine_error(py, &error))
}
