//! Tokens between this chain and consensus, and stake: asked here, done there, told in a later round.
//!
//! | key | value |
//! |---|---|
//! | `08 01 ‖ from (21) ‖ to (21)` | shares of an account here in the stake of one there (16, big-endian) |
//! | `08 02 ‖ epoch (8) ‖ to (21) ‖ from (21) ‖ receipt (8)` | shares on their way out (16, big-endian) |
//! | `08 03 ‖ owner (21) ‖ kind (1) ‖ id (8)` | a receipt that nobody has taken yet, CBOR |
//! | `08 04` | what the messages of the newest round were about, CBOR array in their order |
//!
//! Source: oasis-sdk `runtime-sdk/src/modules/consensus_accounts` @ 00da39c. Differs: Ethereum logs are all the events
//! there are; `SharesToTokens` and `RoundRoot` are the host's.

use std::sync::LazyLock;

use alloy_primitives::{Address, U256};
use revm::context::{ContextTr, JournalTr};
use state_core::cbor::{self, Fields, Value};

use super::{
    Outgoing, emit,
    reading::{address_value, fields, quantity_value, take_address, take_amount, take_number, take_quantity},
    record, write,
};
use crate::{
    context::SapphireContext,
    failure::EngineError,
    layout::{OasisAddress, decode_quantity, module_address},
    subcall::{Reply, Request},
};

const NAME: &str = "consensus";
const ACCOUNTS: &str = "consensus_accounts";
const CORE: &str = "core";

/// Base units here in one of consensus.
pub(super) const SCALE: u128 = 1_000_000_000;
/// Least that is delegated at once [base units here].
const MIN_DELEGATION: u128 = 100 * 1_000_000_000 * SCALE;

const TRANSFER_GAS: u64 = 60_000;
const UNDELEGATE_GAS: u64 = 120_000;
const STORE_RECEIPT_GAS: u64 = 20_000;
const TAKE_RECEIPT_GAS: u64 = 15_000;
const DELEGATION_GAS: u64 = 10_000;

/// Holds what is on its way to consensus: `oasis1qr677rv0dcnh7ys4yanlynysvnjtk9gnsyhvm6ln`.
pub(super) static PENDING_WITHDRAWAL: LazyLock<OasisAddress> =
    LazyLock::new(|| module_address(ACCOUNTS, "pending-withdrawal"));
/// Holds what is on its way into stake: `oasis1qzcdegtf7aunxr5n5pw7n5xs3u7cmzlz9gwmq49r`.
pub(super) static PENDING_DELEGATION: LazyLock<OasisAddress> =
    LazyLock::new(|| module_address(ACCOUNTS, "pending-delegation"));

/// Record of what the messages of the newest round are about.
pub(crate) const PENDING_KEY: &[u8] = &[0x08, 0x04];
const MODULE: u8 = 0x08;

/// Kinds of receipts.
pub(super) const DELEGATE: u8 = 1;
pub(super) const UNDELEGATE_START: u8 = 2;
pub(super) const UNDELEGATE_DONE: u8 = 3;

/// What the keys of all delegations begin with.
pub(super) const DELEGATIONS: &[u8] = &[MODULE, 0x01];
/// What the keys of all undelegations begin with.
pub(super) const UNDELEGATIONS: &[u8] = &[MODULE, 0x02];

pub(super) fn delegation_key(from: &OasisAddress, to: &OasisAddress) -> Vec<u8> {
    [DELEGATIONS, from.as_slice(), to.as_slice()].concat()
}

pub(super) fn undelegations_prefix(epoch: u64, to: &OasisAddress) -> Vec<u8> {
    [UNDELEGATIONS, epoch.to_be_bytes().as_slice(), to.as_slice()].concat()
}

pub(super) fn undelegation_key(epoch: u64, to: &OasisAddress, from: &OasisAddress, receipt: u64) -> Vec<u8> {
    [undelegations_prefix(epoch, to).as_slice(), from.as_slice(), &receipt.to_be_bytes()].concat()
}

/// Epoch, whose stake it was part of, and whose it is.
pub(super) fn read_undelegation(key: &[u8]) -> Option<(u64, OasisAddress, OasisAddress)> {
    let (epoch, rest) = key.strip_prefix(UNDELEGATIONS)?.split_first_chunk::<8>()?;
    let (to, rest) = rest.split_first_chunk::<21>()?;
    let (from, receipt) = rest.split_first_chunk::<21>()?;
    (receipt.len() == 8).then_some((u64::from_be_bytes(*epoch), *to, *from))
}

pub(super) fn receipt_key(owner: &OasisAddress, kind: u8, id: u64) -> Vec<u8> {
    [&[MODULE, 0x03], owner.as_slice(), &[kind], &id.to_be_bytes()].concat()
}

/// Why a method did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal(&'static str, u64);

