//! A simulation as it is asked for and as it is answered, in JSON.

use alloy_eips::{eip4895::Withdrawal, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Log, U64, U256};
use alloy_rpc_types_eth::{BlockOverrides, state::StateOverride};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::terms::Checks;
use crate::tracing::Style;

/// What is to be simulated, as it comes in JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Simulation {
    /// One after the other, each on the state that the one before it leaves.
    pub blocks: Vec<SimulatedBlock>,
    /// How each call is traced.
    pub style: Style,
    /// What is looked at before each call.
    #[serde(default)]
    pub checks: Checks,
}

/// Calls that see the same block.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SimulatedBlock {
    /// What contracts see of it; where it says nothing they see the newest block.
    pub block: BlockOverrides,
    /// What of the state is changed before its calls.
    pub state: StateOverride,
    /// In order.
    pub calls: Vec<SimulatedCall>,
    /// What accounts are given after its calls.
    pub withdrawals: Vec<Withdrawal>,
}

/// One call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SimulatedCall {
    /// Sender, believed.
    pub from: Address,
    /// None creates a contract.
    pub to: Option<Address>,
    /// Limit; what the block has left where there is none [gas].
    pub gas: Option<U64>,
    /// What it pays, or offers; without checks what `GASPRICE` shows, and nothing is paid [base units/gas].
    pub gas_price: Option<U256>,
    /// Most that it pays; only with checks [base units/gas].
    pub max_fee_per_gas: Option<U256>,
    /// Of that, over the base fee [base units/gas].
    pub max_priority_fee_per_gas: Option<U256>,
    /// Position in the sender's sequence; the next where there is none.
    pub nonce: Option<U64>,
    /// Of the chain; it must be this one.
    pub chain_id: Option<U256>,
    /// Value sent [base units].
    pub value: U256,
    /// Calldata.
    pub data: Bytes,
    /// Accounts that take on code before it (EIP-7702).
    pub authorization_list: Vec<SignedAuthorization>,
    /// Trace of this call alone, instead of the simulation's.
    pub style: Option<Style>,
}

/// How a call ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome<'r> {
    pub status: bool,
    pub gas_used: u64,
    /// Before refunds.
    pub max_used_gas: u64,
    pub output: Bytes,
    /// Why it halted; None for a success or a revert.
    pub halt: Option<String>,
    pub logs: Vec<PlacedLog>,
    pub nonce: u64,
    pub gas_limit: u64,
    pub gas_price: U256,
    pub trace: &'r RawValue,
}

/// A log, with its index in the block.
#[derive(Serialize)]
pub(super) struct PlacedLog {
    pub index: usize,
    #[serde(flatten)]
    pub log: Log,
}

/// A block as its calls saw it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seen {
    pub chain_id: U64,
    pub gas_limit: U64,
    pub base_fee_per_gas: U64,
    pub miner: Address,
    pub mix_hash: B256,
    pub difficulty: U256,
}
