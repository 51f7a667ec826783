//! What a header owes to its parent and to the rules. Proof of work is not looked at.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_eips::eip1559::BaseFeeParams;
use revm::primitives::hardfork::SpecId;

use crate::{
    failure::{Result, import},
    rules::Rules,
};

/// Base fee of London's first block, and the factor by which its gas limit jumps (EIP-1559).
const INITIAL_BASE_FEE: u64 = 1_000_000_000;
const ELASTICITY: u64 = 2;

/// Refuses a header that does not follow from its parent.
pub fn check(rules: &Rules, parent: &Header, header: &Header) -> Result<()> {
    let is_first_of_london = rules.since(SpecId::LONDON) && parent.base_fee_per_gas.is_none();
    let usual_limit = if is_first_of_london { parent.gas_limit * ELASTICITY } else { parent.gas_limit };
    let is_of_work = !rules.since(SpecId::MERGE);
    let checks = [
        ("parent hash", header.parent_hash == parent.hash_slow()),
        ("number", header.number == parent.number + 1),
        ("timestamp", header.timestamp > parent.timestamp),
        ("difficulty", header.difficulty.is_zero() != is_of_work),
        ("ommers", is_of_work || header.ommers_hash == EMPTY_OMMER_ROOT_HASH),
        ("gas limit", header.gas_limit.abs_diff(usual_limit) < usual_limit / 1024),
        ("base fee", header.base_fee_per_gas == base_fee(rules, parent)),
        ("excess blob gas", header.excess_blob_gas == excess_blob_gas(rules, parent)),
    ];
    let wrong = checks.iter().find(|(_, holds)| !holds);
    wrong.map_or(Ok(()), |(what, _)| Err(import(format!("{what} is not what follows from the parent"))))
}

/// Base fee of the block after `parent`; None before London [wei/gas].
pub fn base_fee(rules: &Rules, parent: &Header) -> Option<u64> {
    if !rules.since(SpecId::LONDON) {
        return None;
    }
    parent.next_block_base_fee(BaseFeeParams::ethereum()).or(Some(INITIAL_BASE_FEE))
}

/// Excess of blob gas of the block after `parent`; None before blobs [gas].
pub fn excess_blob_gas(rules: &Rules, parent: &Header) -> Option<u64> {
    rules.blobs.map(|blobs| parent.next_block_excess_blob_gas(blobs).unwrap_or_default())
}
