//! The engine, and the objects it hands out.

use alloy_primitives::{Address, B256, Bytes, U256};
use evm_core::{
    attested::{AttestedHost, KeyPair},
    engine::{self, Call, Checked, Pretence, Rejection},
    failure::HostError,
    genesis::{self, GenesisAccount},
    modules::Inbox,
    results::spent,
    subcall::{Reply, Request, Subcalls},
    tracing::{Limits, Style},
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyBytes, PyTuple},
};
use state_core::{io, store::At};
use zeroize::Zeroizing;

use crate::{
    config::{BlockEnv, ChainConfig},
    convert::{address, byte_strings, byte_tuple, fixed, int, number, slices},
    error::{engine_error, host_error, released, run, state_error},
    store::{Store, at},
};

/// Storage keys from a Python function `address -> 32 bytes`.
struct PythonKeys(Py<PyAny>);

impl evm_core::contract_keys::StateKeys for PythonKeys {
    fn state_key(&self, contract: &Address) -> Result<Zeroizing<[u8; 32]>, HostError> {
        Python::attach(|py| {
            let key = self.0.call1(py, (PyBytes::new(py, contract.as_slice()),))?;
            let key = key.extract::<PyBackedBytes>(py)?;
            Ok(Zeroizing::new(fixed(py, "state key", &key)?))
        })
        .map_err(host_error)
    }
}

/// Modules behind a Python function `(method, body, caller, read_only, gas) -> (status, data, gas_used) | None`.
struct PythonSubcalls(Py<PyAny>);

impl Subcalls for PythonSubcalls {
    fn call(&self, request: &Request<'_>) -> Result<Option<Reply>, HostError> {
        Python::attach(|py| -> PyResult<Option<Reply>> {
            let body = PyBytes::new(py, request.body);
            let caller = PyBytes::new(py, request.caller);
            let answer = self.0.call1(py, (request.method, body, caller, request.read_only, request.gas))?;
            let answer = answer.extract::<Option<(u64, Vec<u8>, u64)>>(py)?;
            Ok(answer.map(|(status, data, gas_used)| Reply { status, data, gas_used }))
        })
        .map_err(host_error)
    }
}

/// An object with `key_pair(names) -> (state key, secret)` and `judge(question) -> answer`.
struct PythonAttested(Py<PyAny>);

impl AttestedHost for PythonAttested {
    fn key_pair(&self, names: &[&[u8]]) -> Result<KeyPair, HostError> {
        Python::attach(|py| -> PyResult<KeyPair> {
            let names = PyTuple::new(py, names.iter().map(|name| PyBytes::new(py, name)))?;
            let pair = self.0.call_method1(py, "key_pair", (names,))?;
            let (state_key, secret) = pair.extract::<(PyBackedBytes, PyBackedBytes)>(py)?;
            Ok(KeyPair {
                state_key: Zeroizing::new(fixed(py, "state key", &state_key)?),
                secret: Zeroizing::new(fixed(py, "secret", &secret)?),
            })
        })
        .map_err(host_error)
    }

    fn judge(&self, question: &[u8]) -> Result<Vec<u8>, HostError> {
        Python::attach(|py| -> PyResult<Vec<u8>> {
            let answer = self.0.call_method1(py, "judge", (PyBytes::new(py, question),))?;
            answer.extract::<Vec<u8>>(py)
        })
        .map_err(host_error)
    }
}

