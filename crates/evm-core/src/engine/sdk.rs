//! How transactions of the SDK's own format run: who pays, what the EVM is asked, and what the sender is told.
//!
//! Methods of modules are called where contracts call them, at the sub-call precompile; so they are journaled and
//! charged alike.

use alloy_primitives::{Address, Bytes, U256};
use state_core::{
    cbor::{self, Fields, Value},
    store::Snapshot,
};

use super::Engine;
use crate::{
    context::{Origin, OriginKey},
    crypto::NONCE_BYTES,
    database::StateDatabase,
    envelope::{Call, open_call, seal_call_result},
    environment::Environment,
    errors::ModuleError,
    failure::{CORE, EVM, EngineError, core},
    layout::{AccountRecord, OasisAddress, account_key},
    machine::Message,
    modules::rofl,
    precompiles::{SUBCALL, call_data, read_answer},
    sdk_transaction::{Authority, SdkParts},
    transaction::{Transaction, intrinsic_gas},
};

/// A call out of its envelope, and the key of its answer.
pub(super) struct OpenedCall {
    call: Call,
    key: Option<zeroize::Zeroizing<[u8; 32]>>,
}

/// Who pays, and whose nonces are used beside the sender's.
pub(super) struct Parties {
    pub payer: Address,
    pub cosigners: Vec<Address>,
}

/// Makes the accounts of a transaction known to the EVM, and verifies what only the state can say.
pub(super) fn meet(
    parts: &SdkParts,
    environment: &Environment,
    database: &mut StateDatabase<'_>,
) -> Result<Result<Parties, ModuleError>, EngineError> {
    let is_late = parts.not_after.is_some_and(|last| environment.round > last);
    if is_late || parts.not_before.is_some_and(|first| environment.round < first) {
        return Ok(Err(core(24, "transaction is expired or not yet valid")));
    }
    let paying = match rofl::payer(parts, environment.epoch, &|key| database.record(key))? {
        Ok(paying) => paying,
        Err(error) => return Ok(Err(error)),
    };
    let mut known =
        |authority: &Authority| authority.ethereum().unwrap_or_else(|| database.adopt(&authority.account()));
    let sender = known(parts.sender());
    let cosigners: Vec<(Address, u64)> =
        parts.signers[1..].iter().map(|one| (known(&one.authority), one.nonce)).collect();
    for (address, nonce) in &cosigners {
        match nonce.cmp(&database.nonce_and_balance(*address)?.0) {
            std::cmp::Ordering::Less => return Ok(Err(core(4, "invalid nonce"))),
            std::cmp::Ordering::Greater => return Ok(Err(core(26, "future nonce"))),
            std::cmp::Ordering::Equal => {}
        }
    }
    let payer = paying.map_or(sender, |native| database.adopt(&native));
    Ok(Ok(Parties { payer, cosigners: cosigners.into_iter().map(|(address, _)| address).collect() }))
}

/// What a message of a transaction comes from.
pub(super) fn origin(transaction: &Transaction, index: usize, opened: Option<&OpenedCall>) -> Origin {
    let signers = match &transaction.sdk {
        Some(parts) => parts.signers.iter().map(|one| OriginKey::of(&one.authority)).collect(),
        None => vec![OriginKey::Ethereum(transaction.sender)],
    };
    Origin {
        signers,
        index: index as u64,
        is_direct: opened.is_some_and(|opened| !opened.call.method.starts_with("evm.")),
        is_encrypted: opened.is_some_and(|opened| opened.key.is_some()),
    }
}

impl OpenedCall {
    /// Opens a call with the keys of the round. Errors are `core` 18.
    pub(super) fn open(parts: &SdkParts, environment: &Environment) -> Result<Self, ModuleError> {
        let secret_of = |epoch| environment.call_keys.get(&epoch).map(|secret| **secret);
        let (call, key) = open_call(&parts.call, environment.epoch, &secret_of)?;
        Ok(Self { call, key: key.map(zeroize::Zeroizing::new) })
    }

    /// Whether the EVM is called, and no other module.
    pub(super) fn is_evm(&self) -> bool {
        self.call.method.starts_with("evm.")
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.key.is_some()
    }

    /// What the EVM runs for it.
    pub(super) fn message(
        &self,
        transaction: &Transaction,
        parts: &SdkParts,
        price: u128,
        prepaid_gas: u64,
    ) -> Result<Message, ModuleError> {
        let (to, value, data, intrinsic_gas) = match self.call.method.as_str() {
            "evm.Call" | "evm.Create" if parts.sender().ethereum().is_none() => {
                return Err(ModuleError { module: EVM, code: 6, message: "invalid signer type".into() });
            }
            "evm.Call" => {
                let (mut body, value) = self.body_with_value()?;
                let to = body.take("address").and_then(Value::into_bytes).filter(|to| to.len() == 20);
                let data = body.take("data").map_or(Some(Vec::new()), Value::into_bytes);
                let (Some(to), Some(data), true) = (to, data, body.is_empty()) else { return Err(malformed()) };
                let gas = intrinsic_gas(&data, false);
                (Some(Address::from_slice(&to)), value, Bytes::from(data), gas)
            }
            "evm.Create" => {
                let (mut body, value) = self.body_with_value()?;
                let code = body.take("init_code").map_or(Some(Vec::new()), Value::into_bytes);
                let (Some(code), true) = (code, body.is_empty()) else { return Err(malformed()) };
                let gas = intrinsic_gas(&code, true);
                (None, value, Bytes::from(code), gas)
            }
            method if method.starts_with("evm.") || method.starts_with(MARKET) => return Err(no_method(method)),
            method => (Some(SUBCALL), U256::ZERO, call_data(method, &cbor::encode(&self.call.body)), 0),
        };
        Ok(Message {
            caller: transaction.sender,
            to,
            value,
            data,
            gas_limit: transaction.gas_limit,
            gas_price: price,
            prepaid_gas,
            authorizations: Vec::new(),
            intrinsic_gas,
        })
    }

