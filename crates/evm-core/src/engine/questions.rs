//! Questions of the SDK's modules about a state, CBOR to CBOR as upstream's clients ask them.
//!
//! Source: oasis-sdk `runtime-sdk/src/modules/{accounts,consensus_accounts,core}/mod.rs`, `runtime-sdk/modules/evm/src`
//! @ 00da39c. Differs: lists of over 10,000 are refused, as a node of upstream's refuses all lists by itself.

use alloy_primitives::{Address, U256};
use state_core::{
    cbor::{self, Fields, Value},
    store::{At, Snapshot},
};

use super::{
    Engine,
    sdk::{describe, malformed, no_method},
};
use crate::{
    errors::ModuleError,
    failure::{CallFailure, EngineError},
    layout::{ACCOUNTS, AccountRecord, OasisAddress},
    modules::{list, rofl, stake},
};

/// Digits behind the point of the native token, as in Ethereum. Source: sapphire-paratime `runtime/src/lib.rs`.
const DECIMALS: u64 = 18;

impl Engine {
    /// Answers a question of the SDK's modules about a state.
    ///
    /// # Errors
    /// [`EngineError::Call`] with what the module refuses with; `core` 3 where there is no such question.
    pub fn ask(&self, method: &str, arguments: &[u8], at: impl Into<At>) -> Result<Vec<u8>, EngineError> {
        let at = at.into();
        let arguments = if arguments.is_empty() { Ok(Value::Null) } else { cbor::decode(arguments) };
        let arguments = arguments.map_err(|_| refuse(malformed()))?;
        let value = match method.split_once('.') {
            Some((rofl::NAME, _)) if rofl::is_query(method) => {
                rofl::query(method, arguments, &self.store.snapshot(at)?)?.map_err(of_rofl)?
            }
            Some(("evm", _)) => self.ask_evm(method, Arguments::of(arguments), at)?,
            Some(("consensus", _)) => self.ask_stake(method, Arguments::of(arguments), &self.store.snapshot(at)?)?,
            _ => self.ask_accounts(method, Arguments::of(arguments), &self.store.snapshot(at)?)?,
        };
        Ok(cbor::encode(&value))
    }

    fn ask_accounts(&self, method: &str, mut of: Arguments, snapshot: &Snapshot) -> Result<Value, EngineError> {
        Ok(match method {
            "accounts.Nonce" => Value::Unsigned(self.account_record(&of.account("address")?, snapshot)?.nonce),
            "accounts.Balances" => {
                let balance = self.account_record(&of.account("address")?, snapshot)?.balance;
                Value::map([("balances", native(balance))])
            }
            "accounts.Addresses" if of.is_native()? => addresses(snapshot)?,
            "accounts.Addresses" => Value::Array(Vec::new()),
            "accounts.DenominationInfo" if of.is_native()? => Value::map([("decimals", Value::Unsigned(DECIMALS))]),
            "accounts.DenominationInfo" => {
                return Err(refuse(ModuleError { module: "accounts", code: 4, message: "not found".into() }));
            }
            "core.MinGasPrice" => native(U256::from(self.min_gas_price_at(snapshot)?)),
            _ => return Err(refuse(no_method(method))),
        })
    }

    fn ask_stake(&self, method: &str, mut of: Arguments, snapshot: &Snapshot) -> Result<Value, EngineError> {
        match method {
            "consensus.Balance" => {
                let balance = self.account_record(&of.account("address")?, snapshot)?.balance;
                Ok(Value::map([("balance", quantity(balance))]))
            }
            "consensus.Delegation" => stake::delegation(&of.account("from")?, &of.account("to")?, snapshot),
            "consensus.Delegations" => stake::delegations(Some(&of.account("from")?), snapshot),
            "consensus.AllDelegations" => stake::delegations(None, snapshot),
            "consensus.Undelegations" => stake::undelegations(Some(&of.account("to")?), snapshot),
            "consensus.AllUndelegations" => stake::undelegations(None, snapshot),
            _ => Err(refuse(no_method(method))),
        }
    }

    fn ask_evm(&self, method: &str, mut of: Arguments, at: At) -> Result<Value, EngineError> {
        Ok(match method {
            "evm.Balance" => quantity(self.account(&of.ethereum("address")?, at)?.1),
            "evm.Code" => Value::Bytes(self.code(&of.ethereum("address")?, at)?),
            "evm.Storage" => {
                let (address, slot) = (of.ethereum("address")?, of.bytes("index")?);
                Value::Bytes(self.storage(&address, &slot, at)?.to_vec())
            }
            _ => return Err(refuse(no_method(method))),
        })
    }
}

/// The fields that a question names.
struct Arguments(Fields);

impl Arguments {
    fn of(value: Value) -> Self {
        Self(Fields::of(value).unwrap_or_default())
    }

    fn bytes<const N: usize>(&mut self, name: &str) -> Result<[u8; N], EngineError> {
        let bytes = self.0.take(name).and_then(Value::into_bytes).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| refuse(malformed()))
    }

    fn account(&mut self, name: &str) -> Result<OasisAddress, EngineError> {
        self.bytes(name)
    }

    fn ethereum(&mut self, name: &str) -> Result<Address, EngineError> {
        self.bytes(name).map(Address::new)
    }

    /// Whether the denomination is that of the only token here.
    fn is_native(&mut self) -> Result<bool, EngineError> {
        let denomination = self.0.take("denomination").and_then(Value::into_bytes);
        denomination.map(|denomination| denomination.is_empty()).ok_or_else(|| refuse(malformed()))
    }
}

/// Accounts that hold something.
fn addresses(snapshot: &Snapshot) -> Result<Value, EngineError> {
    let mut found = Vec::new();
    for (key, record) in list(snapshot, ACCOUNTS)? {
        if !AccountRecord::decode(&record)?.balance.is_zero() {
            found.push(Value::Bytes(key[ACCOUNTS.len()..].to_vec()));
        }
    }
    Ok(Value::Array(found))
}

fn refuse(error: ModuleError) -> EngineError {
    EngineError::Call(CallFailure::from(error))
}

fn of_rofl(refusal: rofl::Refusal) -> EngineError {
    let code = u32::try_from(refusal.0).unwrap_or(u32::MAX);
    refuse(ModuleError { module: rofl::NAME, code, message: describe(rofl::NAME, code).into() })
}

/// An amount of the only token, by its denomination.
fn native(amount: U256) -> Value {
    Value::Map(vec![(Value::Bytes(Vec::new()), quantity(amount))])
}

fn quantity(amount: U256) -> Value {
    Value::Bytes(amount.to_be_bytes_trimmed_vec())
}
