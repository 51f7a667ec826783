//! The engine: a store of versions, and what can be asked of it.
//!
//! [`Engine::check`] admits transactions, [`Engine::execute`] makes the next version from a batch - in three steps
//! for whoever looks on meanwhile: [`Engine::begin`], [`Round::run`] for each, [`Round::finish`] -,
//! [`Engine::call`] and [`Engine::estimate_gas`] answer questions and leave no trace. All take `&self`
//! and may run at once.

mod check;
mod estimate;
mod execute;
mod pretence;
mod query;
mod questions;
mod replay;
mod sdk;
mod sdk_estimate;
mod simulate;
mod simulation;
mod terms;
mod transaction_cache;

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use alloy_trie::EMPTY_ROOT_HASH;

use self::transaction_cache::TransactionCache;
pub use self::{
    check::{Checked, Rejection},
    execute::{PendingBlock, Round},
    pretence::Pretence,
    query::Call,
    replay::Replayed,
    simulation::{SimulatedBlock, SimulatedCall, Simulation},
    terms::Checks,
};
use crate::{
    attested::AttestedHost,
    code_cache::CodeCache,
    config::ChainConfig,
    contract_keys::{KeyRing, StateKeys},
    database::{StateDatabase, read_slot},
    environment::Environment,
    errors::ModuleError,
    failure::{EngineError, core},
    layout::{AccountRecord, FEES_KEY, MIN_GAS_PRICE_KEY, decode_quantity, oasis_address, slot_prefix},
    merkle::{self, AccountProof},
    subcall::Subcalls,
};
use state_core::store::{At, Snapshot, Store};

/// EIP-1967's implementation, beacon and admin slots: the only storage anyone may read from outside.
const PUBLIC_SLOTS: [[u8; 32]; 3] = [
    alloy_primitives::hex!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"),
    alloy_primitives::hex!("a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50"),
    alloy_primitives::hex!("b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103"),
];

/// Executes transactions over a store. See the module.
pub struct Engine {
    config: ChainConfig,
    store: Arc<Store>,
    keys: Option<KeyRing>,
    subcalls: Option<Box<dyn Subcalls>>,
    attested: Option<Box<dyn AttestedHost>>,
    codes: CodeCache,
    transactions: TransactionCache,
}

impl Engine {
    /// An engine over a store. A confidential chain needs `keys`; without them storage is in the clear.
    pub fn new(
        config: ChainConfig,
        store: Arc<Store>,
        keys: Option<Box<dyn StateKeys>>,
        subcalls: Option<Box<dyn Subcalls>>,
    ) -> Result<Self, EngineError> {
        if config.chain_id == 0 {
            return Err(EngineError::Config("chain id must not be zero".into()));
        }
        if config.batch_gas_limit < 21_000 {
            return Err(EngineError::Config("batch gas limit is below one transfer".into()));
        }
        if u64::try_from(config.initial_min_gas_price).is_err() {
            return Err(EngineError::Config("initial minimum gas price does not fit 64 bits".into()));
        }
        let transactions = TransactionCache::default();
        let keys = keys.map(KeyRing::new);
        Ok(Self { config, store, keys, subcalls, attested: None, codes: CodeCache::default(), transactions })
    }

    /// Lets the module `rofl` have what it needs of the enclave; only a confidential chain has keys for apps.
    pub fn with_attested(mut self, attested: Option<Box<dyn AttestedHost>>) -> Self {
        self.attested = attested.filter(|_| self.config.confidential);
        self
    }

    fn attested(&self) -> Option<&dyn AttestedHost> {
        self.attested.as_deref()
    }

    /// The parameters of the chain.
    pub fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// The store underneath.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Nonce and balance of an account on a state.
    pub fn account(&self, address: &Address, at: impl Into<At>) -> Result<(u64, U256), EngineError> {
        let record = self.record(address, &self.store.snapshot(at)?)?;
        Ok((record.nonce, record.balance))
    }