/// Reads `(address, balance)`, or `(address, balance, nonce, code, storage)` with pairs of slot and value.
fn genesis_account(py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<GenesisAccount> {
    if let Ok((account, balance)) = item.extract::<(PyBackedBytes, Bound<'_, PyAny>)>() {
        return Ok(GenesisAccount::funded(address(py, &account)?, number(&balance)?));
    }
    type Whole<'py> =
        (PyBackedBytes, Bound<'py, PyAny>, u64, PyBackedBytes, Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>);
    let (account, balance, nonce, code, slots) = item.extract::<Whole<'_>>()?;
    let storage = slots.iter().map(|(slot, value)| Ok((number(slot)?, number(value)?))).collect::<PyResult<_>>()?;
    Ok(GenesisAccount {
        address: address(py, &account)?,
        balance: number(&balance)?,
        nonce,
        code: Bytes::copy_from_slice(&code),
        storage,
    })
}

/// The contracts that every chain has: `(address, balance, nonce, code, storage)` each, as `execute` takes them.
#[pyfunction]
pub(crate) fn predeployed<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(
        py,
        genesis::predeployed().iter().map(|one| {
            (PyBytes::new(py, one.address.as_slice()), 0, one.nonce, PyBytes::new(py, &one.code), PyTuple::empty(py))
        }),
    )
}

/// A transaction that may enter the pool. Frozen.
#[pyclass(frozen, get_all, module = "evm_native")]
pub(crate) struct TxInfo {
    hash: Py<PyBytes>,
    sender: Py<PyBytes>,
    nonce: u64,
    gas: u64,
    gas_price: u128,
    account_nonce: u64,
    size: usize,
}

impl TxInfo {
    fn new(py: Python<'_>, checked: &Checked) -> Self {
        let transaction = &checked.transaction;
        Self {
            hash: PyBytes::new(py, transaction.hash.as_slice()).unbind(),
            sender: PyBytes::new(py, transaction.sender.as_slice()).unbind(),
            nonce: transaction.nonce,
            gas: transaction.gas_limit,
            // What the network's owner changes goes first.
            gas_price: if transaction.edit.is_some() { u128::MAX } else { transaction.max_fee },
            account_nonce: checked.account_nonce,
            size: transaction.size,
        }
    }
}

/// Why a transaction was refused. Frozen; a value, not an exception.
#[pyclass(frozen, get_all, module = "evm_native")]
pub(crate) struct CheckError {
    hash: Option<Py<PyBytes>>,
    module: &'static str,
    code: u32,
    message: String,
}

#[pymethods]
impl CheckError {
    fn __repr__(&self) -> String {
        format!("CheckError({}, {}, {:?})", self.module, self.code, self.message)
    }
}

impl CheckError {
    fn new(py: Python<'_>, rejection: &Rejection) -> Self {
        Self {
            hash: rejection.hash.map(|hash| PyBytes::new(py, hash.as_slice()).unbind()),
            module: rejection.error.module,
            code: rejection.error.code,
            message: rejection.error.message.clone(),
        }
    }
}

/// The next version, computed and not visible. Dropping it discards it.
#[pyclass(frozen, module = "evm_native")]
pub(crate) struct PendingBlock {
    inner: engine::PendingBlock,
}

#[pymethods]
impl PendingBlock {
    #[getter]
    fn round(&self) -> u64 {
        self.inner.round
    }

    #[getter]
    fn included<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.inner.included)
    }

    #[getter]
    fn rejected<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let rejected: Vec<(usize, CheckError)> =
            self.inner.rejected.iter().map(|(index, rejection)| (*index, CheckError::new(py, rejection))).collect();
        PyTuple::new(py, rejected)
    }

    #[getter]
    fn results<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let records: Vec<&Vec<u8>> = self.inner.results.iter().chain(&self.inner.summary).collect();
        byte_tuple(py, &records)
    }

    #[getter]
    fn messages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        byte_tuple(py, &self.inner.messages)
    }

    #[getter]
    fn gas_used(&self) -> u64 {
        self.inner.gas_used
    }

    #[getter]
    fn state_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.state_root())
    }

    #[getter]
    fn io_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.io_root)
    }

    #[getter]
    fn diff<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.diff())
    }

    fn persist(&self, py: Python<'_>) -> PyResult<()> {
        run(py, || self.inner.persist())
    }
}

