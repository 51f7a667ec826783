//! Questions about apps and their instances.

use state_core::cbor::{self, Fields, Value};

use super::{
    APPS, INVALID_ARGUMENT, MAX_KEY_BYTES, MAX_PAIRS, MAX_VALUE_BYTES, Refusal, UNKNOWN_APP, UNKNOWN_INSTANCE,
    stake_value,
    state::{app_key, corrupt, key_id, registration_key, registrations_prefix},
};
use crate::{
    failure::EngineError,
    keys::Key,
    modules::{list, reading::take_address},
};
use state_core::store::Snapshot;

/// Whether the module answers a question.
pub(crate) fn is_query(method: &str) -> bool {
    matches!(
        method,
        "rofl.App"
            | "rofl.Apps"
            | "rofl.AppInstance"
            | "rofl.AppInstances"
            | "rofl.StakeThresholds"
            | "rofl.MetadataLimits"
    )
}

/// Answers a question; [`is_query`] says which there are.
pub(crate) fn query(
    method: &str,
    arguments: Value,
    snapshot: &Snapshot,
) -> Result<Result<Value, Refusal>, EngineError> {
    let mut fields = Fields::of(arguments).unwrap_or_default();
    let decode = |record: Vec<u8>| cbor::decode(&record).map_err(|_| corrupt("a record of rofl"));
    Ok(match method {
        "rofl.App" => match take_address(&mut fields, "id") {
            Some(id) => snapshot.get(&app_key(&id))?.map(decode).transpose()?.ok_or(UNKNOWN_APP),
            None => Err(INVALID_ARGUMENT),
        },
        "rofl.Apps" => Ok(records(snapshot, APPS)?),
        "rofl.AppInstance" => {
            let (app, rak) = (take_address(&mut fields, "app"), fields.take("rak"));
            match (app, rak.and_then(|rak| Key::read(rak).ok())) {
                (Some(app), Some(rak)) => {
                    let found = snapshot.get(&registration_key(&app, &key_id(&rak)))?;
                    found.map(decode).transpose()?.ok_or(UNKNOWN_INSTANCE)
                }
                _ => Err(INVALID_ARGUMENT),
            }
        }
        "rofl.AppInstances" => match take_address(&mut fields, "id") {
            Some(id) => Ok(records(snapshot, &registrations_prefix(&id))?),
            None => Err(INVALID_ARGUMENT),
        },
        "rofl.StakeThresholds" => Ok(stake_thresholds()),
        _ => Ok(Value::map([
            ("max_pairs", Value::Unsigned(MAX_PAIRS as u64)),
            ("max_key_size", Value::Unsigned(MAX_KEY_BYTES as u64)),
            ("max_value_size", Value::Unsigned(MAX_VALUE_BYTES as u64)),
        ])),
    })
}

fn records(snapshot: &Snapshot, prefix: &[u8]) -> Result<Value, EngineError> {
    let found = list(snapshot, prefix)?;
    let decoded = found.into_iter().map(|(_, record)| cbor::decode(&record).map_err(|_| corrupt("a record of rofl")));
    Ok(Value::Array(decoded.collect::<Result<_, _>>()?))
}

pub(super) fn stake_thresholds() -> Value {
    Value::map([("app_create", stake_value())])
}
