//! State of a chain in the making: what one block does to it.

use alloy_consensus::{
    Eip658Value, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction, TxEip4844, TxType, Typed2718,
    transaction::SignerRecoverable,
};
use alloy_primitives::{Address, B256, Bytes, U256, address};
use evm_core::{
    database::StateDatabase,
    environment::Environment,
    failure::EngineError,
    machine::{Machine, Unwatched},
    precompiles::Moved,
};
use revm::{
    Database,
    context::{
        BlockEnv,
        result::{ExecutionResult, InvalidTransaction},
    },
    context_interface::block::BlobExcessGasAndPrice,
    primitives::hardfork::SpecId,
    state::{Account, EvmState},
};
use sha2::{Digest, Sha256};

use crate::{
    accounts::Accounts,
    failure::{Result, import},
    rules::Rules,
    run::{Prepared, Watch, call_by_system, transact, transaction_environment},
};

/// A transaction with its signature; blobs are not in blocks.
pub type Envelope = alloy_consensus::EthereumTxEnvelope<TxEip4844>;
/// A block of Ethereum.
pub type Block = alloy_consensus::Block<Envelope>;

/// Contracts that the system calls: before the transactions with what they keep, after them for their requests.
const BEACON_ROOTS: Address = address!("000f3df6d732807ef1319fb7b8bb8522d0beac02");
const BLOCK_HASHES: Address = address!("0000f90827f1c53a10cb7a02335b175320002935");
const REQUESTS: [(u8, Address); 2] = [
    (1, address!("00000961ef480eb55e80d19ad83579a64c007002")),
    (2, address!("0000bbddc7ce488642fb579f8b00f3a590007251")),
];
const ETHER: u64 = 1_000_000_000_000_000_000;
const GWEI: u64 = 1_000_000_000;

/// What became of a transaction.
pub struct Executed {
    /// Who signed it.
    pub sender: Address,
    /// Its receipt, as Ethereum hashes it.
    pub receipt: ReceiptEnvelope,
    /// Of this transaction alone [gas].
    pub gas_used: u64,
    /// What it returned.
    pub output: Bytes,
}

/// A state, what changes it, and Ethereum's trie over it.
pub struct Working<'s> {
    /// None while a machine has it, and after it failed.
    database: Option<StateDatabase<'s>>,
    /// Which accounts and slots there are.
    pub accounts: Accounts,
    environment: &'s Environment,
}

impl<'s> Working<'s> {
    /// On a state whose accounts are known.
    pub fn new(database: StateDatabase<'s>, accounts: Accounts, environment: &'s Environment) -> Self {
        Self { database: Some(database), accounts, environment }
    }

