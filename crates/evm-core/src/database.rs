//! The state as revm reads it: a snapshot of the tree, and over it what this round has changed.
//!
//! Storage is opened on a cold read and sealed once a round, when a round's writes to a slot have
//! collapsed into one. Nothing here depends on the order of a hash map: changes leave sorted.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{
    Address, B256, Bytes, U256, keccak256,
    map::{HashMap, HashSet},
};
use revm::{
    Database,
    bytecode::Bytecode,
    state::{AccountInfo, EvmState},
};

use crate::{
    code_cache::{CodeCache, analyse},
    contract_keys::KeyRing,
    failure::EngineError,
    genesis::GenesisAccount,
    layout::{
        AccountRecord, OasisAddress, account_key, block_hash_key, code_key, oasis_address, placeholder_address,
        public_slot_key, slot_prefix,
    },
    merkle::{self, Written, address_key},
    modules::Outgoing,
};
use state_core::{errors::StateError, store::Snapshot, tree::Items};

/// Changes to the tree, sorted by key.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

#[derive(Clone)]
struct Account {
    record: AccountRecord,
    code: Bytecode,
    stored: Option<AccountRecord>,
    /// By which this round wrote to it; None where it only read, or wrote by the Oasis address.
    written_by: Option<Address>,
}

impl Account {
    fn is_changed(&self) -> bool {
        self.stored.as_ref() != Some(&self.record) && !(self.stored.is_none() && self.record.is_empty())
    }
}

struct Slot {
    record_key: Vec<u8>,
    stored: U256,
    value: U256,
}

/// State of one round in the making, or of one query.
pub struct StateDatabase<'e> {
    snapshot: Arc<Snapshot>,
    keys: Option<&'e KeyRing>,
    codes: &'e CodeCache,
    accounts: HashMap<OasisAddress, Account>,
    slots: HashMap<(Address, U256), Slot>,
    new_codes: BTreeMap<B256, Bytes>,
    /// Oasis address of every Ethereum account seen, both ways.
    oasis: HashMap<Address, OasisAddress>,
    ethereum: HashMap<OasisAddress, Address>,
    /// Stand-ins, in this transaction, for accounts that have no known Ethereum address.
    placeholders: HashMap<Address, OasisAddress>,
    newest_hash: (u64, B256),
    /// Records of modules that this round changed.
    module_records: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Messages to consensus so far.
    outgoing: Vec<Outgoing>,
    /// What a simulation says of the state instead.
    pretended: Pretended,
    /// Whether Ethereum's tries begin with this round.
    begins_tries: bool,
}

/// Storage and hashes that a simulation pretends; empty for rounds and calls.
#[derive(Default)]
struct Pretended {
    /// Contracts whose own storage is not looked at.
    emptied: HashSet<Address>,
    hashes: BTreeMap<u64, B256>,
}

impl<'e> StateDatabase<'e> {
    /// Over a snapshot. `newest_hash` is a round and its hash that the snapshot does not hold yet.
    pub fn new(
        snapshot: Arc<Snapshot>,
        keys: Option<&'e KeyRing>,
        codes: &'e CodeCache,
        newest_hash: (u64, B256),
    ) -> Self {
        Self {
            snapshot,
            keys,
            codes,
            accounts: HashMap::default(),
            slots: HashMap::default(),
            new_codes: BTreeMap::new(),
            oasis: HashMap::default(),
            ethereum: HashMap::default(),
            placeholders: HashMap::default(),
            newest_hash,
            module_records: BTreeMap::new(),
            outgoing: Vec::new(),
            pretended: Pretended::default(),
            begins_tries: false,
        }
    }

    /// The snapshot underneath.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The Oasis address of an account that the EVM knows by an address, stand-ins included.
    pub fn oasis_of(&mut self, address: Address) -> OasisAddress {
        if let Some(native) = self.placeholders.get(&address) {
            return *native;
        }
        if let Some(oasis) = self.oasis.get(&address) {
            return *oasis;
        }
        let oasis = oasis_address(&address);
        self.oasis.insert(address, oasis);
        self.ethereum.insert(oasis, address);
        oasis
    }

    /// The address by which the journal knows an Oasis account: its Ethereum address when this round
    /// has met it, else a stand-in nobody can hold a key for.
    pub fn journal_address(&mut self, native: &OasisAddress) -> Address {
        if let Some(address) = self.ethereum.get(native) {
            return *address;
        }
        let placeholder = placeholder_address(native);
        self.placeholders.insert(placeholder, *native);
        placeholder
    }

