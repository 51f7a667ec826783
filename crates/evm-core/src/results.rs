//! What a transaction leaves behind: one canonical CBOR record, from which the gateway answers every
//! question about it without knowing RLP or a key.

use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bloom, Log, U256};

use crate::{errors::ModuleError, transaction::Transaction};
use state_core::cbor::{self, Value};

/// Module and code of an event, and what it tells.
pub type Event = ((&'static str, u32), Value);

/// How a mined transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Gas of this transaction [gas].
    pub gas_used: u64,
    /// Gas of this and the earlier transactions of the round [gas].
    pub cumulative_gas_used: u64,
    /// Fee paid, divided by the gas used [base units/gas].
    pub effective_gas_price: u128,
    /// Events, empty when it failed.
    pub logs: Vec<Log>,
    /// Contract made.
    pub contract_address: Option<Address>,
    /// Events of modules, empty when it failed.
    pub events: Vec<Event>,
    /// Return data (raw or sealed); empty when it failed.
    pub output: Vec<u8>,
    /// Why it failed; None on success.
    pub error: Option<ModuleError>,
    /// Whether the calldata came encrypted.
    pub encrypted: bool,
}

/// The record of a mined transaction.
pub fn record(transaction: &Transaction, outcome: &Outcome) -> Vec<u8> {
    let bloom: Bloom = outcome.logs.iter().collect();
    let mut entries = vec![
        ("hash", bytes(transaction.hash.as_slice())),
        ("sender", bytes(transaction.sender.as_slice())),
        ("to", address(transaction.to)),
        ("nonce", Value::Unsigned(transaction.nonce)),
        ("gas", Value::Unsigned(transaction.gas_limit)),
        ("gas_price", quantity(U256::from(outcome.effective_gas_price))),
        ("max_fee", quantity(U256::from(transaction.max_fee))),
        ("max_tip", quantity(U256::from(transaction.max_tip))),
        ("value", quantity(transaction.value)),
        ("type", Value::Unsigned(u64::from(transaction.tx_type))),
        ("input", bytes(&transaction.input)),
        ("v", quantity(U256::from(transaction.v))),
        ("r", quantity(transaction.r)),
        ("s", quantity(transaction.s)),
        ("chain_id", transaction.chain_id.map_or(Value::Null, Value::Unsigned)),
        ("access_list", access_list(transaction)),
        ("status", Value::Unsigned(u64::from(outcome.error.is_none()))),
        ("gas_used", Value::Unsigned(outcome.gas_used)),
        ("cumulative_gas_used", Value::Unsigned(outcome.cumulative_gas_used)),
        ("effective_gas_price", quantity(U256::from(outcome.effective_gas_price))),
        ("logs", Value::Array(outcome.logs.iter().map(log).collect())),
        ("bloom", bytes(bloom.as_slice())),
        ("contract_address", address(outcome.contract_address)),
        ("output", bytes(&outcome.output)),
        ("error", outcome.error.as_ref().map_or(Value::Null, error)),
        ("encrypted", Value::Bool(outcome.encrypted)),
    ];
    if !transaction.authorizations.is_empty() {
        entries.push(("authorizations", Value::Array(transaction.authorizations.iter().map(authorization).collect())));
    }
    if !outcome.events.is_empty() {
        entries.push(("events", Value::Array(outcome.events.iter().map(event).collect())));
    }
    cbor::encode_map(entries)
}

/// Who sent a transaction, and under which nonce, by its record; `None` where that does not say.
pub fn spent(record: &[u8]) -> Option<(Vec<u8>, u64)> {
    let [sender, nonce] = cbor::fields(record, ["sender", "nonce"]).ok()?;
    let nonce = cbor::decode(nonce?).ok()?.as_unsigned()?;
    Some((cbor::decode(sender?).ok()?.into_bytes()?, nonce))
}

/// The record of a round, behind those of its transactions: the root of Ethereum's trie of accounts.
pub fn round_record(ethereum_root: &B256) -> Vec<u8> {
    cbor::encode_map(vec![("ethereum_root", bytes(ethereum_root.as_slice()))])
}

/// Module ‖ code (4, big-endian), and the CBOR of what it tells.
fn event(((module, code), value): &Event) -> Value {
    let key = [module.as_bytes(), &code.to_be_bytes()].concat();
    Value::Array(vec![Value::Bytes(key), Value::Bytes(cbor::encode(value))])
}

fn map(entries: Vec<(&str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (Value::Text(key.into()), value)).collect())
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}

/// Big-endian without leading zeros; zero is empty.
fn quantity(number: U256) -> Value {
    Value::Bytes(number.to_be_bytes_trimmed_vec())
}

fn address(address: Option<Address>) -> Value {
    address.map_or(Value::Null, |address| bytes(address.as_slice()))
}

fn log(log: &Log) -> Value {
    Value::Array(vec![
        bytes(log.address.as_slice()),
        Value::Array(log.topics().iter().map(|topic| bytes(topic.as_slice())).collect()),
        bytes(&log.data.data),
    ])
}

fn error(error: &ModuleError) -> Value {
    map(vec![
        ("module", Value::Text(error.module.into())),
        ("code", Value::Unsigned(u64::from(error.code))),
        ("message", Value::Text(error.message.clone())),
    ])
}

/// Chain id, account whose code is taken on, nonce, and the signature's parity, r and s (EIP-7702).
fn authorization(signed: &SignedAuthorization) -> Value {
    Value::Array(vec![
        quantity(*signed.inner().chain_id()),
        bytes(signed.inner().address().as_slice()),
        Value::Unsigned(signed.inner().nonce()),
        Value::Unsigned(u64::from(signed.y_parity())),
        quantity(signed.r()),
        quantity(signed.s()),
    ])
}

fn access_list(transaction: &Transaction) -> Value {
    let Some(list) = &transaction.access_list else { return Value::Null };
    Value::Array(
        list.iter()
            .map(|item| {
                let slots = item.storage_keys.iter().map(|slot| bytes(slot.as_slice())).collect();
                Value::Array(vec![bytes(item.address.as_slice()), Value::Array(slots)])
            })
            .collect(),
    )
}