/// Executes transactions and answers queries over a store.
#[pyclass(frozen, module = "evm_native")]
pub(crate) struct Engine {
    inner: engine::Engine,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (config, store, *, state_key=None, subcall=None, attested=None))]
    fn new(
        py: Python<'_>,
        config: &ChainConfig,
        store: &Store,
        state_key: Option<Py<PyAny>>,
        subcall: Option<Py<PyAny>>,
        attested: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let keys = state_key.map(|function| Box::new(PythonKeys(function)) as _);
        let subcalls = subcall.map(|function| Box::new(PythonSubcalls(function)) as _);
        let inner = engine::Engine::new(config.inner.clone(), store.get_open(py)?, keys, subcalls)
            .map_err(|error| engine_error(py, &error))?;
        let attested = attested.map(|host| Box::new(PythonAttested(host)) as _);
        Ok(Self { inner: inner.with_attested(attested) })
    }

    #[pyo3(signature = (txs, *, version=None, root=None))]
    fn check<'py>(
        &self,
        py: Python<'py>,
        txs: &Bound<'py, PyAny>,
        version: Option<u64>,
        root: Option<&[u8]>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let txs = byte_strings(txs)?;
        let at = self.at(py, version, root)?;
        run(py, || self.inner.check(&slices(&txs), at))?
            .iter()
            .map(|checked| match checked {
                Ok(checked) => Ok(Bound::new(py, TxInfo::new(py, checked))?.into_any()),
                Err(rejection) => Ok(Bound::new(py, CheckError::new(py, rejection))?.into_any()),
            })
            .collect()
    }

    #[pyo3(
        signature = (env, txs, *, genesis=None, inbox=b"".as_slice(), strict),
        text_signature = "($self, env, txs, *, genesis=None, inbox=b'', strict)"
    )]
    fn execute(
        &self,
        py: Python<'_>,
        env: &BlockEnv,
        txs: &Bound<'_, PyAny>,
        genesis: Option<&Bound<'_, PyAny>>,
        inbox: &[u8],
        strict: bool,
    ) -> PyResult<PendingBlock> {
        let txs = byte_strings(txs)?;
        let accounts = genesis_accounts(py, genesis)?;
        let inner =
            run(py, || self.inner.execute_after(&env.inner, &slices(&txs), &accounts, Inbox::decode(inbox)?, strict))?;
        Ok(PendingBlock { inner })
    }

    #[pyo3(signature = (env, *, version, caller, to, gas, gas_price, value, data, pretence=None))]
    #[allow(clippy::too_many_arguments)]
    fn call<'py>(
        &self,
        py: Python<'py>,
        env: &BlockEnv,
        version: u64,
        caller: &[u8],
        to: Option<&[u8]>,
        gas: u64,
        gas_price: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        data: &[u8],
        pretence: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let pretence = pretence.map(|text| run(py, || Pretence::parse(text))).transpose()?;
        let call = Call {
            caller: address(py, caller)?,
            to: to.map(|to| address(py, to)).transpose()?,
            gas,
            gas_price: number(gas_price)?,
            value: number(value)?,
            data,
            pretence: pretence.as_ref(),
        };
        let at = At { version, root: env.inner.state_root };
        let output = run(py, || self.inner.call(&env.inner, at, &call))?;
        Ok(PyBytes::new(py, &output))
    }

    #[pyo3(signature = (env, *, version, caller, to, gas, gas_price, value, data, pretence=None))]
    #[allow(clippy::too_many_arguments)]
    fn estimate_gas(
        &self,
        py: Python<'_>,
        env: &BlockEnv,
        version: u64,
        caller: &[u8],
        to: Option<&[u8]>,
        gas: u64,
        gas_price: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        data: &[u8],
        pretence: Option<&[u8]>,
    ) -> PyResult<u64> {
        let pretence = pretence.map(|text| run(py, || Pretence::parse(text))).transpose()?;
        let call = Call {
            caller: address(py, caller)?,
            to: to.map(|to| address(py, to)).transpose()?,
            gas,
            gas_price: number(gas_price)?,
            value: number(value)?,
            data,
            pretence: pretence.as_ref(),
        };
        let at = At { version, root: env.inner.state_root };
        run(py, || self.inner.estimate_gas(&env.inner, at, &call))
    }

    /// Gas that a transaction of the SDK's format should need, which nobody has signed.
    #[pyo3(signature = (env, args, *, version))]
    fn estimate_sdk_gas(&self, py: Python<'_>, env: &BlockEnv, args: &[u8], version: u64) -> PyResult<u64> {
        let at = At { version, root: env.inner.state_root };
        run(py, || self.inner.estimate_sdk_gas(&env.inner, at, args))
    }

    #[pyo3(signature = (env, txs, *, block_hash, genesis=None, wanted=None, style))]
    #[allow(clippy::too_many_arguments)]
    fn replay<'py>(
        &self,
        py: Python<'py>,
        env: &BlockEnv,
        txs: &Bound<'py, PyAny>,
        block_hash: &[u8],
        genesis: Option<&Bound<'py, PyAny>>,
        wanted: Option<usize>,
        style: &[u8],
    ) -> PyResult<Bound<'py, PyTuple>> {
        let txs = byte_strings(txs)?;
        let accounts = genesis_accounts(py, genesis)?;
        let hash = B256::from(fixed::<32>(py, "block hash", block_hash)?);
        let replayed = run(py, || {
            let (style, limits) = (Style::parse(style)?, Limits::default());
            self.inner.replay(&env.inner, hash, &slices(&txs), &accounts, wanted, &style, limits)
        })?;
        let pairs = replayed.iter().map(|one| (PyBytes::new(py, &one.result), PyBytes::new(py, &one.trace)));
        PyTuple::new(py, pairs.collect::<Vec<_>>())
    }

    #[pyo3(signature = (env, request, *, version))]
    fn simulate<'py>(
        &self,
        py: Python<'py>,
        env: &BlockEnv,
        request: &[u8],
        version: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let at = At { version, root: env.inner.state_root };
        let answer = run(py, || self.inner.simulate_blocks(&env.inner, at, request, Limits::default()))?;
        Ok(PyBytes::new(py, &answer))
    }

    /// Nonce and balance.
    #[pyo3(signature = (account, version=None, *, root=None))]
    fn account<'py>(
        &self,
        py: Python<'py>,
        account: &[u8],
        version: Option<u64>,
        root: Option<&[u8]>,
    ) -> PyResult<(u64, Bound<'py, PyAny>)> {
        let (account, at) = (address(py, account)?, self.at(py, version, root)?);
        let (nonce, balance): (u64, U256) = run(py, || self.inner.account(&account, at))?;
        Ok((nonce, int(py, balance)?))
    }

    #[pyo3(signature = (account, version=None, *, root=None))]
    fn code<'py>(
        &self,
        py: Python<'py>,
        account: &[u8],
        version: Option<u64>,
        root: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (account, at) = (address(py, account)?, self.at(py, version, root)?);
        Ok(PyBytes::new(py, &run(py, || self.inner.code(&account, at))?))
    }

    #[pyo3(signature = (account, slot, version=None, *, root=None))]
    fn storage<'py>(
        &self,
        py: Python<'py>,
        account: &[u8],
        slot: &[u8],
        version: Option<u64>,
        root: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (account, slot) = (address(py, account)?, fixed(py, "slot", slot)?);
        let at = self.at(py, version, root)?;
        Ok(PyBytes::new(py, &run(py, || self.inner.storage(&account, &slot, at))?))
    }

    /// Nonce, balance, code hash and storage root as the trie has them, the account's nodes, and of each slot its value
    /// and nodes; None where an account or the chain is in no trie.
    #[pyo3(signature = (account, slots, version=None, *, root=None))]
    #[allow(clippy::type_complexity)]
    fn prove<'py>(
        &self,
        py: Python<'py>,
        account: &[u8],
        slots: &Bound<'py, PyAny>,
        version: Option<u64>,
        root: Option<&[u8]>,
    ) -> PyResult<
        Option<(
            u64,
            Bound<'py, PyAny>,
            Bound<'py, PyBytes>,
            Bound<'py, PyBytes>,
            Bound<'py, PyTuple>,
            Vec<(Bound<'py, PyAny>, Bound<'py, PyTuple>)>,
        )>,
    > {
        let (account, at) = (address(py, account)?, self.at(py, version, root)?);
        let slots = byte_strings(slots)?;
        let slots =
            slots.iter().map(|slot| Ok(fixed::<32>(py, "slot", slot)?.into())).collect::<PyResult<Vec<B256>>>()?;
        let Some(proof) = run(py, || self.inner.prove(&account, &slots, at))? else { return Ok(None) };
        let held = &proof.account;
        let proven = proof.slots.iter().map(|(value, nodes)| Ok((int(py, *value)?, byte_tuple(py, nodes)?)));
        Ok(Some((
            held.nonce,
            int(py, held.balance)?,
            PyBytes::new(py, held.code_hash.as_slice()),
            PyBytes::new(py, held.storage_root.as_slice()),
            byte_tuple(py, &proof.nodes)?,
            proven.collect::<PyResult<_>>()?,
        )))
    }

    /// Answer of a module of the SDK to a question about a version, CBOR to CBOR.
    #[pyo3(signature = (method, args, version=None, *, root=None))]
    fn ask<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        args: &[u8],
        version: Option<u64>,
        root: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let at = self.at(py, version, root)?;
        Ok(PyBytes::new(py, &run(py, || self.inner.ask(method, args, at))?))
    }

    /// Least price for the round after a version.
    #[pyo3(signature = (version=None, *, root=None))]
    fn min_gas_price(&self, py: Python<'_>, version: Option<u64>, root: Option<&[u8]>) -> PyResult<u128> {
        let at = self.at(py, version, root)?;
        run(py, || self.inner.min_gas_price(at))
    }

    /// Fees collected up to a version.
    #[pyo3(signature = (version=None, *, root=None))]
    fn fees(&self, py: Python<'_>, version: Option<u64>, root: Option<&[u8]>) -> PyResult<u128> {
        let at = self.at(py, version, root)?;
        run(py, || self.inner.fees(at))
    }
}

