//! Attested apps, as contracts ask for them: which app sent the transaction.
//!
//! Instances register by transactions of the SDK's own format, which this chain does not take yet; so the origin of a
//! transaction, an Ethereum key, is never one of an instance. Source: oasis-sdk
//! `runtime-sdk/src/modules/rofl/mod.rs` @ 00da39c.

use state_core::cbor::{self, Value};

use crate::{
    layout::OasisAddress,
    subcall::{Reply, Request},
};

const NAME: &str = "rofl";
const INVALID_ARGUMENT: u64 = 1;
const UNKNOWN_INSTANCE: u64 = 12;
const ORIGIN_GAS: u64 = 1_000;
const ORIGIN_OWNER_GAS: u64 = 2_000;

/// Answers a method of the module; None where it has no such method.
pub fn call(request: &Request<'_>) -> Option<Reply> {
    let (gas, outcome) = match request.method {
        "rofl.IsAuthorizedOrigin" => (ORIGIN_GAS, app_id(request.body).map(|_| Value::Bool(false))),
        "rofl.AuthorizedOriginNode" | "rofl.AuthorizedOriginEntity" => {
            (ORIGIN_OWNER_GAS, app_id(request.body).and(Err(UNKNOWN_INSTANCE)))
        }
        "rofl.OriginApp" => match cbor::decode(request.body) {
            Ok(Value::Null | Value::Undefined) => (ORIGIN_GAS, Err(UNKNOWN_INSTANCE)),
            _ => (ORIGIN_GAS, Err(INVALID_ARGUMENT)),
        },
        _ => return None,
    };
    Some(request.charge(gas).unwrap_or_else(|| match outcome {
        Ok(value) => Reply { status: 0, data: cbor::encode(&value), gas_used: gas },
        Err(code) => Reply { status: code, data: NAME.as_bytes().to_vec(), gas_used: gas },
    }))
}

fn app_id(body: &[u8]) -> Result<OasisAddress, u64> {
    match cbor::decode(body) {
        Ok(Value::Bytes(id)) => id.try_into().map_err(|_| INVALID_ARGUMENT),
        _ => Err(INVALID_ARGUMENT),
    }
}
