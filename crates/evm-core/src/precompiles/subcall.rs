//! The sub-call precompile: from a contract to the runtime's modules.

use alloy_primitives::{Address, Bytes, U256, address};
use revm::{
    context::{ContextTr, JournalTr},
    interpreter::CallInputs,
};

use super::{
    abi::{Argument, Parameters, encode},
    meter::{Failure, Meter},
};
use crate::{
    context::SapphireContext,
    failure::EngineError,
    layout::OasisAddress,
    modules::{consensus, rofl},
    subcall::{Reply, Request},
};
use state_core::cbor::{self, Value};

const GAS: u64 = 10;
const WORD_GAS: u64 = 1;
const CALL_DATA_PUBLIC_KEY_GAS: u64 = 20;
const CURRENT_EPOCH_GAS: u64 = 10;
const TRANSFER_GAS: u64 = 1_000;

const CORE: &str = "core";
const ACCOUNTS: &str = "accounts";
/// core: the method is unknown.
const INVALID_METHOD: u64 = 3;
/// core: the body is not what the method takes.
const INVALID_ARGUMENT: u64 = 10;
/// core: the method wants more gas than is left.
const OUT_OF_GAS: u64 = 12;
/// core: the method changes state in a read-only call.
const READ_ONLY: u64 = 25;
/// accounts: the payer has less than the amount.
const INSUFFICIENT_BALANCE: u64 = 2;

/// abi(bytes method, bytes cbor) -> abi(uint64 status, bytes): the outer error is fatal for the block.
///
/// Contracts cannot nest sub-calls: `evm.*` is closed to them and no other module calls back, so the
/// depth limit of 8 upstream cannot be reached.
pub(super) fn subcall(
    input: &[u8],
    meter: &mut Meter,
    context: &mut SapphireContext<'_>,
    inputs: &CallInputs,
) -> Result<Result<Bytes, Failure>, String> {
    let parsed = parse(input, meter, inputs);
    let (method, body) = match parsed {
        Ok(parsed) => parsed,
        Err(failure) => return Ok(Err(failure)),
    };
    if method.starts_with("evm.") {
        return Ok(Err(Failure::Error("subcall failed")));
    }
    let caller = context.journal_mut().db_mut().oasis_of(inputs.caller);
    let request = Request { method, body, caller: &caller, read_only: inputs.is_static, gas: meter.remaining() };
    let reply = dispatch(&request, context, inputs)?;
    Ok(meter
        .charge(reply.gas_used)
        .map(|()| encode(&[Argument::Number(reply.status), Argument::Bytes(&reply.data)]).into()))
}

/// Where the precompile is.
pub(crate) const SUBCALL: Address = address!("0100000000000000000000000000000000000103");

/// What calls it from outside of any contract.
pub(crate) fn call_data(method: &str, body: &[u8]) -> Bytes {
    encode(&[Argument::Bytes(method.as_bytes()), Argument::Bytes(body)]).into()
}

/// Status and data of an answer.
pub(crate) fn read_answer(answer: &[u8]) -> Option<(u64, &[u8])> {
    let parameters = Parameters(answer);
    Some((parameters.number(0).ok()?.try_into().ok()?, parameters.bytes(1).ok()?))
}

/// Method and body. Only a regular call may ask: the sender must be the calling contract itself.
fn parse<'a>(input: &'a [u8], meter: &mut Meter, inputs: &CallInputs) -> Result<(&'a str, &'a [u8]), Failure> {
    meter.charge_linear(input.len(), GAS, WORD_GAS)?;
    if inputs.target_address != inputs.bytecode_address {
        return Err(Failure::Error("invalid call"));
    }
    let parameters = Parameters(input);
    let (method, body) = (parameters.bytes(0)?, parameters.bytes(1)?);
    cbor::decode(body).map_err(|_| Failure::Error("body is malformed"))?;
    let method = std::str::from_utf8(method).map_err(|_| Failure::Error("method is malformed"))?;
    Ok((method, body))
}

