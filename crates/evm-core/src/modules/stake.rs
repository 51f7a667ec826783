//! Questions about stake that accounts here hold in consensus.
//!
//! Source: oasis-sdk `runtime-sdk/src/modules/consensus_accounts` @ 00da39c.

use std::collections::BTreeMap;

use state_core::{cbor::Value, store::Snapshot};

use super::{
    consensus::{DELEGATIONS, UNDELEGATIONS, corrupt, delegation_key, read_undelegation},
    list,
    reading::{address_value, quantity_value},
};
use crate::{
    failure::EngineError,
    layout::{OasisAddress, decode_quantity},
};

/// `{shares}` of one account here in the stake of another there.
pub(crate) fn delegation(from: &OasisAddress, to: &OasisAddress, snapshot: &Snapshot) -> Result<Value, EngineError> {
    let shares = decode_quantity(snapshot.get(&delegation_key(from, to))?)?.unwrap_or(0);
    Ok(Value::map([("shares", quantity_value(shares))]))
}

/// `{to, shares}` of each stake of an account, or `{from, to, shares}` of all accounts' where none is named.
pub(crate) fn delegations(of: Option<&OasisAddress>, snapshot: &Snapshot) -> Result<Value, EngineError> {
    let prefix = [DELEGATIONS, of.map_or(&[][..], |of| of.as_slice())].concat();
    let records = list(snapshot, &prefix)?;
    let mut found = Vec::with_capacity(records.len());
    for (key, shares) in records {
        let addresses = key.strip_prefix(DELEGATIONS).filter(|rest| rest.len() == 42);
        let (from, to) = addresses.ok_or_else(|| corrupt("a delegation"))?.split_at(21);
        let mut fields = Vec::new();
        if of.is_none() {
            fields.push(("from", Value::Bytes(from.to_vec())));
        }
        fields.push(("to", Value::Bytes(to.to_vec())));
        fields.push(("shares", quantity_value(decode_quantity(Some(shares))?.unwrap_or(0))));
        found.push(map(fields));
    }
    Ok(Value::Array(found))
}

/// `{from, epoch, shares}` of each stake that is on its way to an account, or with `to` of all accounts' where none is
/// named. `from` is whose stake it was part of.
pub(crate) fn undelegations(of: Option<&OasisAddress>, snapshot: &Snapshot) -> Result<Value, EngineError> {
    // Those of one epoch are one, whatever their receipts.
    let mut sums = BTreeMap::<(OasisAddress, OasisAddress, u64), u128>::new();
    for (key, shares) in list(snapshot, UNDELEGATIONS)? {
        let (epoch, staked, owner) = read_undelegation(&key).ok_or_else(|| corrupt("an undelegation"))?;
        if of.is_none_or(|of| *of == owner) {
            let shares = decode_quantity(Some(shares))?.unwrap_or(0);
            let sum = sums.entry((owner, staked, epoch)).or_default();
            *sum = sum.saturating_add(shares);
        }
    }
    let found = sums.into_iter().map(|((owner, staked, epoch), shares)| {
        let mut fields = vec![("from", address_value(&staked)), ("epoch", Value::Unsigned(epoch))];
        if of.is_none() {
            fields.push(("to", address_value(&owner)));
        }
        fields.push(("shares", quantity_value(shares)));
        map(fields)
    });
    Ok(Value::Array(found.collect()))
}

fn map(fields: Vec<(&str, Value)>) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (Value::Text(name.into()), value)).collect())
}
