//! Transactions and the system's calls, by Ethereum's own handler on our machine.

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use evm_core::{
    config::ChainConfig,
    database::StateDatabase,
    environment::Environment,
    failure::EngineError,
    machine::{Machine, Pricing, Unwatched},
    precompiles::{Moved, SapphirePrecompiles},
    rng::{Mode, RootRng},
    tracing::{Onlooker, Transfers},
};
use revm::{
    context::{
        BlockEnv, CfgEnv, JournalTr, TxEnv,
        either::Either,
        result::{EVMError, ExecutionResult, InvalidTransaction},
    },
    handler::{EthFrame, EvmTr, Handler, MainnetHandler, SystemCallTx},
    inspector::InspectorHandler,
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
    state::{AccountStatus, EvmState},
};
use zeroize::Zeroizing;

/// Why a run broke, or may not be.
pub type RunError = EVMError<EngineError, InvalidTransaction>;
/// Ethereum's phases of a transaction.
pub type Ethereum<'e, O> = MainnetHandler<Machine<'e, O>, RunError, EthFrame<EthInterpreter>>;

/// Rules, block and transaction.
pub type Prepared = (CfgEnv, BlockEnv, TxEnv);

/// A transaction that was tried: its result, or why it may not run; what it changed; and the machine, which has the
/// state from before it.
pub struct Ran<'e, O> {
    /// The inner error says why it may not run.
    pub result: Result<ExecutionResult, InvalidTransaction>,
    /// What it changed.
    pub state: EvmState,
    /// Holds who watched, and the database.
    pub machine: Machine<'e, O>,
}

/// Who watches a machine with Ethereum's handler.
pub trait Watch: Sized {
    /// Runs the transaction that is set up.
    fn run(machine: &mut Machine<'_, Self>) -> Result<ExecutionResult, RunError>;
}

impl Watch for Unwatched {
    fn run(machine: &mut Machine<'_, Self>) -> Result<ExecutionResult, RunError> {
        Ethereum::default().run(machine)
    }
}

impl Watch for Onlooker {
    fn run(machine: &mut Machine<'_, Self>) -> Result<ExecutionResult, RunError> {
        Ethereum::default().inspect_run(machine)
    }
}

impl Watch for Transfers {
    fn run(machine: &mut Machine<'_, Self>) -> Result<ExecutionResult, RunError> {
        Ethereum::default().inspect_run(machine)
    }
}

/// Runs a transaction. `bare` are accounts that exist and have nothing, before EIP-161; `moved` are precompiles that a
/// simulation put elsewhere.
pub fn transact<'e, O: Watch>(
    (cfg, block, transaction): &Prepared,
    environment: &'e Environment,
    database: StateDatabase<'e>,
    bare: &BTreeSet<Address>,
    moved: &Moved,
    observer: O,
) -> Result<Ran<'e, O>, EngineError> {
    let mut machine = machine(cfg, block, environment, database, moved, observer);
    let context = machine.ctx();
    context.tx = transaction.clone();
    if !cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) {
        for address in bare {
            context.journaled_state.load_account_mut(*address)?;
            if let Some(account) = context.journaled_state.state.get_mut(address) {
                account.status -= AccountStatus::LoadedAsNotExisting;
            }
        }
    }
    let result = match O::run(&mut machine) {
        Ok(result) => Ok(result),
        Err(EVMError::Transaction(reason)) => Err(reason),
        Err(EVMError::Header(reason)) => Err(InvalidTransaction::Str(reason.to_string().into())),
        Err(EVMError::Database(error)) => return Err(error),
        Err(other) => return Err(EngineError::Config(other.to_string())),
    };
    let state = machine.ctx().journaled_state.finalize();
    Ok(Ran { result, state, machine })
}

/// Calls a contract as the system does around a block's transactions: nobody pays.
pub fn call_by_system<'e>(
    (cfg, block): (&CfgEnv, &BlockEnv),
    (contract, data): (Address, Bytes),
    environment: &'e Environment,
    database: StateDatabase<'e>,
) -> Result<(ExecutionResult, EvmState, StateDatabase<'e>), EngineError> {
    let mut machine = machine(cfg, block, environment, database, &Moved::new(), Unwatched);
    machine.ctx().tx = TxEnv::new_system_tx(contract, data);
    let result =
        Ethereum::default().run_system_call(&mut machine).map_err(|error| EngineError::Config(error.to_string()))?;
    let state = machine.ctx().journaled_state.finalize();
    Ok((result, state, machine.into_database()))
}

fn machine<'e, O>(
    cfg: &CfgEnv,
    block: &BlockEnv,
    environment: &'e Environment,
    database: StateDatabase<'e>,
    moved: &Moved,
    observer: O,
) -> Machine<'e, O> {
    let config = ChainConfig { confidential: false, fork: cfg.spec, ..ChainConfig::new(cfg.chain_id) };
    let rng = RootRng::new(&environment.rng_key, Mode::Execute).fork(&[0; 32]);
    let mut machine = Machine::new(&config, environment, 0, Pricing::Exact, None, rng, database, observer);
    let context = machine.ctx();
    context.cfg = cfg.clone();
    context.block = block.clone();
    *machine.all_mut().2 = SapphirePrecompiles::of_ethereum(cfg.spec, moved);
    machine
}

/// What surrounds a block of Ethereum: nothing of a ParaTime's.
pub fn environment() -> Environment {
    Environment {
        round: 1,
        state_root: None,
        parent_round: 0,
        parent_timestamp: 0,
        grandparent_hash: B256::ZERO,
        epoch: 0,
        call_keys: BTreeMap::new(),
        rng_key: Zeroizing::new(keccak256("ethereum has no randomness of its own").0),
        call_data_public_key: Vec::new(),
    }
}

/// A transaction as the machine takes it.
pub fn transaction_environment(transaction: &impl Transaction, sender: Address) -> TxEnv {
    TxEnv {
        tx_type: transaction.ty(),
        caller: sender,
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        blob_hashes: transaction.blob_versioned_hashes().unwrap_or_default().to_vec(),
        max_fee_per_blob_gas: transaction.max_fee_per_blob_gas().unwrap_or_default(),
        authorization_list: transaction
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .cloned()
            .map(Either::Left)
            .collect(),
    }
}

/// A slot as a 32-byte word.
pub fn word(number: U256) -> B256 {
    B256::from(number.to_be_bytes::<32>())
}
