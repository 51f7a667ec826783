//! The light client of `consensus-core`. Its caller is `shared/rules/light_client.py`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use consensus_core::light_client::{self, Refusal, Validator, VerifiedState};
use pyo3::{
    intern,
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{
    convert::fixed,
    error::{guarded, light_client_error},
};

/// Incarnation, height, time and values of a state.
type Verified<'py> = (u32, u64, u64, Bound<'py, PyDict>);

/// Follows one chain. A step that fails changes nothing.
#[pyclass(frozen, module = "evm_native._native")]
#[derive(Debug)]
pub(crate) struct LightClient(Mutex<light_client::LightClient>);

impl LightClient {
    fn client(&self) -> MutexGuard<'_, light_client::LightClient> {
        // A step changes the client at its very end, so that a panic leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl LightClient {
    #[new]
    #[pyo3(signature = (chain_id, validators, *, follows_rewinds))]
    fn new(py: Python<'_>, chain_id: String, validators: &Bound<'_, PyAny>, follows_rewinds: bool) -> PyResult<Self> {
        let pinned: Vec<Validator> = validators.try_iter()?.map(|one| validator_of(&one?)).collect::<PyResult<_>>()?;
        let client = light_client::LightClient::new(chain_id, &pinned, follows_rewinds);
        Ok(Self(Mutex::new(client.map_err(|refusal| light_client_error(py, &refusal))?)))
    }

    #[getter]
    fn incarnation(&self) -> u32 {
        self.client().incarnation()
    }

    #[getter]
    fn height(&self) -> u64 {
        self.client().height()
    }

    #[getter]
    fn time_ns(&self) -> u64 {
        self.client().time_ns()
    }

    /// Verifies an encoded proof and goes on to its block; gives incarnation, height, time \[ns\] and values.
    ///
    /// Holds the interpreter, which to get back from another thread may take longer than the work.
    fn verify<'py>(&self, py: Python<'py>, untrusted: &[u8]) -> PyResult<Verified<'py>> {
        let verified = guarded(py, || self.client().verify(untrusted))?;
        let VerifiedState { incarnation, height, time_ns, values } =
            verified.map_err(|refusal: Refusal| light_client_error(py, &refusal))?;
        let shown = PyDict::new(py);
        for (key, value) in values {
            shown.set_item(PyBytes::new(py, key), value.map(|value| PyBytes::new(py, value)))?;
        }
        Ok((incarnation, height, time_ns, shown))
    }
}

fn validator_of(one: &Bound<'_, PyAny>) -> PyResult<Validator> {
    let py = one.py();
    let public_key = one.getattr(intern!(py, "public_key"))?;
    Ok(Validator {
        public_key: fixed(py, "public_key", public_key.cast::<PyBytes>()?.as_bytes())?,
        power: one.getattr(intern!(py, "power"))?.extract()?,
    })
}