/// Accounts of the genesis state.
fn genesis_accounts(py: Python<'_>, genesis: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<GenesisAccount>> {
    let mut accounts = Vec::new();
    if let Some(genesis) = genesis {
        for item in genesis.try_iter()? {
            accounts.push(genesis_account(py, &item?)?);
        }
    }
    Ok(accounts)
}

impl Engine {
    fn at(&self, py: Python<'_>, version: Option<u64>, root: Option<&[u8]>) -> PyResult<At> {
        at(py, self.inner.store(), version, root)
    }
}

/// Root over transactions and their records, as [`PendingBlock`] has it.
#[pyfunction]
pub(crate) fn io_root<'py>(
    py: Python<'py>,
    txs: &Bound<'py, PyAny>,
    results: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (txs, results) = (byte_strings(txs)?, byte_strings(results)?);
    let root = released(py, || io::io_root(&txs, &results))?.map_err(|error| state_error(py, &error))?;
    Ok(PyBytes::new(py, &root))
}

/// Sender and nonce of each transaction, by its record.
#[pyfunction]
pub(crate) fn read_spent<'py>(results: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let py = results.py();
    let spent: Vec<(Bound<'py, PyBytes>, u64)> = byte_strings(results)?
        .iter()
        .map(|record| {
            let unread = || PyValueError::new_err("a result names no sender and nonce");
            let (sender, nonce) = spent(record).ok_or_else(unread)?;
            Ok((PyBytes::new(py, &sender), nonce))
        })
        .collect::<PyResult<_>>()?;
    PyTuple::new(py, spent)
}