    /// Code of an account on a state; empty for an account without.
    pub fn code(&self, address: &Address, at: impl Into<At>) -> Result<Vec<u8>, EngineError> {
        let snapshot = self.store.snapshot(at)?;
        let record = self.record(address, &snapshot)?;
        Ok(self.codes.load(&snapshot, &record.code_hash)?.original_bytes().to_vec())
    }

    /// What may be known from outside of a storage slot: on a confidential chain zero, but for EIP-1967's.
    pub fn storage(&self, address: &Address, slot: &[u8; 32], at: impl Into<At>) -> Result<[u8; 32], EngineError> {
        let snapshot = self.store.snapshot(at)?;
        if self.config.confidential && !PUBLIC_SLOTS.contains(slot) {
            return Ok([0; 32]);
        }
        let (_, value) = read_slot(&snapshot, self.keys.as_ref(), address, &U256::from_be_bytes(*slot))?;
        Ok(value.to_be_bytes())
    }

    /// Proof of an account and of slots of it in Ethereum's form; None where an account or the chain is in no trie.
    ///
    /// An account that was only ever paid by its Oasis address is in none; see `merkle`.
    pub fn prove(
        &self,
        address: &Address,
        slots: &[B256],
        at: impl Into<At>,
    ) -> Result<Option<AccountProof>, EngineError> {
        let snapshot = self.store.snapshot(at)?;
        if merkle::root(&snapshot)?.is_none() {
            return Ok(None);
        }
        let (proof, held) = (merkle::prove(&snapshot, address, slots)?, self.record(address, &snapshot)?);
        let account = &proof.account;
        let proven = AccountRecord { nonce: account.nonce, balance: account.balance, code_hash: account.code_hash };
        // Nor is nothing proven of slots that the trie does not have yet.
        let lacks_slots = account.storage_root == EMPTY_ROOT_HASH
            && !snapshot.scan(&slot_prefix(address, self.config.confidential), None, 1)?.is_empty();
        Ok((proven == held && !lacks_slots).then_some(proof))
    }

    /// Least price a transaction of the round after a state must offer.
    pub fn min_gas_price(&self, at: impl Into<At>) -> Result<u128, EngineError> {
        self.min_gas_price_at(&self.store.snapshot(at)?)
    }

    /// Fees collected up to a state [base units].
    pub fn fees(&self, at: impl Into<At>) -> Result<u128, EngineError> {
        Ok(decode_quantity(self.store.snapshot(at)?.get(FEES_KEY)?)?.unwrap_or(0))
    }

    fn min_gas_price_at(&self, snapshot: &Snapshot) -> Result<u128, EngineError> {
        let price = decode_quantity(snapshot.get(MIN_GAS_PRICE_KEY)?)?;
        let floor = self.config.initial_min_gas_price;
        // Where prices can be edited they can be below the floor, for a round.
        Ok(if self.config.dev_control_key.is_some() { price.unwrap_or(floor) } else { price.unwrap_or(0).max(floor) })
    }

    fn record(&self, address: &Address, snapshot: &Snapshot) -> Result<AccountRecord, EngineError> {
        self.account_record(&oasis_address(address), snapshot)
    }

    fn database(&self, environment: &Environment, at: At) -> Result<StateDatabase<'_>, EngineError> {
        let snapshot = Arc::new(self.store.snapshot(at)?);
        Ok(StateDatabase::new(snapshot, self.keys.as_ref(), &self.codes, newest_hash(environment)))
    }
}

/// The newest round hash a contract or leash may see; the state of the parent does not hold it yet.
fn newest_hash(environment: &Environment) -> (u64, B256) {
    (environment.parent_round.wrapping_sub(1), environment.grandparent_hash)
}

/// Fee that a gas limit can cost at a price, or `core` 5 when no balance could ever pay it.
fn fee_limit(gas: u64, price: u128) -> Result<u128, ModuleError> {
    price.checked_mul(u128::from(gas)).ok_or_else(|| core(5, "insufficient balance to pay fees"))
}
