//! Reading the bodies of sub-calls and what consensus says: fields of maps.

use alloy_primitives::U256;

use crate::layout::OasisAddress;
use state_core::cbor::{self, Fields, Value};

/// The fields of an encoded map.
pub(super) fn fields(body: &[u8]) -> Option<Fields> {
    Fields::of(cbor::decode(body).ok()?)
}

/// Takes an address.
pub(super) fn take_address(fields: &mut Fields, name: &str) -> Option<OasisAddress> {
    fields.take(name)?.into_bytes()?.try_into().ok()
}

/// Takes a number that may be left out, which is a zero.
pub(super) fn take_number(fields: &mut Fields, name: &str) -> Option<u64> {
    fields.take(name).map_or(Some(0), |value| value.as_unsigned())
}

/// Takes a quantity of 128 bits. Upstream's Solidity library writes leading zeros.
pub(super) fn take_quantity(fields: &mut Fields, name: &str) -> Option<u128> {
    quantity(fields.take(name)?)
}

/// Takes an amount, and whether it is of the native denomination.
pub(super) fn take_amount(fields: &mut Fields, name: &str) -> Option<(u128, bool)> {
    let Value::Array(parts) = fields.take(name)? else { return None };
    let [units, denomination] = <[Value; 2]>::try_from(parts).ok()?;
    Some((quantity(units)?, denomination.into_bytes()?.is_empty()))
}

fn quantity(value: Value) -> Option<u128> {
    u128::try_from(U256::try_from_be_slice(&value.into_bytes()?)?).ok()
}

/// A quantity as the SDK writes it: big-endian without leading zeros.
pub(super) fn quantity_value(number: u128) -> Value {
    Value::Bytes(U256::from(number).to_be_bytes_trimmed_vec())
}

/// An address as bytes.
pub(super) fn address_value(address: &OasisAddress) -> Value {
    Value::Bytes(address.to_vec())
}