const MALFORMED: Refusal = Refusal(CORE, 10);
const READ_ONLY: Refusal = Refusal(CORE, 25);
const NO_MESSAGE_SLOT: Refusal = Refusal(CORE, 6);
const INVALID_ARGUMENT: Refusal = Refusal(ACCOUNTS, 1);
const INVALID_DENOMINATION: Refusal = Refusal(NAME, 2);
const NOT_REPRESENTABLE: Refusal = Refusal(NAME, 5);
const BELOW_MINIMUM: Refusal = Refusal(NAME, 6);
const INSUFFICIENT_BALANCE: Refusal = Refusal(ACCOUNTS, 3);

/// The outer error is fatal for the block.
type Outcome = Result<Result<Value, Refusal>, EngineError>;

/// Lets a refusal be the outcome.
macro_rules! require {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
}

/// Answers a method of the module, asked by a contract; None where it has no such method.
pub fn call(
    request: &Request<'_>,
    context: &mut SapphireContext<'_>,
    contract: Address,
) -> Result<Option<Reply>, EngineError> {
    let Some((base_gas, method)) = method(request.method) else { return Ok(None) };
    let Some(mut body) = fields(request.body) else {
        return Ok(Some(refused(MALFORMED, 0)));
    };
    let mut gas = base_gas;
    let mut receipt = 0;
    if matches!(method, Method::Delegate | Method::Undelegate) {
        receipt = match take_number(&mut body, "receipt") {
            Some(receipt) => receipt,
            None => return Ok(Some(refused(MALFORMED, 0))),
        };
        gas += if receipt > 0 { STORE_RECEIPT_GAS } else { 0 };
    }
    if let Some(reply) = request.charge(gas) {
        return Ok(Some(reply));
    }
    if request.read_only && method != Method::Delegation {
        return Ok(Some(refused(READ_ONLY, 0)));
    }
    let caller = Caller { contract, address: request.caller };
    let outcome = match method {
        Method::Deposit => deposit(context, &caller, body)?,
        Method::Withdraw => withdraw(context, &caller, body)?,
        Method::Delegate => delegate(context, &caller, body, receipt)?,
        Method::Undelegate => undelegate(context, &caller, body, receipt)?,
        Method::TakeReceipt => take_receipt(context, &caller, body)?,
        Method::Delegation => delegation(context, body)?,
    };
    Ok(Some(match outcome {
        Ok(value) => Reply { status: 0, data: cbor::encode(&value), gas_used: gas },
        Err(refusal) => refused(refusal, gas),
    }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Deposit,
    Withdraw,
    Delegate,
    Undelegate,
    TakeReceipt,
    Delegation,
}

fn method(name: &str) -> Option<(u64, Method)> {
    Some(match name {
        "consensus.Deposit" => (TRANSFER_GAS, Method::Deposit),
        "consensus.Withdraw" => (TRANSFER_GAS, Method::Withdraw),
        "consensus.Delegate" => (TRANSFER_GAS, Method::Delegate),
        "consensus.Undelegate" => (UNDELEGATE_GAS, Method::Undelegate),
        "consensus.TakeReceipt" => (TAKE_RECEIPT_GAS, Method::TakeReceipt),
        "consensus.Delegation" => (DELEGATION_GAS, Method::Delegation),
        _ => return None,
    })
}

fn refused(refusal: Refusal, gas_used: u64) -> Reply {
    Reply { status: refusal.1, data: refusal.0.as_bytes().to_vec(), gas_used }
}

/// The contract that asks.
struct Caller<'a> {
    contract: Address,
    address: &'a OasisAddress,
}

fn deposit(context: &mut SapphireContext<'_>, caller: &Caller<'_>, mut body: Fields) -> Outcome {
    let to = require!(optional_address(&mut body, "to")).unwrap_or(*caller.address);
    let (amount, scaled) = require!(native_amount(&mut body));
    require!(finish(&body));
    let message = Value::map([("owner", address_value(caller.address)), ("amount", Value::Unsigned(scaled))]);
    let pending = Value::map([
        ("kind", Value::Text("deposit".into())),
        ("to", address_value(&to)),
        ("amount", quantity_value(amount)),
    ]);
    Ok(send(context, "withdraw", message, pending))
}

fn withdraw(context: &mut SapphireContext<'_>, caller: &Caller<'_>, mut body: Fields) -> Outcome {
    let to = require!(optional_address(&mut body, "to")).unwrap_or(*caller.address);
    let (amount, scaled) = require!(native_amount(&mut body));
    require!(finish(&body));
    require!(set_aside(context, caller, &PENDING_WITHDRAWAL, amount)?);
    let message = Value::map([("to", address_value(&to)), ("amount", Value::Unsigned(scaled))]);
    let pending = Value::map([
        ("kind", Value::Text("withdraw".into())),
        ("from", address_value(caller.address)),
        ("amount", quantity_value(amount)),
    ]);
    Ok(send(context, "transfer", message, pending))
}

fn delegate(context: &mut SapphireContext<'_>, caller: &Caller<'_>, mut body: Fields, receipt: u64) -> Outcome {
    let to = require!(take_address(&mut body, "to").ok_or(MALFORMED));
    let (amount, scaled) = require!(native_amount(&mut body));
    require!(finish(&body));
    if amount < MIN_DELEGATION {
        return Ok(Err(BELOW_MINIMUM));
    }
    require!(set_aside(context, caller, &PENDING_DELEGATION, amount)?);
    let message = Value::map([("account", address_value(&to)), ("amount", Value::Unsigned(scaled))]);
    let pending = Value::map([
        ("kind", Value::Text("delegate".into())),
        ("from", address_value(caller.address)),
        ("to", address_value(&to)),
        ("amount", quantity_value(amount)),
        ("receipt", Value::Unsigned(receipt)),
    ]);
    Ok(send(context, "add_escrow", message, pending))
}

fn undelegate(context: &mut SapphireContext<'_>, caller: &Caller<'_>, mut body: Fields, receipt: u64) -> Outcome {
    let account = require!(take_address(&mut body, "from").ok_or(MALFORMED));
    let shares = require!(take_quantity(&mut body, "shares").ok_or(MALFORMED));
    require!(finish(&body));
    let Ok(scaled) = u64::try_from(shares) else { return Ok(Err(NOT_REPRESENTABLE)) };
    let key = delegation_key(caller.address, &account);
    let owned = decode_quantity(record(context, &key)?)?.unwrap_or(0);
    let Some(left) = owned.checked_sub(shares) else { return Ok(Err(INSUFFICIENT_BALANCE)) };
    write(context, key, (left > 0).then(|| left.to_be_bytes().to_vec()));
    let message = Value::map([("account", address_value(&account)), ("shares", Value::Unsigned(scaled))]);
    let pending = Value::map([
        ("kind", Value::Text("undelegate".into())),
        ("from", address_value(caller.address)),
        ("to", address_value(&account)),
        ("amount", quantity_value(shares)),
        ("receipt", Value::Unsigned(receipt)),
    ]);
    Ok(send(context, "reclaim_escrow", message, pending))
}

fn take_receipt(context: &mut SapphireContext<'_>, caller: &Caller<'_>, mut body: Fields) -> Outcome {
    let id = require!(take_number(&mut body, "id").ok_or(MALFORMED));
    let kind = require!(take_number(&mut body, "kind").ok_or(MALFORMED));
    require!(finish(&body));
    let kind = match u8::try_from(kind) {
        Ok(kind @ (DELEGATE | UNDELEGATE_START | UNDELEGATE_DONE)) => kind,
        _ => return Ok(Err(INVALID_ARGUMENT)),
    };
    let key = receipt_key(caller.address, kind, id);
    let Some(receipt) = record(context, &key)? else { return Ok(Ok(Value::Null)) };
    write(context, key, None);
    Ok(Ok(cbor::decode(&receipt).map_err(|_| corrupt("receipt"))?))
}

fn delegation(context: &mut SapphireContext<'_>, mut body: Fields) -> Outcome {
    let from = require!(take_address(&mut body, "from").ok_or(MALFORMED));
    let to = require!(take_address(&mut body, "to").ok_or(MALFORMED));
    require!(finish(&body));
    let shares = decode_quantity(record(context, &delegation_key(&from, &to))?)?.unwrap_or(0);
    Ok(Ok(Value::map([("shares", quantity_value(shares))])))
}

/// What cannot be in a state that this module wrote.
pub(super) fn corrupt(what: &str) -> EngineError {
    state_core::errors::StateError::Corrupt(format!("consensus module: {what}")).into()
}

fn optional_address(body: &mut Fields, name: &str) -> Result<Option<OasisAddress>, Refusal> {
    match body.take(name) {
        None => Ok(None),
        Some(value) => value.into_bytes().and_then(|bytes| bytes.try_into().ok()).map(Some).ok_or(MALFORMED),
    }
}

/// An amount here, and the same in base units of consensus.
fn native_amount(body: &mut Fields) -> Result<(u128, u64), Refusal> {
    let (amount, is_native) = take_amount(body, "amount").ok_or(MALFORMED)?;
    if !is_native {
        return Err(INVALID_DENOMINATION);
    }
    if amount % SCALE != 0 {
        return Err(NOT_REPRESENTABLE);
    }
    u64::try_from(amount / SCALE).map(|scaled| (amount, scaled)).map_err(|_| NOT_REPRESENTABLE)
}

fn finish(body: &Fields) -> Result<(), Refusal> {
    if body.is_empty() { Ok(()) } else { Err(MALFORMED) }
}

/// Moves tokens of the contract to an account of the module, in the journal, until consensus has answered.
fn set_aside(
    context: &mut SapphireContext<'_>,
    caller: &Caller<'_>,
    to: &OasisAddress,
    amount: u128,
) -> Result<Result<(), Refusal>, EngineError> {
    let journal = context.journal_mut();
    let to = journal.db_mut().journal_address(to);
    let refused = journal.transfer(caller.contract, to, U256::from(amount))?;
    Ok(if refused.is_none() { Ok(()) } else { Err(INSUFFICIENT_BALANCE) })
}

fn send(context: &mut SapphireContext<'_>, kind: &str, message: Value, pending: Value) -> Result<Value, Refusal> {
    let message = cbor::encode(&Value::map([(kind, message)]));
    if emit(context, Outgoing { message, pending }) { Ok(Value::Null) } else { Err(NO_MESSAGE_SLOT) }
}
