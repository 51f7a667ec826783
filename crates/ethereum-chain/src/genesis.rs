//! A genesis as go-ethereum reads it: `genesis.json`.

use std::collections::BTreeMap;

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use revm::{
    bytecode::Bytecode,
    state::{Account, AccountInfo, EvmState, EvmStorageSlot, TransactionId},
};
use serde_json::Value;

use crate::failure::{Result, import};

/// Accounts and their storage before the first block.
#[derive(Default)]
pub struct Alloc {
    /// Nonce, balance, code.
    pub accounts: BTreeMap<Address, AccountInfo>,
    /// Slots that hold something.
    pub storage: BTreeMap<Address, BTreeMap<U256, U256>>,
}

impl Alloc {
    /// Reads `alloc`.
    pub fn read(alloc: &Value) -> Result<Self> {
        let mut read = Self::default();
        for (name, account) in alloc.as_object().ok_or_else(|| import("alloc is no object"))? {
            let address: Address = name.parse().map_err(|_| import(format!("{name} is no address")))?;
            let code = Bytecode::new_raw(bytes(&account["code"])?);
            let (balance, nonce) = (number(&account["balance"])?, small(&account["nonce"])?);
            read.accounts.insert(address, AccountInfo::new(balance, nonce, code.hash_slow(), code));
            let slots = account["storage"].as_object().into_iter().flatten();
            let slots: Result<_> =
                slots.map(|(slot, value)| Ok((number(&Value::String(slot.clone()))?, number(value)?))).collect();
            read.storage.insert(address, slots?);
        }
        Ok(read)
    }

    /// All of it, as if one transaction had made it.
    pub fn state(&self) -> EvmState {
        let mut state = EvmState::default();
        for (address, info) in &self.accounts {
            let mut account = Account::from(info.clone());
            account.mark_touch();
            for (slot, value) in self.storage.get(address).into_iter().flatten() {
                let changed = EvmStorageSlot::new_changed(U256::ZERO, *value, TransactionId::ZERO);
                account.storage.insert(*slot, changed);
            }
            state.insert(*address, account);
        }
        state
    }
}

/// The header of block 0: its fields of the genesis, and the root of its accounts.
pub fn header(genesis: &Value, state_root: B256) -> Result<Header> {
    let optional = |name: &str| if genesis[name].is_null() { Ok(None) } else { small(&genesis[name]).map(Some) };
    Ok(Header {
        state_root,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        beneficiary: number(&genesis["coinbase"])?.to_be_bytes::<32>()[12..].try_into().unwrap_or_default(),
        difficulty: number(&genesis["difficulty"])?,
        gas_limit: small(&genesis["gasLimit"])?,
        timestamp: small(&genesis["timestamp"])?,
        mix_hash: number(&genesis["mixHash"])?.into(),
        nonce: small(&genesis["nonce"])?.to_be_bytes().into(),
        extra_data: bytes(&genesis["extraData"])?,
        base_fee_per_gas: optional("baseFeePerGas")?,
        excess_blob_gas: optional("excessBlobGas")?,
        blob_gas_used: optional("blobGasUsed")?,
        ..Default::default()
    })
}

/// A number as genesis files write it: `0x…`, decimal text, or a number of JSON; zero where there is none.
fn number(value: &Value) -> Result<U256> {
    let read = match value {
        Value::Null => Some(U256::ZERO),
        Value::Number(number) => number.as_u64().map(U256::from),
        Value::String(text) => match text.strip_prefix("0x") {
            Some("") => Some(U256::ZERO),
            Some(digits) => U256::from_str_radix(digits, 16).ok(),
            None => U256::from_str_radix(text, 10).ok(),
        },
        _ => None,
    };
    read.ok_or_else(|| import(format!("{value} is no number")))
}

fn small(value: &Value) -> Result<u64> {
    number(value)?.try_into().map_err(|_| import(format!("{value} is over 64 bits")))
}

fn bytes(value: &Value) -> Result<Bytes> {
    match value {
        Value::Null => Ok(Bytes::new()),
        Value::String(text) => hex::decode(text).map(Into::into).map_err(|_| import(format!("{text} is not hex"))),
        _ => Err(import(format!("{value} is not hex"))),
    }
}
