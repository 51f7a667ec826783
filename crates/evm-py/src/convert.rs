//! Python values to Rust values and back.

use alloy_primitives::{Address, U256};
use pyo3::{
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyBytes, PyInt, PyTuple},
};

use crate::error::config_error;

/// Exactly N bytes.
pub(crate) fn fixed<const N: usize>(py: Python<'_>, name: &str, bytes: &[u8]) -> PyResult<[u8; N]> {
    bytes.try_into().map_err(|_| config_error(py, &format!("{name} must be {N} bytes, not {}", bytes.len())))
}

/// An account address.
pub(crate) fn address(py: Python<'_>, bytes: &[u8]) -> PyResult<Address> {
    fixed::<20>(py, "address", bytes).map(Address::from)
}

/// A non-negative int below 2^256.
pub(crate) fn number(value: &Bound<'_, PyAny>) -> PyResult<U256> {
    if let Ok(small) = value.extract::<u64>() {
        return Ok(U256::from(small));
    }
    let bytes = value
        .call_method1("to_bytes", (32, "big"))
        .map_err(|_| config_error(value.py(), "number must be an int of at least 0 and below 2**256"))?;
    Ok(U256::from_be_slice(bytes.cast::<PyBytes>()?.as_bytes()))
}

/// A Python int.
pub(crate) fn int<'py>(py: Python<'py>, number: U256) -> PyResult<Bound<'py, PyAny>> {
    match u64::try_from(number) {
        Ok(small) => Ok(small.into_pyobject(py)?.into_any()),
        Err(_) => {
            let bytes = PyBytes::new(py, &number.to_be_bytes::<32>());
            py.get_type::<PyInt>().call_method1("from_bytes", (bytes, "big"))
        }
    }
}

/// A sequence of bytes objects, borrowed without copying and usable without the interpreter.
pub(crate) fn byte_strings(sequence: &Bound<'_, PyAny>) -> PyResult<Vec<PyBackedBytes>> {
    sequence.try_iter()?.map(|item| item?.extract::<PyBackedBytes>().map_err(Into::into)).collect()
}

/// Slices of [`byte_strings`].
pub(crate) fn slices(strings: &[PyBackedBytes]) -> Vec<&[u8]> {
    strings.iter().map(AsRef::as_ref).collect()
}

/// A tuple of bytes objects.
pub(crate) fn byte_tuple<'py>(py: Python<'py>, items: &[impl AsRef<[u8]>]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, items.iter().map(|item| PyBytes::new(py, item.as_ref())))
}
