//! The chain: blocks in order, each checked against its header, and the state after each.

use std::{collections::HashMap, sync::Arc};

use alloy_consensus::{
    Header, Transaction,
    proofs::{calculate_ommers_root, calculate_receipt_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_primitives::{B256, Bloom};
use alloy_rlp::Decodable;
use evm_core::{code_cache::CodeCache, contract_keys::KeyRing, database::StateDatabase, environment::Environment};
use revm::primitives::hardfork::SpecId;
use serde_json::Value;
use state_core::store::Store;

use crate::{
    accounts::Accounts,
    failure::{Failure, Result, SERVER_ERROR, import, refused},
    genesis::{self, Alloc},
    header,
    ledger::{Block, Executed, Working, block_environment, requests_hash},
    rules::Rules,
    run,
};

/// How many past hashes `BLOCKHASH` sees.
const HASHES: usize = 256;

/// A block with what came of it.
pub struct Imported {
    /// As it came.
    pub block: Block,
    /// Of its header.
    pub hash: B256,
    /// Under which it ran.
    pub rules: Rules,
    /// Its transactions in order.
    pub executed: Vec<Executed>,
    /// Which accounts there are after it.
    accounts: Accounts,
}

/// See the module. Lives in memory.
pub struct Chain<'k> {
    store: Arc<Store>,
    codes: CodeCache,
    keys: Option<&'k KeyRing>,
    environment: Environment,
    config: Value,
    blocks: Vec<Imported>,
    by_hash: HashMap<B256, u64>,
}

impl<'k> Chain<'k> {
    /// Of a genesis in JSON as go-ethereum has it, with storage in the clear, or encrypted under `keys`.
    ///
    /// # Errors
    /// `Import`: the genesis is not one.
    pub fn new(genesis: &[u8], keys: Option<&'k KeyRing>) -> Result<Self> {
        let genesis: Value = serde_json::from_slice(genesis).map_err(|error| import(error.to_string()))?;
        let alloc = Alloc::read(&genesis["alloc"])?;
        let mut chain = Self {
            store: Store::memory()?.into(),
            codes: CodeCache::default(),
            keys,
            environment: run::environment(),
            config: genesis["config"].clone(),
            blocks: Vec::new(),
            by_hash: HashMap::new(),
        };
        let (root, accounts) = chain.endow(&alloc)?;
        let header = genesis::header(&genesis, root)?;
        let rules = chain.rules(&header)?;
        let header = complete(&rules, header);
        let withdrawals = header.withdrawals_root.map(|_| Default::default());
        let block = Block { header, body: alloy_consensus::BlockBody { withdrawals, ..Default::default() } };
        chain.push(block, rules, Vec::new(), accounts);
        Ok(chain)
    }

    fn endow(&mut self, alloc: &Alloc) -> Result<(B256, Accounts)> {
        let mut working = Working::new(self.open(0)?, Accounts::new(alloc, SpecId::FRONTIER), &self.environment);
        working.apply(alloc.state())?;
        let root = working.root()?;
        let (database, accounts) = working.finish()?;
        self.persist(database, 0)?;
        Ok((root, accounts))
    }

    /// Imports blocks in RLP, one behind the other.
    ///
    /// # Errors
    /// `Import`: names the block and what of it differs; those before it stay.
    pub fn import_all(&mut self, mut encoded: &[u8]) -> Result<()> {
        while !encoded.is_empty() {
            let next = self.blocks.len();
            let named = |why: String| import(format!("block {next}: {why}"));
            let block = Block::decode(&mut encoded).map_err(|error| named(error.to_string()))?;
            self.import(block).map_err(|failure| match failure {
                Failure::Import(why) => named(why),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Imports the next block; an error names the first sum or root that is not its header's.
    pub fn import(&mut self, block: Block) -> Result<()> {
        let header = &block.header;
        let rules = self.rules(header)?;
        header::check(&rules, &self.newest().block.header, header)?;
        let env = block_environment(&rules, header);
        let number = self.newest().block.header.number;
        let mut working = self.state_after(number)?;
        working.begin(&rules, &env, header.parent_hash, header.parent_beacon_block_root)?;
        let executed = working.run(&rules, &env, &block)?;
        let requests_hash = working.end(&rules, &env)?.as_deref().map(requests_hash);
        working.reward(&rules, &block)?;
        let receipts: Vec<_> = executed.iter().map(|one| one.receipt.clone()).collect();
        let bloom = receipts.iter().fold(Bloom::ZERO, |all, receipt| all | *receipt.logs_bloom());
        let blob_gas: u64 = block.body.transactions.iter().filter_map(Transaction::blob_gas_used).sum();
        let withdrawals = block.body.withdrawals.as_ref();
        let gas_used: u64 = executed.iter().map(|one| one.gas_used).sum();
        let checks = [
            ("transactions root", header.transactions_root == calculate_transaction_root(&block.body.transactions)),
            ("receipts root", header.receipts_root == calculate_receipt_root(&receipts)),
            ("logs bloom", header.logs_bloom == bloom),
            ("gas used", header.gas_used == gas_used),
            ("blob gas used", header.blob_gas_used == rules.since(SpecId::CANCUN).then_some(blob_gas)),
            ("withdrawals root", header.withdrawals_root == withdrawals.map(|list| calculate_withdrawals_root(list))),
            ("withdrawals", withdrawals.is_some() == rules.since(SpecId::SHANGHAI)),
            ("ommers hash", header.ommers_hash == calculate_ommers_root(&block.body.ommers)),
            ("requests hash", header.requests_hash == requests_hash),
            ("state root", header.state_root == working.root()?),
        ];
        if let Some((what, _)) = checks.iter().find(|(_, holds)| !holds) {
            return Err(import(format!("{what} differs")));
        }
        let (database, accounts) = working.finish()?;
        self.persist(database, version(number))?;
        self.push(block, rules, executed, accounts);
        Ok(())
    }

    fn push(&mut self, block: Block, rules: Rules, executed: Vec<Executed>, accounts: Accounts) {
        let hash = block.header.hash_slow();
        self.by_hash.insert(hash, block.header.number);
        self.blocks.push(Imported { block, hash, rules, executed, accounts });
    }

    fn open(&self, version: u64) -> Result<StateDatabase<'_>> {
        let snapshot = Arc::new(self.store.snapshot(version)?);
        Ok(StateDatabase::new(snapshot, self.keys, &self.codes, (u64::MAX, B256::ZERO)))
    }

    fn persist(&self, database: StateDatabase<'_>, version: u64) -> Result<()> {
        let changes = database.into_changes(version + 1)?;
        let staged = self.store.stage(version, &changes)?;
        self.store.persist(&staged, version + 1)?;
        Ok(())
    }

    /// Rules of a block with a number and a time.
    pub fn rules(&self, header: &Header) -> Result<Rules> {
        Rules::at(&self.config, header.number, header.timestamp)
    }

    /// What the genesis says of forks.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// The newest block.
    pub fn newest(&self) -> &Imported {
        // The genesis is there since the chain was made.
        &self.blocks[self.blocks.len() - 1]
    }

    /// Every block in order.
    pub fn blocks(&self) -> &[Imported] {
        &self.blocks
    }

    /// One block.
    pub fn block(&self, number: u64) -> Result<&Imported> {
        let found = usize::try_from(number).ok().and_then(|number| self.blocks.get(number));
        found.ok_or_else(|| refused(SERVER_ERROR, "header not found"))
    }

    /// Number of the block with a hash.
    pub fn number_of(&self, hash: &B256) -> Option<u64> {
        self.by_hash.get(hash).copied()
    }

    /// The state after a block, to be read or changed; the chain keeps its own.
    pub fn state_after(&self, number: u64) -> Result<Working<'_>> {
        let imported = self.block(number)?;
        let mut database = self.open(version(number))?;
        let last = usize::try_from(number).unwrap_or(usize::MAX);
        for known in &self.blocks[(last + 1).saturating_sub(HASHES)..=last] {
            database.pretend_hash(known.block.header.number, known.hash);
        }
        Ok(Working::new(database, imported.accounts.clone(), &self.environment))
    }
}

/// Version of the state after a block: the genesis has the first.
fn version(number: u64) -> u64 {
    number + 1
}

/// Fields that a fork which holds from the genesis on adds to its header.
fn complete(rules: &Rules, mut header: Header) -> Header {
    if rules.since(SpecId::LONDON) {
        header.base_fee_per_gas = header.base_fee_per_gas.or(Some(1_000_000_000));
    }
    if rules.since(SpecId::SHANGHAI) {
        header.withdrawals_root = Some(alloy_consensus::EMPTY_ROOT_HASH);
    }
    if rules.since(SpecId::CANCUN) {
        header.parent_beacon_block_root = Some(B256::ZERO);
        header.excess_blob_gas = header.excess_blob_gas.or(Some(0));
        header.blob_gas_used = header.blob_gas_used.or(Some(0));
    }
    if rules.since(SpecId::PRAGUE) {
        header.requests_hash = Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH);
    }
    header
}
