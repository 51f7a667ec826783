//! What a question says of the state and the block instead of what they are.

use std::collections::BTreeMap;

use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::{
    BlockOverrides,
    state::{AccountOverride, StateOverride},
};
use revm::{context::BlockEnv, context_interface::block::BlobExcessGasAndPrice};
use serde::Deserialize;

use crate::{
    database::StateDatabase,
    failure::EngineError,
    machine::{Machine, Observer},
    refusals::{SERVER_ERROR, refused},
    tracing::unreadable,
};

/// What a call pretends. Whoever may pretend code reads storage with it: on a confidential chain the caller of the
/// engine decides who may.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pretence {
    /// What contracts see of the block.
    pub block: BlockOverrides,
    /// What of the state is changed before the call.
    pub state: StateOverride,
    /// Accounts that take on code before it, as in a transaction of type 4.
    pub authorization_list: Vec<SignedAuthorization>,
}

impl Pretence {
    /// Reads JSON. Errors are `trace` 2.
    pub fn parse(text: &[u8]) -> Result<Self, EngineError> {
        serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))
    }
}

/// Shows a machine another state and another block.
pub(super) fn pretend<'e, O: Observer<'e>>(
    machine: &mut Machine<'e, O>,
    state: &StateOverride,
    block: &BlockOverrides,
) -> Result<(), EngineError> {
    let mut moves = machine.moves();
    for (address, account) in state.iter().collect::<BTreeMap<_, _>>() {
        moves.take(*address, state).map_err(|why| refused(SERVER_ERROR, why))?;
        pretend_account(machine.database(), *address, account)?;
    }
    machine.relocate(&moves);
    let database = machine.database();
    for (number, hash) in block.block_hash.iter().flatten() {
        database.pretend_hash(*number, *hash);
    }
    see(machine.block(), block)
}

fn pretend_account(
    database: &mut StateDatabase<'_>,
    address: Address,
    account: &AccountOverride,
) -> Result<(), EngineError> {
    if account.state.is_some() && account.state_diff.is_some() {
        return Err(unreadable(format!("account {address} has both 'state' and 'stateDiff'")));
    }
    let (nonce, balance) = database.nonce_and_balance(address)?;
    let (nonce, balance) = (account.nonce.unwrap_or(nonce), account.balance.unwrap_or(balance));
    database.set_nonce_and_balance(address, nonce, balance)?;
    if let Some(code) = &account.code {
        database.pretend_code(address, code.clone())?;
    }
    if account.state.is_some() {
        database.pretend_no_storage(address);
    }
    for (slot, value) in account.state.iter().chain(&account.state_diff).flatten() {
        database.set_slot(address, (*slot).into(), (*value).into())?;
    }
    Ok(())
}

fn see(block: &mut BlockEnv, overrides: &BlockOverrides) -> Result<(), EngineError> {
    if overrides.beacon_root.is_some() {
        return Err(unreadable("beaconRoot: a ParaTime has no beacon chain"));
    }
    let BlockOverrides { number, difficulty, time, gas_limit, coinbase, random, base_fee, .. } = overrides;
    block.number = number.unwrap_or(block.number);
    block.difficulty = difficulty.unwrap_or(block.difficulty);
    block.timestamp = time.map_or(block.timestamp, U256::from);
    block.gas_limit = gas_limit.unwrap_or(block.gas_limit);
    block.beneficiary = coinbase.unwrap_or(block.beneficiary);
    block.prevrandao = random.or(block.prevrandao);
    if let Some(base_fee) = base_fee {
        block.basefee = u64::try_from(*base_fee).map_err(|_| unreadable("baseFeePerGas over 64 bits"))?;
    }
    if let Some(price) = overrides.blob_base_fee {
        let blob_gasprice = u128::try_from(price).map_err(|_| unreadable("blobBaseFee over 128 bits"))?;
        block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice });
    }
    Ok(())
}
