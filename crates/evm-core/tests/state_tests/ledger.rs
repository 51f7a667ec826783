//! State of a chain in the making: what one block of Ethereum does to it, and the roots that come of it.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{
    BlockHeader, Eip658Value, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction, TxEip4844, TxType, Typed2718,
    proofs::{calculate_ommers_root, calculate_receipt_root, calculate_transaction_root, calculate_withdrawals_root},
    transaction::SignerRecoverable,
};
use alloy_primitives::{Address, B256, Bloom, Bytes, U256, address};
use evm_core::{
    code_cache::CodeCache, contract_keys::KeyRing, database::StateDatabase, environment::Environment,
    failure::EngineError,
};
use revm::{
    Database,
    context::{BlockEnv, TxEnv, either::Either, result::ExecutionResult},
    context_interface::block::BlobExcessGasAndPrice,
    primitives::hardfork::SpecId,
    state::{Account, EvmState},
};
use sha2::{Digest, Sha256};
use state_core::store::Store;

use crate::{
    case::{call_by_system, execute, text},
    chain::Rules,
    fixture::Pre,
    outcome::Outcome,
    support::environment,
};

pub type Block = alloy_consensus::Block<alloy_consensus::EthereumTxEnvelope<TxEip4844>>;

/// Contracts that the system calls: before the transactions with what they keep, after them for their requests.
const BEACON_ROOTS: Address = address!("000f3df6d732807ef1319fb7b8bb8522d0beac02");
const BLOCK_HASHES: Address = address!("0000f90827f1c53a10cb7a02335b175320002935");
const REQUESTS: [(u8, Address); 2] = [
    (1, address!("00000961ef480eb55e80d19ad83579a64c007002")),
    (2, address!("0000bbddc7ce488642fb579f8b00f3a590007251")),
];
const ETHER: u64 = 1_000_000_000_000_000_000;
const GWEI: u64 = 1_000_000_000;

/// See the module.
pub struct Ledger<'k> {
    store: Arc<Store>,
    codes: CodeCache,
    keys: Option<&'k KeyRing>,
    version: u64,
    environment: Environment,
    outcome: Outcome,
    hashes: BTreeMap<u64, B256>,
}

impl<'k> Ledger<'k> {
    pub fn new(pre: &Pre, keys: Option<&'k KeyRing>) -> Result<Self, String> {
        let mut ledger = Self {
            store: Store::memory().map_err(text)?.into(),
            codes: CodeCache::default(),
            keys,
            version: 0,
            environment: environment(1),
            outcome: Outcome::new(pre, SpecId::FRONTIER),
            hashes: BTreeMap::new(),
        };
        ledger.apply(pre.state())?;
        Ok(ledger)
    }

    pub fn root(&self) -> Result<B256, String> {
        self.outcome.root(&mut self.open()?).map_err(text)
    }