    /// Gives an account without an Ethereum address its stand-in for the whole round: it has signed something.
    pub fn adopt(&mut self, native: &OasisAddress) -> Address {
        if let Some(address) = self.ethereum.get(native) {
            return *address;
        }
        let placeholder = placeholder_address(native);
        self.oasis.insert(placeholder, *native);
        self.ethereum.insert(*native, placeholder);
        placeholder
    }

    fn account(&mut self, key: OasisAddress) -> Result<&mut Account, EngineError> {
        use alloy_primitives::map::Entry;
        match self.accounts.entry(key) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let stored =
                    self.snapshot.get(&account_key(&key))?.map(|record| AccountRecord::decode(&record)).transpose()?;
                let record = stored.clone().unwrap_or_default();
                let code = self.codes.load(&self.snapshot, &record.code_hash)?;
                Ok(entry.insert(Account { record, code, stored, written_by: None }))
            }
        }
    }

    /// Nonce and balance of an account.
    ///
    /// A look meets nobody: by whom this round has met hangs where a payment to an Oasis address goes, and who looks
    /// may be a transaction that is left out, of which other nodes never hear.
    pub fn nonce_and_balance(&mut self, address: Address) -> Result<(u64, U256), EngineError> {
        let known = self.placeholders.get(&address).or_else(|| self.oasis.get(&address)).copied();
        let record = &self.account(known.unwrap_or_else(|| oasis_address(&address)))?.record;
        Ok((record.nonce, record.balance))
    }

    /// Changes nonce and balance outside the EVM: fees, refunds, genesis.
    pub fn set_nonce_and_balance(&mut self, address: Address, nonce: u64, balance: U256) -> Result<(), EngineError> {
        let key = self.oasis_of(address);
        let account = self.account(key)?;
        account.record.nonce = nonce;
        account.record.balance = balance;
        account.written_by = Some(address);
        Ok(())
    }

    /// A record of a module.
    pub fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        match self.module_records.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.snapshot.get(key)?),
        }
    }

    /// Records of a module under a prefix, in order; no more than `limit` of the state before this round.
    pub fn records(&self, prefix: &[u8], limit: usize) -> Result<Items, EngineError> {
        let stored = self.snapshot.scan(prefix, None, limit)?.into_iter().map(|(key, value)| (key, Some(value)));
        let mut found: BTreeMap<Vec<u8>, Option<Vec<u8>>> = stored.collect();
        let changed = self.module_records.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        found.extend(changed.map(|(key, value)| (key.clone(), value.clone())));
        Ok(found.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect())
    }

    /// Writes a record of a module, or removes it.
    pub fn write_record(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.module_records.insert(key, value);
    }

    /// Adds a message to consensus.
    pub fn push_outgoing(&mut self, outgoing: Outgoing) {
        self.outgoing.push(outgoing);
    }

    /// Messages to consensus so far.
    pub fn outgoing(&self) -> &[Outgoing] {
        &self.outgoing
    }

    /// Makes tokens, which came from consensus.
    pub fn credit(&mut self, to: OasisAddress, amount: u128) -> Result<(), EngineError> {
        let record = &mut self.account(to)?.record;
        record.balance = record.balance.saturating_add(U256::from(amount));
        Ok(())
    }

    /// Takes tokens that were set aside, which went to consensus or back.
    pub fn debit(&mut self, from: OasisAddress, amount: u128) -> Result<(), EngineError> {
        let record = &mut self.account(from)?.record;
        record.balance = record
            .balance
            .checked_sub(U256::from(amount))
            .ok_or_else(|| StateError::Corrupt("less is set aside than is pending".into()))?;
        Ok(())
    }

    /// Pretends code, for a simulation.
    pub fn pretend_code(&mut self, address: Address, code: Bytes) -> Result<(), EngineError> {
        let key = self.oasis_of(address);
        let account = self.account(key)?;
        account.code = analyse(code);
        account.record.code_hash = account.code.hash_slow();
        Ok(())
    }

    /// Changes code outside the EVM: genesis, edits. Empty code is none.
    pub fn set_code(&mut self, address: Address, raw: &Bytes) -> Result<(), EngineError> {
        let (hash, code) = (keccak256(raw), analyse(raw.clone()));
        let key = self.oasis_of(address);
        let target = self.account(key)?;
        target.record.code_hash = hash;
        target.written_by = Some(address);
        if raw.is_empty() {
            target.code = Bytecode::default();
            return Ok(());
        }
        target.code = code.clone();
        self.new_codes.insert(hash, raw.clone());
        self.codes.insert(hash, code);
        Ok(())
    }

    /// Changes a slot outside the EVM: genesis, edits, simulations.
    pub fn set_slot(&mut self, address: Address, slot: U256, value: U256) -> Result<(), EngineError> {
        self.storage(address, slot)?;
        if let Some(slot) = self.slots.get_mut(&(address, slot)) {
            slot.value = value;
        }
        Ok(())
    }

    /// Puts an account of genesis in place, on top of what it may have already.
    pub fn endow(&mut self, genesis: &GenesisAccount) -> Result<(), EngineError> {
        let (nonce, held) = self.nonce_and_balance(genesis.address)?;
        self.set_nonce_and_balance(genesis.address, nonce.max(genesis.nonce), held.saturating_add(genesis.balance))?;
        if !genesis.code.is_empty() {
            self.set_code(genesis.address, &genesis.code)?;
        }
        for (slot, value) in &genesis.storage {
            self.set_slot(genesis.address, *slot, *value)?;
        }
        Ok(())
    }

    /// Whether any slot of an account holds something. What this round changed counts only over what was there:
    /// a contract of this round has a nonce by which it is known.
    pub fn has_storage(&self, address: Address) -> Result<bool, EngineError> {
        if self.pretended.emptied.contains(&address) {
            return Ok(false);
        }
        let prefix = slot_prefix(&address, self.keys.is_some());
        if self.snapshot.scan(&prefix, None, 1)?.is_empty() {
            return Ok(false);
        }
        let slots = self.slots.iter().filter(|((contract, _), _)| *contract == address).map(|(_, slot)| slot);
        let cleared = slots.filter(|slot| slot.value.is_zero() && !slot.stored.is_zero()).count();
        Ok(self.snapshot.scan(&prefix, None, cleared + 1)?.len() > cleared)
    }

    /// Pretends that a contract has no storage, for a simulation; what is pretended later counts.
    pub fn pretend_no_storage(&mut self, address: Address) {
        self.slots.retain(|(contract, _), _| *contract != address);
        self.pretended.emptied.insert(address);
    }

    /// Pretends the hash of a round, for a simulation.
    pub fn pretend_hash(&mut self, number: u64, hash: B256) {
        self.pretended.hashes.insert(number, hash);
    }

    /// Takes over what one transaction changed.
    pub fn apply(&mut self, state: EvmState) -> Result<(), EngineError> {
        // A stand-in and the Ethereum address behind it may both have moved in one transaction, each from the
        // balance before it: their differences add up, so those of stand-ins are taken first.
        let mut paid = Vec::new();
        for (placeholder, native) in std::mem::take(&mut self.placeholders) {
            if let Some(account) = state.get(&placeholder).filter(|account| account.is_touched()) {
                let before = self.account(native)?.record.balance;
                paid.push((placeholder, native, account.info.balance.wrapping_sub(before)));
            }
        }
        for (address, account) in state {
            if !account.is_touched() || paid.iter().any(|(placeholder, ..)| *placeholder == address) {
                continue;
            }
            let key = self.oasis_of(address);
            let target = self.account(key)?;
            target.written_by = Some(address);
            if account.is_selfdestructed() {
                // Made in the same transaction (EIP-6780), so that no storage of it was ever stored.
                target.record = AccountRecord::default();
                target.code = Bytecode::default();
                continue;
            }
            target.record.nonce = account.info.nonce;
            target.record.balance = account.info.balance;
            if account.info.code_hash != target.record.code_hash {
                let code = account.info.code.clone().unwrap_or_default();
                target.record.code_hash = account.info.code_hash;
                target.code = code.clone();
                self.new_codes.insert(account.info.code_hash, code.original_bytes());
                self.codes.insert(account.info.code_hash, code);
            }
            for (slot, value) in account.storage {
                if !value.is_changed() {
                    continue;
                }
                // revm does not read the storage of a contract it has just created.
                if !self.slots.contains_key(&(address, slot)) {
                    self.storage(address, slot)?;
                }
                if let Some(entry) = self.slots.get_mut(&(address, slot)) {
                    entry.value = value.present_value();
                }
            }
        }
        for (_, native, difference) in paid {
            let record = &mut self.account(native)?.record;
            record.balance = record.balance.wrapping_add(difference);
        }
        Ok(())
    }

    /// Forgets the stand-ins of a transaction whose changes are dropped.
    pub fn discard(&mut self) {
        self.placeholders.clear();
    }

    /// Puts accounts into Ethereum's tries as they are. A chain that is older than the tries begins to keep them.
    pub fn name(&mut self, addresses: &[Address]) -> Result<(), EngineError> {
        if !merkle::is_kept(&self.snapshot)? {
            self.begins_tries = true;
            self.module_records.insert(merkle::LATE_KEY.to_vec(), Some(vec![1]));
        }
        for address in addresses {
            let key = self.oasis_of(*address);
            self.account(key)?.written_by = Some(*address);
        }
        Ok(())
    }

    /// Whether this round begins to keep the tries, on a chain that is older than they are.
    pub fn begins_tries(&self) -> bool {
        self.begins_tries
    }

    /// Slots of a contract after this round, where the trie has none of them yet.
    fn all_slots(&self, contract: &Address, changed: Vec<(U256, U256)>) -> Result<Vec<(U256, U256)>, EngineError> {
        let mut slots = self.stored_slots(contract, usize::MAX)?;
        slots.extend(changed);
        Ok(slots.into_iter().filter(|(_, value)| !value.is_zero()).collect())
    }

    /// Slots of a contract that hold something now; None where more than `limit` did before this round.
    pub fn slots(&self, contract: &Address, limit: usize) -> Result<Option<BTreeMap<U256, U256>>, EngineError> {
        let mut slots = BTreeMap::new();
        if !self.pretended.emptied.contains(contract) {
            slots = self.stored_slots(contract, limit.saturating_add(1))?;
        }
        if slots.len() > limit {
            return Ok(None);
        }
        let seen = self.slots.iter().filter(|((of, _), _)| of == contract);
        slots.extend(seen.map(|((_, slot), held)| (*slot, held.value)));
        slots.retain(|_, value| !value.is_zero());
        Ok(Some(slots))
    }

    /// Slots of a contract that held something before this round, `limit` of them at most.
    fn stored_slots(&self, contract: &Address, limit: usize) -> Result<BTreeMap<U256, U256>, EngineError> {
        let prefix = slot_prefix(contract, self.keys.is_some());
        let stored = self.snapshot.scan(&prefix, None, limit)?;
        let Some(keys) = self.keys else {
            let number = |raw: Option<&[u8]>| raw.and_then(U256::try_from_be_slice);
            let opened = stored.iter().map(|(key, value)| number(key.get(prefix.len()..)).zip(number(Some(value))));
            let slots: Option<BTreeMap<U256, U256>> = opened.collect();
            return Ok(slots.ok_or_else(|| StateError::Corrupt("a slot is not 32 bytes".into()))?);
        };
        let cipher = keys.cipher(contract)?;
        let opened = stored.iter().map(|(key, value)| cipher.open_slot(key).zip(cipher.open_value(key, value)));
        let slots: Option<BTreeMap<U256, U256>> = opened.collect();
        slots.ok_or_else(|| EngineError::Decryption(contract.into_array()))
    }

    /// What this round changed of accounts that Ethereum knows, for its tries, in order. Those it sees for the first
    /// time are remembered among the changes.
    ///
    /// It looks at writes alone: what else a node has read hangs on transactions that were left out.
    pub fn written(&mut self) -> Result<Vec<Written>, EngineError> {
        let mut slots: BTreeMap<Address, Vec<(U256, U256)>> = BTreeMap::new();
        for ((contract, slot), held) in self.slots.iter().filter(|(_, held)| held.value != held.stored) {
            slots.entry(*contract).or_default().push((*slot, held.value));
        }
        for contract in slots.keys() {
            self.account(oasis_address(contract))?.written_by = Some(*contract);
        }
        // A contract that enters late brings slots of rounds before.
        let is_late = self.begins_tries || self.snapshot.get(merkle::LATE_KEY)?.is_some();
        let mut written = BTreeMap::new();
        for (key, account) in &self.accounts {
            // Who signed by a key that is not Ethereum's has a stand-in, and no address there.
            let address = account.written_by.filter(|address| oasis_address(address) == *key);
            if address.is_none() && !account.is_changed() {
                continue;
            }
            let known = self.snapshot.get(&address_key(key))?;
            let address = match (address, &known) {
                (Some(address), _) => address,
                (None, Some(known)) => Address::try_from(known.as_slice())
                    .map_err(|_| StateError::Corrupt("address is not 20 bytes".into()))?,
                (None, None) => continue,
            };
            let mut slots = slots.remove(&address).unwrap_or_default();
            if is_late && known.is_none() {
                slots = self.all_slots(&address, slots)?;
            }
            if slots.is_empty() && !account.is_changed() && (known.is_some() || account.record.is_empty()) {
                continue;
            }
            if known.is_none() {
                self.module_records.insert(address_key(key), Some(address.to_vec()));
            }
            written.insert(address, Written { address, record: account.record.clone(), slots });
        }
        Ok(written.into_values().collect())
    }

    /// Everything this round changed, sealed under `round`.
    pub fn into_changes(self, round: u64) -> Result<Changes, EngineError> {
        let mut changes = Changes::new();
        for (key, account) in &self.accounts {
            if !account.is_changed() {
                continue;
            }
            let record = (!account.record.is_empty()).then(|| account.record.encode());
            changes.insert(account_key(key), record);
        }
        for (key, value) in self.module_records {
            if self.snapshot.get(&key)? != value {
                changes.insert(key, value);
            }
        }
        for (hash, code) in &self.new_codes {
            changes.insert(code_key(hash), Some(code.to_vec()));
        }
        for ((contract, _), slot) in self.slots {
            if slot.value == slot.stored {
                continue;
            }
            let record = if slot.value.is_zero() {
                None
            } else {
                Some(match self.keys {
                    Some(keys) => keys.cipher(&contract)?.seal_value(&slot.record_key, round, &slot.value),
                    None => slot.value.to_be_bytes_trimmed_vec(),
                })
            };
            changes.insert(slot.record_key, record);
        }
        Ok(changes)
    }

    /// Bytes that committing `state` would write to the tree: keys and values of what it changes.
    pub fn pending_bytes(state: &EvmState, confidential: bool) -> u64 {
        let (key_bytes, value_bytes): (u64, u64) = if confidential { (84, 63) } else { (53, 32) };
        let mut bytes = 0u64;
        for account in state.values() {
            for slot in account.storage.values() {
                if slot.is_changed() {
                    bytes += key_bytes + if slot.present_value().is_zero() { 0 } else { value_bytes };
                }
            }
            if account.is_created() {
                bytes += 33 + account.info.code.as_ref().map_or(0, Bytecode::len) as u64;
            }
        }
        bytes
    }
}

