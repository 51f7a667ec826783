//! What an app asks of those who register for it, as far as it can be read without evidence.

use state_core::cbor::{Fields, Value};

use super::{INVALID_ARGUMENT, Refusal};

const MAX_DEPTH: usize = 4;
const MAX_ATOMS: usize = 32;
const MAX_ENCLAVES: usize = 64;
const MAX_EXPIRATION: u64 = 24;
const TOO_DEEP: Refusal = Refusal(14);
const TOO_MANY_ATOMS: Refusal = Refusal(15);
const EXPIRATION_TOO_HIGH: Refusal = Refusal(16);

/// The endorsing node pays, and not the instance.
pub(super) const NODE_PAYS: u64 = 2;

/// What the module itself goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// 1 or [`NODE_PAYS`].
    pub fees: u64,
    /// Longest time of a registration [epochs].
    pub max_expiration: u64,
}

/// Verifies the form of a policy.
pub(super) fn read(policy: &Value) -> Result<Terms, Refusal> {
    let mut fields = Fields::of(policy.clone()).ok_or(INVALID_ARGUMENT)?;
    if let Some(quotes) = fields.take("quotes") {
        Fields::of(quotes).ok_or(INVALID_ARGUMENT)?;
    }
    let enclaves = list(fields.take("enclaves"))?;
    if enclaves.len() > MAX_ENCLAVES || !enclaves.into_iter().all(is_identity) {
        return Err(INVALID_ARGUMENT);
    }
    let endorsements = list(fields.take("endorsements"))?;
    if count_atoms(&endorsements, 1)? > MAX_ATOMS {
        return Err(TOO_MANY_ATOMS);
    }
    let fees = fields.take("fees").map_or(Some(NODE_PAYS), |fees| fees.as_unsigned());
    let max_expiration = fields.take("max_expiration").map_or(Some(0), |epochs| epochs.as_unsigned());
    let (Some(fees @ 1..=NODE_PAYS), Some(max_expiration), true) = (fees, max_expiration, fields.is_empty()) else {
        return Err(INVALID_ARGUMENT);
    };
    if max_expiration > MAX_EXPIRATION {
        return Err(EXPIRATION_TOO_HIGH);
    }
    Ok(Terms { fees, max_expiration })
}

fn list(value: Option<Value>) -> Result<Vec<Value>, Refusal> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(INVALID_ARGUMENT),
    }
}

fn is_identity(value: Value) -> bool {
    let Some(mut fields) = Fields::of(value) else { return false };
    let is_hash = |value: Option<Value>| value.and_then(Value::into_bytes).is_some_and(|bytes| bytes.len() == 32);
    is_hash(fields.take("mr_enclave")) && is_hash(fields.take("mr_signer")) && fields.is_empty()
}

fn count_atoms(atoms: &[Value], depth: usize) -> Result<usize, Refusal> {
    if depth > MAX_DEPTH {
        return Err(TOO_DEEP);
    }
    let mut count = atoms.len();
    for atom in atoms {
        let Value::Map(entries) = atom else { return Err(INVALID_ARGUMENT) };
        let [(Value::Text(name), argument)] = entries.as_slice() else { return Err(INVALID_ARGUMENT) };
        let length = if let Value::Bytes(bytes) = argument { bytes.len() } else { 0 };
        match (name.as_str(), argument) {
            ("and" | "or", Value::Array(children)) => count += count_atoms(children, depth + 1)?,
            ("any" | "role_compute" | "role_observer", Value::Map(nothing)) if nothing.is_empty() => {}
            ("entity" | "node", _) if length == 32 => {}
            ("provider" | "provider_instance_admin", _) if length == 21 => {}
            _ => return Err(INVALID_ARGUMENT),
        }
    }
    Ok(count)
}
