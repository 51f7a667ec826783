//! Chain parameters and the surroundings of a round.

use std::collections::BTreeMap;

use evm_core::{
    config::{CONFIDENTIAL_FORK, ChainConfig as Config, PUBLIC_FORK, Profile},
    environment::Environment,
};
use pyo3::prelude::*;
use zeroize::Zeroizing;

use crate::{convert::fixed, error::config_error};

/// Parameters of the chain. Frozen.
#[pyclass(frozen, module = "evm_native")]
pub(crate) struct ChainConfig {
    pub(crate) inner: Config,
}

#[pymethods]
impl ChainConfig {
    #[new]
    #[pyo3(signature = (*, chain_id, batch_gas_limit=15_000_000, initial_min_gas_price=100_000_000_000,
        confidential=true, estimate_extra_fail_gas=2_000_000, max_tx_bytes=131_072, profile="strict",
        charges_for_size=true, dev_control_key=None, sdk_context=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        chain_id: u64,
        batch_gas_limit: u64,
        initial_min_gas_price: u128,
        confidential: bool,
        estimate_extra_fail_gas: u64,
        max_tx_bytes: usize,
        profile: &str,
        charges_for_size: bool,
        dev_control_key: Option<&[u8]>,
        sdk_context: Option<Vec<u8>>,
    ) -> PyResult<Self> {
        let profile = match profile {
            "strict" => Profile::Strict,
            "dev" => Profile::Dev,
            _ => return Err(config_error(py, "profile must be \"strict\" or \"dev\"")),
        };
        Ok(Self {
            inner: Config {
                chain_id,
                batch_gas_limit,
                initial_min_gas_price,
                confidential,
                fork: if confidential { CONFIDENTIAL_FORK } else { PUBLIC_FORK },
                estimate_extra_fail_gas,
                max_tx_bytes,
                profile,
                charges_for_size,
                dev_control_key: dev_control_key.map(|key| fixed(py, "dev_control_key", key)).transpose()?,
                sdk_context,
            },
        })
    }

    #[getter]
    fn chain_id(&self) -> u64 {
        self.inner.chain_id
    }

    #[getter]
    fn batch_gas_limit(&self) -> u64 {
        self.inner.batch_gas_limit
    }

    #[getter]
    fn initial_min_gas_price(&self) -> u128 {
        self.inner.initial_min_gas_price
    }

    #[getter]
    fn confidential(&self) -> bool {
        self.inner.confidential
    }

    #[getter]
    fn profile(&self) -> &'static str {
        match self.inner.profile {
            Profile::Strict => "strict",
            Profile::Dev => "dev",
        }
    }
}

/// Surroundings of a round, secrets included. Frozen; shows no secret.
#[pyclass(frozen, module = "evm_native")]
pub(crate) struct BlockEnv {
    pub(crate) inner: Environment,
}

#[pymethods]
impl BlockEnv {
    #[new]
    #[pyo3(signature = (*, round, parent_round, parent_timestamp, grandparent_hash, epoch, call_keys, rng_key,
        call_data_public_key, state_root=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        round: u64,
        parent_round: u64,
        parent_timestamp: u64,
        grandparent_hash: &[u8],
        epoch: u64,
        call_keys: &Bound<'_, PyAny>,
        rng_key: &[u8],
        call_data_public_key: Vec<u8>,
        state_root: Option<&[u8]>,
    ) -> PyResult<Self> {
        let mut keys = BTreeMap::new();
        for item in call_keys.call_method0("items")?.try_iter()? {
            let (epoch, secret) = item?.extract::<(u64, pyo3::pybacked::PyBackedBytes)>()?;
            keys.insert(epoch, Zeroizing::new(fixed(py, "call key", &secret)?));
        }
        Ok(Self {
            inner: Environment {
                round,
                state_root: state_root.map(|root| fixed(py, "state_root", root)).transpose()?,
                parent_round,
                parent_timestamp,
                grandparent_hash: fixed::<32>(py, "grandparent_hash", grandparent_hash)?.into(),
                epoch,
                call_keys: keys,
                rng_key: Zeroizing::new(fixed(py, "rng_key", rng_key)?),
                call_data_public_key,
            },
        })
    }

    #[getter]
    fn round(&self) -> u64 {
        self.inner.round
    }

    #[getter]
    fn parent_round(&self) -> u64 {
        self.inner.parent_round
    }

    #[getter]
    fn parent_timestamp(&self) -> u64 {
        self.inner.parent_timestamp
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    fn __repr__(&self) -> String {
        format!("BlockEnv(round={}, epoch={}, keys=<secret>)", self.inner.round, self.inner.epoch)
    }
}