impl Database for StateDatabase<'_> {
    type Error = EngineError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, EngineError> {
        let key = self.oasis_of(address);
        let account = self.account(key)?;
        if account.record.is_empty() {
            return Ok(None);
        }
        Ok(Some(AccountInfo {
            balance: account.record.balance,
            nonce: account.record.nonce,
            code_hash: account.record.code_hash,
            code: Some(account.code.clone()),
            ..Default::default()
        }))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, EngineError> {
        self.codes.load(&self.snapshot, &code_hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, EngineError> {
        if let Some(slot) = self.slots.get(&(address, slot)) {
            return Ok(slot.value);
        }
        let (record_key, mut value) = read_slot(&self.snapshot, self.keys, &address, &slot)?;
        if self.pretended.emptied.contains(&address) {
            value = U256::ZERO;
        }
        self.slots.insert((address, slot), Slot { record_key, stored: value, value });
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, EngineError> {
        if let Some(hash) = self.pretended.hashes.get(&number) {
            return Ok(*hash);
        }
        Ok(block_hash(&self.snapshot, self.newest_hash, number)?.unwrap_or_default())
    }
}

/// Record key and plaintext value of a slot; zero where nothing is stored.
pub fn read_slot(
    snapshot: &Snapshot,
    keys: Option<&KeyRing>,
    contract: &Address,
    slot: &U256,
) -> Result<(Vec<u8>, U256), EngineError> {
    match keys {
        Some(keys) => {
            let cipher = keys.cipher(contract)?;
            let key = cipher.record_key(contract, slot);
            let value = match snapshot.get(&key)? {
                None => U256::ZERO,
                Some(record) => {
                    cipher.open_value(&key, &record).ok_or_else(|| EngineError::Decryption(contract.into_array()))?
                }
            };
            Ok((key, value))
        }
        None => {
            let key = public_slot_key(contract, slot);
            let value = match snapshot.get(&key)? {
                None => U256::ZERO,
                Some(record) => U256::try_from_be_slice(&record)
                    .ok_or_else(|| StateError::Corrupt("storage value longer than 32 bytes".into()))?,
            };
            Ok((key, value))
        }
    }
}

/// Hash of a round in the 256-round window.
pub fn block_hash(snapshot: &Snapshot, newest_hash: (u64, B256), number: u64) -> Result<Option<B256>, StateError> {
    if number == newest_hash.0 {
        return Ok(Some(newest_hash.1));
    }
    snapshot
        .get(&block_hash_key(number))?
        .map(|hash| {
            B256::try_from(hash.as_slice()).map_err(|_| StateError::Corrupt("round hash is not 32 bytes".into()))
        })
        .transpose()
}