    /// The state with its changes so far.
    pub fn database(&mut self) -> Result<&mut StateDatabase<'s>> {
        Ok(self.database.as_mut().ok_or_else(lost)?)
    }

    /// Ends it: the state and its accounts.
    pub fn finish(self) -> Result<(StateDatabase<'s>, Accounts)> {
        Ok((self.database.ok_or_else(lost)?, self.accounts))
    }

    /// The Merkle-Patricia root.
    pub fn root(&mut self) -> Result<B256> {
        Ok(self.accounts.root(self.database.as_mut().ok_or_else(lost)?)?)
    }

    /// Takes changes over.
    pub fn apply(&mut self, state: EvmState) -> Result<()> {
        let state = self.accounts.take(state);
        Ok(self.database()?.apply(state)?)
    }

    /// Runs a transaction and takes its changes over; the inner error says why it may not run. `look` sees the machine
    /// before that.
    pub fn transact<O: Watch>(
        &mut self,
        prepared: &Prepared,
        moved: &Moved,
        observer: O,
        look: impl FnOnce(&mut Machine<'s, O>, &ExecutionResult, &EvmState) -> Result<()>,
    ) -> Result<std::result::Result<ExecutionResult, InvalidTransaction>> {
        let database = self.database.take().ok_or_else(lost)?;
        let mut ran = transact(prepared, self.environment, database, self.accounts.bare(), moved, observer)?;
        if let Ok(result) = &ran.result {
            look(&mut ran.machine, result, &ran.state)?;
        }
        self.database = Some(ran.machine.into_database());
        if ran.result.is_ok() {
            self.apply(ran.state)?;
        }
        Ok(ran.result)
    }

    /// What the system does before a block's transactions.
    pub fn begin(&mut self, rules: &Rules, env: &BlockEnv, parent_hash: B256, beacon_root: Option<B256>) -> Result<()> {
        self.accounts.enter(rules.cfg.spec);
        if let Some(root) = beacon_root.filter(|_| rules.since(SpecId::CANCUN)) {
            self.call(rules, env, BEACON_ROOTS, root.into())?;
        }
        if rules.since(SpecId::PRAGUE) {
            self.call(rules, env, BLOCK_HASHES, parent_hash.into())?;
        }
        Ok(())
    }

    /// What the system does after them: the requests (EIP-7685), each behind its kind; None before Prague. Deposits
    /// (EIP-6110) are not among them.
    pub fn end(&mut self, rules: &Rules, env: &BlockEnv) -> Result<Option<Vec<Bytes>>> {
        if !rules.since(SpecId::PRAGUE) {
            return Ok(None);
        }
        let mut requests = Vec::new();
        for (kind, contract) in REQUESTS {
            let output = self.call(rules, env, contract, Bytes::new())?;
            if !output.is_empty() {
                requests.push([&[kind], output.as_ref()].concat().into());
            }
        }
        Ok(Some(requests))
    }

    fn call(&mut self, rules: &Rules, env: &BlockEnv, contract: Address, data: Bytes) -> Result<Bytes> {
        let database = self.database.take().ok_or_else(lost)?;
        let (result, state, database) =
            call_by_system((&rules.cfg, env), (contract, data), self.environment, database)?;
        self.database = Some(database);
        let output = match result {
            ExecutionResult::Success { output, .. } => output.into_data(),
            failed => return Err(import(format!("the system's call of {contract} failed: {failed:?}"))),
        };
        self.apply(state)?;
        Ok(output)
    }

    /// Runs the transactions of a block.
    pub fn run(&mut self, rules: &Rules, env: &BlockEnv, block: &Block) -> Result<Vec<Executed>> {
        let mut executed = Vec::new();
        let mut gas = 0;
        for (index, transaction) in block.body.transactions.iter().enumerate() {
            let place = |reason: String| import(format!("transaction {index}: {reason}"));
            if transaction.gas_limit() > block.header.gas_limit - gas {
                return Err(place("more gas than the block has left".into()));
            }
            let sender = transaction.recover_signer().map_err(|error| place(error.to_string()))?;
            let prepared = (rules.cfg.clone(), env.clone(), transaction_environment(transaction, sender));
            let ran = self.transact(&prepared, &Moved::new(), Unwatched, |_, _, _| Ok(()))?;
            let result = ran.map_err(|reason| place(reason.to_string()))?;
            let gas_used = result.tx_gas_used();
            gas += gas_used;
            let status = if rules.since(SpecId::BYZANTIUM) {
                Eip658Value::Eip658(result.is_success())
            } else {
                Eip658Value::PostState(self.root()?)
            };
            let output = result.output().cloned().unwrap_or_default();
            let receipt = receipt(transaction.ty(), status, gas, result)?;
            executed.push(Executed { sender, receipt, gas_used, output });
        }
        Ok(executed)
    }

    /// Pays the miner and those who mined its ommers, and what is withdrawn.
    pub fn reward(&mut self, rules: &Rules, block: &Block) -> Result<()> {
        if let Some(whole) = reward(rules).map(|ether| U256::from(ether) * U256::from(ETHER)) {
            let ommers = &block.body.ommers;
            for ommer in ommers {
                let age = block.header.number.checked_sub(ommer.number).filter(|age| (1..=6).contains(age));
                let age = age.ok_or_else(|| import("an ommer is not one of the last six blocks"))?;
                self.credit(ommer.beneficiary, whole * U256::from(8 - age) / U256::from(8))?;
            }
            self.credit(block.header.beneficiary, whole + whole / U256::from(32) * U256::from(ommers.len()))?;
        }
        for withdrawal in block.body.withdrawals.iter().flatten() {
            self.credit(withdrawal.address, U256::from(withdrawal.amount) * U256::from(GWEI))?;
        }
        Ok(())
    }

    fn credit(&mut self, address: Address, amount: U256) -> Result<()> {
        let mut account = Account::from(self.database()?.basic(address)?.unwrap_or_default());
        account.info.balance += amount;
        account.mark_touch();
        self.apply(EvmState::from_iter([(address, account)]))
    }
}

fn lost() -> EngineError {
    EngineError::Config("the state was lost in a run that failed".into())
}

/// What a header says of requests (EIP-7685).
pub fn requests_hash(requests: &[Bytes]) -> B256 {
    let mut all = Sha256::new();
    for request in requests {
        all.update(Sha256::digest(request));
    }
    B256::from_slice(&all.finalize())
}

/// A receipt of a type of transactions, after all of its block so far used `gas`.
pub fn receipt(kind: u8, status: Eip658Value, gas: u64, result: ExecutionResult) -> Result<ReceiptEnvelope> {
    let logs = if result.is_success() { result.into_logs() } else { Vec::new() };
    let receipt = Receipt { status, cumulative_gas_used: gas, logs };
    let kind = TxType::try_from(kind).map_err(|error| import(error.to_string()))?;
    Ok(ReceiptEnvelope::from_typed(kind, ReceiptWithBloom::from(receipt)))
}

/// What the miner of a block gets [ether].
fn reward(rules: &Rules) -> Option<u64> {
    match rules {
        _ if rules.since(SpecId::MERGE) => None,
        _ if rules.since(SpecId::PETERSBURG) => Some(2),
        _ if rules.since(SpecId::BYZANTIUM) => Some(3),
        _ => Some(5),
    }
}

/// A block as contracts see it.
pub fn block_environment(rules: &Rules, header: &alloy_consensus::Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: header.difficulty,
        prevrandao: rules.since(SpecId::MERGE).then_some(header.mix_hash),
        blob_excess_gas_and_price: header
            .excess_blob_gas
            .map(|excess| BlobExcessGasAndPrice::new(excess, rules.cfg.blob_base_fee_update_fraction())),
        ..Default::default()
    }
}