    fn open(&self) -> Result<StateDatabase<'_>, String> {
        let snapshot = Arc::new(self.store.snapshot(self.version).map_err(text)?);
        let mut database = StateDatabase::new(snapshot, self.keys, &self.codes, (u64::MAX, B256::ZERO));
        for (number, hash) in &self.hashes {
            database.pretend_hash(*number, *hash);
        }
        Ok(database)
    }

    fn apply(&mut self, state: EvmState) -> Result<(), String> {
        let state = self.outcome.take(state, &Pre::default());
        let mut database = self.open()?;
        database.apply(state).map_err(text)?;
        let commit = |changes| {
            let staged = self.store.stage(self.version, &changes)?;
            Ok::<_, EngineError>(self.store.persist(&staged, self.version + 1)?)
        };
        database.into_changes(self.version + 1).and_then(commit).map_err(text)?;
        self.version += 1;
        Ok(())
    }

    /// Runs a block; an error names the first sum or root that is not its header's.
    pub fn import(&mut self, rules: &Rules, block: &Block) -> Result<(), String> {
        let (header, spec) = (&block.header, rules.cfg.spec);
        let since = |fork| spec.is_enabled_in(fork);
        self.outcome.enter(spec);
        self.hashes.insert(header.number - 1, header.parent_hash);
        let env = block_environment(rules, block);
        if let Some(root) = header.parent_beacon_block_root.filter(|_| since(SpecId::CANCUN)) {
            self.call(rules, &env, BEACON_ROOTS, root.into())?;
        }
        if since(SpecId::PRAGUE) {
            self.call(rules, &env, BLOCK_HASHES, header.parent_hash.into())?;
        }
        let receipts = self.run(rules, &env, block)?;
        let mut requests = Sha256::new();
        if since(SpecId::PRAGUE) {
            for (kind, contract) in REQUESTS {
                let output = self.call(rules, &env, contract, Bytes::new())?;
                if !output.is_empty() {
                    requests.update(Sha256::new().chain_update([kind]).chain_update(&output).finalize());
                }
            }
        }
        self.reward(spec, block)?;
        let withdrawals = block.body.withdrawals.as_ref();
        for withdrawal in withdrawals.into_iter().flatten() {
            self.credit(withdrawal.address, U256::from(withdrawal.amount) * U256::from(GWEI))?;
        }
        let bloom = receipts.iter().fold(Bloom::ZERO, |all, receipt| all | *receipt.logs_bloom());
        let blob_gas = block.body.transactions.iter().filter_map(Transaction::blob_gas_used).sum();
        let checks = [
            ("transactions root", header.transactions_root == calculate_transaction_root(&block.body.transactions)),
            ("receipts root", header.receipts_root == calculate_receipt_root(&receipts)),
            ("logs bloom", header.logs_bloom == bloom),
            ("gas used", header.gas_used == receipts.last().map_or(0, ReceiptEnvelope::cumulative_gas_used)),
            ("blob gas used", header.blob_gas_used == since(SpecId::CANCUN).then_some(blob_gas)),
            ("withdrawals root", header.withdrawals_root == withdrawals.map(|list| calculate_withdrawals_root(list))),
            ("withdrawals", withdrawals.is_some() == since(SpecId::SHANGHAI)),
            ("ommers", header.ommers_hash == calculate_ommers_root(&block.body.ommers)),
            (
                "requests hash",
                header.requests_hash == since(SpecId::PRAGUE).then(|| B256::from_slice(&requests.finalize())),
            ),
            ("state root", header.state_root == self.root()?),
        ];
        let wrong = checks.iter().find(|(_, holds)| !holds);
        wrong.map_or(Ok(()), |(what, _)| Err(format!("{what} differs")))
    }

    fn call(&mut self, rules: &Rules, env: &BlockEnv, contract: Address, data: Bytes) -> Result<Bytes, String> {
        let called = call_by_system(&rules.cfg, env, (contract, data), &self.environment, self.open()?);
        let (result, state) = called?;
        let output = match result {
            ExecutionResult::Success { output, .. } => output.into_data(),
            failed => return Err(format!("the system's call of {contract} failed: {failed:?}")),
        };
        self.apply(state)?;
        Ok(output)
    }

    fn run(&mut self, rules: &Rules, env: &BlockEnv, block: &Block) -> Result<Vec<ReceiptEnvelope>, String> {
        let mut receipts = Vec::new();
        let mut gas = 0;
        for (index, transaction) in block.body.transactions.iter().enumerate() {
            let place = |reason: String| format!("transaction {index}: {reason}");
            if transaction.gas_limit() > block.header.gas_limit() - gas {
                return Err(place("more gas than the block has left".into()));
            }
            let sender = transaction.recover_signer().map_err(text)?;
            let prepared = (rules.cfg.clone(), env.clone(), transaction_environment(transaction, sender));
            let ended = execute(&prepared, &self.environment, self.open()?, self.outcome.bare());
            let (result, state) = ended.map_err(place)?;
            let result = result.map_err(place)?;
            self.apply(state)?;
            gas += result.tx_gas_used();
            let status = if rules.cfg.spec.is_enabled_in(SpecId::BYZANTIUM) {
                Eip658Value::Eip658(result.is_success())
            } else {
                Eip658Value::PostState(self.root()?)
            };
            let receipt = Receipt { status, cumulative_gas_used: gas, logs: result.into_logs() };
            let kind = TxType::try_from(transaction.ty()).map_err(text)?;
            receipts.push(ReceiptEnvelope::from_typed(kind, ReceiptWithBloom::from(receipt)));
        }
        Ok(receipts)
    }

    /// Pays the miner, and those who mined its ommers.
    fn reward(&mut self, fork: SpecId, block: &Block) -> Result<(), String> {
        let Some(whole) = reward(fork).map(|ether| U256::from(ether) * U256::from(ETHER)) else { return Ok(()) };
        let ommers = &block.body.ommers;
        for ommer in ommers {
            let age = block.header.number.checked_sub(ommer.number).filter(|age| (1..=6).contains(age));
            let age = age.ok_or("an ommer is not one of the last six blocks")?;
            self.credit(ommer.beneficiary, whole * U256::from(8 - age) / U256::from(8))?;
        }
        self.credit(block.header.beneficiary, whole + whole / U256::from(32) * U256::from(ommers.len()))
    }

    fn credit(&mut self, address: Address, amount: U256) -> Result<(), String> {
        let mut account = Account::from(self.open()?.basic(address).map_err(text)?.unwrap_or_default());
        account.info.balance += amount;
        account.mark_touch();
        self.apply(EvmState::from_iter([(address, account)]))
    }
}

/// What the miner of a block gets [ether].
fn reward(fork: SpecId) -> Option<u64> {
    match fork {
        _ if fork.is_enabled_in(SpecId::MERGE) => None,
        _ if fork.is_enabled_in(SpecId::PETERSBURG) => Some(2),
        _ if fork.is_enabled_in(SpecId::BYZANTIUM) => Some(3),
        _ => Some(5),
    }
}

fn block_environment(rules: &Rules, block: &Block) -> BlockEnv {
    let header = &block.header;
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: header.difficulty,
        prevrandao: rules.cfg.spec.is_enabled_in(SpecId::MERGE).then_some(header.mix_hash),
        blob_excess_gas_and_price: header
            .excess_blob_gas
            .map(|excess| BlobExcessGasAndPrice::new(excess, rules.cfg.blob_base_fee_update_fraction())),
        ..Default::default()
    }
}

fn transaction_environment(transaction: &impl Transaction, sender: Address) -> TxEnv {
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