    fn body_with_value(&self) -> Result<(Fields, U256), ModuleError> {
        let mut body = Fields::of(self.call.body.clone()).ok_or_else(malformed)?;
        let value = body.take("value").map_or(Some(Vec::new()), Value::into_bytes);
        let value = value.and_then(|value| U256::try_from_be_slice(&value)).ok_or_else(malformed)?;
        Ok((body, value))
    }

    /// What the message returned, as the result of the call: bytes of the EVM, or what the module answered.
    pub(super) fn read_output(&self, output: &[u8]) -> Result<Value, ModuleError> {
        if self.call.method.starts_with("evm.") {
            return Ok(Value::Bytes(output.to_vec()));
        }
        let nonsense = || core(10, "invalid argument");
        let (status, data) = read_answer(output).ok_or_else(nonsense)?;
        if status == 0 {
            return cbor::decode(data).map_err(|_| nonsense());
        }
        let module = MODULES.iter().find(|module| module.as_bytes() == data).copied().unwrap_or(CORE);
        let code = u32::try_from(status).unwrap_or(u32::MAX);
        if (module, code) == (CORE, 3) {
            return Err(no_method(&self.call.method));
        }
        Err(ModuleError { module, code, message: describe(module, code).into() })
    }

    /// The CBOR result that the sender gets, sealed where the call was.
    pub(super) fn seal(&self, result: Value, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
        let sealed = match &self.key {
            Some(key) => seal_call_result(key, nonce, &result),
            None => result,
        };
        cbor::encode(&sealed)
    }
}

const MODULES: [&str; 6] = [CORE, "accounts", "consensus", "consensus_accounts", rofl::NAME, EVM];

/// Methods of upstream's market for machines begin with it.
const MARKET: &str = "roflmarket.";

/// No module here has a method.
pub(super) fn no_method(method: &str) -> ModuleError {
    let hint = if method.starts_with(MARKET) {
        " (there is no market for machines here: no providers, offers or instances; `qanat rofl deploy` puts an app on \
         the network's workers)"
    } else {
        ""
    };
    core(3, format!("invalid method: {method}{hint}"))
}

pub(super) fn malformed() -> ModuleError {
    core(10, "invalid argument")
}

/// `{ok: value}`.
pub(super) fn ok(value: Value) -> Value {
    Value::map([("ok", value)])
}

/// `{fail: {module, code, message}}`.
pub(super) fn fail(error: &ModuleError) -> Value {
    let failure = Value::map([
        ("module", Value::Text(error.module.into())),
        ("code", Value::Unsigned(error.code.into())),
        ("message", Value::Text(error.message.clone())),
    ]);
    Value::map([("fail", failure)])
}

/// Upstream's text of an error, of which the sub-call precompile tells the code only.
pub(super) fn describe(module: &str, code: u32) -> &'static str {
    match (module, code) {
        (CORE, 6) => "out of message slots",
        (CORE, 10) => "invalid argument",
        (CORE, 12) => "out of gas",
        ("accounts" | "consensus_accounts", 2 | 3) => "insufficient balance",
        (rofl::NAME, 1) => "invalid argument",
        (rofl::NAME, 2) => "unknown application",
        (rofl::NAME, 3) => "tx not signed by RAK",
        (rofl::NAME, 4) => "tx not signed by extra key",
        (rofl::NAME, 5) => "unknown enclave",
        (rofl::NAME, 6) => "unknown node",
        (rofl::NAME, 7) => "endorsement from given node not allowed",
        (rofl::NAME, 8) => "registration expired",
        (rofl::NAME, 9) => "extra key update not allowed",
        (rofl::NAME, 10) => "application already exists",
        (rofl::NAME, 11) => "forbidden",
        (rofl::NAME, 12) => "unknown instance",
        (rofl::NAME, 13) => "must use non-plain call format",
        (rofl::NAME, 14) => "endorsement policy too deep",
        (rofl::NAME, 15) => "endorsement policy has too many atoms",
        (rofl::NAME, 16) => "max expiration in policy set too high",
        _ => "call failed",
    }
}

impl Engine {
    /// Nonce, and balance of who pays, for the check of a transaction that is not in a round yet.
    pub(super) fn standing(
        &self,
        transaction: &Transaction,
        snapshot: &Snapshot,
    ) -> Result<Result<(u64, U256), ModuleError>, EngineError> {
        let account = self.account_record(&transaction.account(), snapshot)?;
        let Some(parts) = transaction.sdk.as_deref() else { return Ok(Ok((account.nonce, account.balance))) };
        // Of which epoch the round will be is not known yet: execution looks whether the registration lasts.
        Ok(match rofl::payer(parts, 0, &|key| Ok(snapshot.get(key)?))? {
            Ok(None) => Ok((account.nonce, account.balance)),
            Ok(Some(payer)) => Ok((account.nonce, self.account_record(&payer, snapshot)?.balance)),
            Err(error) => Err(error),
        })
    }

    pub(super) fn account_record(
        &self,
        address: &OasisAddress,
        snapshot: &Snapshot,
    ) -> Result<AccountRecord, EngineError> {
        match snapshot.get(&account_key(address))? {
            Some(record) => Ok(AccountRecord::decode(&record)?),
            None => Ok(AccountRecord::default()),
        }
    }
}
