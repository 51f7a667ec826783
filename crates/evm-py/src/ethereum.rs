//! A chain of Ethereum in memory.

use alloy_primitives::{B256, Bytes, U256};
use ethereum_chain::{
    call::Question,
    chain::Chain,
    failure::{Failure, Result},
    shown,
};
use evm_core::tracing::Limits;
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    convert::{address, fixed, int},
    error::{config_error, engine_error, refused, released},
};

/// Blocks of Ethereum, each checked. Frozen; safe to use from several threads.
#[pyclass(frozen, module = "evm_native")]
pub(crate) struct EthereumChain {
    inner: Chain<'static>,
}

#[pymethods]
impl EthereumChain {
    #[new]
    fn new(py: Python<'_>, genesis: &[u8], blocks: &[u8]) -> PyResult<Self> {
        let inner = ask(py, || {
            let mut chain = Chain::new(genesis, None)?;
            chain.import_all(blocks)?;
            Ok(chain)
        })?;
        Ok(Self { inner })
    }

    #[getter]
    fn newest(&self) -> u64 {
        self.inner.newest().block.header.number
    }

    #[getter]
    fn chain_id(&self) -> u64 {
        self.inner.newest().rules.cfg.chain_id
    }

    fn block<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Bound<'py, PyBytes>> {
        let text = ask(py, || Ok(shown::whole(self.inner.block(number)?).to_string()))?;
        Ok(PyBytes::new(py, text.as_bytes()))
    }

    fn account<'py>(
        &self,
        py: Python<'py>,
        number: u64,
        account: &[u8],
    ) -> PyResult<(u64, Bound<'py, PyAny>, Bound<'py, PyBytes>)> {
        let account = address(py, account)?;
        let (nonce, balance, code) = ask(py, || self.inner.account(number, account))?;
        Ok((nonce, int(py, balance)?, PyBytes::new(py, &code)))
    }

    fn storage<'py>(&self, py: Python<'py>, number: u64, account: &[u8], slot: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let (account, slot) = (address(py, account)?, U256::from_be_bytes(fixed::<32>(py, "slot", slot)?));
        let value = ask(py, || self.inner.storage(number, account, slot))?;
        Ok(PyBytes::new(py, &value.to_be_bytes::<32>()))
    }

    fn proof<'py>(
        &self,
        py: Python<'py>,
        number: u64,
        account: &[u8],
        slots: Vec<(Vec<u8>, String)>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let account = address(py, account)?;
        let slots = slots.into_iter().map(|(slot, name)| Ok((B256::from(fixed::<32>(py, "slot", &slot)?), name)));
        let slots = slots.collect::<PyResult<Vec<_>>>()?;
        let text = ask(py, || Ok(self.inner.proof(number, account, &slots)?.to_string()))?;
        Ok(PyBytes::new(py, text.as_bytes()))
    }

    fn call<'py>(&self, py: Python<'py>, number: u64, question: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let output: Bytes = ask(py, || self.inner.call(number, &Question::read(question)?))?;
        Ok(PyBytes::new(py, &output))
    }

    fn estimate_gas(&self, py: Python<'_>, number: u64, question: &[u8]) -> PyResult<u64> {
        ask(py, || self.inner.estimate_gas(number, &Question::read(question)?))
    }

    fn simulate<'py>(&self, py: Python<'py>, number: u64, payload: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let text = ask(py, || Ok(self.inner.simulate(number, payload)?.to_string()))?;
        Ok(PyBytes::new(py, text.as_bytes()))
    }

    fn simulate_calls<'py>(&self, py: Python<'py>, number: u64, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let text = ask(py, || self.inner.simulate_calls(number, request, Limits::default()))?;
        Ok(PyBytes::new(py, &text))
    }

    fn admit<'py>(&self, py: Python<'py>, raw: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let text = ask(py, || Ok(self.inner.admit(raw)?.to_string()))?;
        Ok(PyBytes::new(py, text.as_bytes()))
    }

    fn build<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let text = ask(py, || Ok(self.inner.build(request)?.to_string()))?;
        Ok(PyBytes::new(py, text.as_bytes()))
    }

    #[pyo3(signature = (number, style, wanted=None))]
    fn trace<'py>(
        &self,
        py: Python<'py>,
        number: u64,
        style: &[u8],
        wanted: Option<usize>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let traces = ask(py, || self.inner.trace(number, wanted, style, Limits::default()))?;
        Ok(traces.iter().map(|trace| PyBytes::new(py, trace)).collect())
    }
}

fn ask<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    released(py, work)?.map_err(|failure| match failure {
        Failure::Import(why) => config_error(py, &why),
        Failure::Engine(error) => engine_error(py, &error),
        Failure::Refused { code, message, data } => refused(py, code, &message, data.as_ref().map(AsRef::as_ref)),
    })
}