fn dispatch(request: &Request<'_>, context: &mut SapphireContext<'_>, inputs: &CallInputs) -> Result<Reply, String> {
    match request.method {
        "core.CallDataPublicKey" => {
            Ok(constant(request, CALL_DATA_PUBLIC_KEY_GAS, || context.chain.environment.call_data_public_key.clone()))
        }
        "core.CurrentEpoch" => {
            Ok(constant(request, CURRENT_EPOCH_GAS, || cbor::encode(&Value::Unsigned(context.chain.environment.epoch))))
        }
        "accounts.Transfer" => transfer(request, context, inputs),
        _ => match of_modules(request, context, inputs) {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Ok(failed(CORE, INVALID_METHOD, 0)),
            Err(EngineError::Host(error)) => {
                let text = error.to_string();
                context.chain.host_error = Some(error);
                Err(text)
            }
            Err(error) => Err(error.to_string()),
        },
    }
}

/// The answer of a module beside the EVM, else of the host's; None when no module has the method.
fn of_modules(
    request: &Request<'_>,
    context: &mut SapphireContext<'_>,
    inputs: &CallInputs,
) -> Result<Option<Reply>, EngineError> {
    if let Some(reply) = rofl::call(request, context, inputs.caller)? {
        return Ok(Some(reply));
    }
    if let Some(reply) = consensus::call(request, context, inputs.caller)? {
        return Ok(Some(reply));
    }
    Ok(context.chain.subcalls.map_or(Ok(None), |subcalls| subcalls.call(request))?)
}

fn failed(module: &str, code: u64, gas_used: u64) -> Reply {
    Reply { status: code, data: module.as_bytes().to_vec(), gas_used }
}

/// A method that takes nothing and reads one value.
fn constant(request: &Request<'_>, gas: u64, value: impl FnOnce() -> Vec<u8>) -> Reply {
    if !matches!(cbor::decode(request.body), Ok(Value::Null | Value::Undefined)) {
        return failed(CORE, INVALID_ARGUMENT, 0);
    }
    if request.gas < gas {
        return failed(CORE, OUT_OF_GAS, 0);
    }
    Reply { status: 0, data: value(), gas_used: gas }
}

/// Moves native tokens of the calling contract to an Oasis address, in the journal, so that it reverts
/// with the frame.
fn transfer(request: &Request<'_>, context: &mut SapphireContext<'_>, inputs: &CallInputs) -> Result<Reply, String> {
    if request.read_only {
        return Ok(failed(CORE, READ_ONLY, 0));
    }
    let Some((to, amount, is_native)) = parse_transfer(request.body) else {
        return Ok(failed(CORE, INVALID_ARGUMENT, 0));
    };
    if request.gas < TRANSFER_GAS {
        return Ok(failed(CORE, OUT_OF_GAS, 0));
    }
    if !is_native && !amount.is_zero() {
        return Ok(failed(ACCOUNTS, INSUFFICIENT_BALANCE, TRANSFER_GAS));
    }
    let journal = context.journal_mut();
    let to = journal.db_mut().journal_address(&to);
    let refused = journal.transfer(inputs.caller, to, amount).map_err(|error| error.to_string())?;
    Ok(match refused {
        None => Reply { status: 0, data: cbor::encode(&Value::Null), gas_used: TRANSFER_GAS },
        Some(_) => failed(ACCOUNTS, INSUFFICIENT_BALANCE, TRANSFER_GAS),
    })
}

/// `{to: bytes(21), amount: [bytes, denomination]}`; leading zeros of the amount are accepted.
fn parse_transfer(body: &[u8]) -> Option<(OasisAddress, U256, bool)> {
    let Ok(Value::Map(entries)) = cbor::decode(body) else { return None };
    let mut to = None;
    let mut amount = None;
    for (key, value) in &entries {
        match (key, value) {
            (Value::Text(key), Value::Bytes(address)) if key == "to" => {
                to = OasisAddress::try_from(address.as_slice()).ok();
            }
            (Value::Text(key), Value::Array(parts)) if key == "amount" => {
                if let [Value::Bytes(units), Value::Bytes(denomination)] = parts.as_slice() {
                    let units = u128::try_from(U256::try_from_be_slice(units)?).ok()?;
                    amount = Some((U256::from(units), denomination.is_empty()));
                }
            }
            _ => return None,
        }
    }
    let (amount, is_native) = amount?;
    Some((to?, amount, is_native))
}
