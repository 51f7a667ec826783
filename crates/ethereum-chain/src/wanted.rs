//! What `eth_simulateV1` is asked for, and the blocks that this makes.

use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::U256;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use serde::Deserialize;

use crate::failure::{Result, refused, unreadable};

/// Blocks of one simulation, gaps included.
const MAX_BLOCKS: u64 = 256;
/// Between two blocks where nothing is said [s].
const BLOCK_TIME_S: u64 = 12;

/// What `eth_simulateV1` takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// In order.
    pub block_state_calls: Vec<Wanted>,
    /// Whether transfers of ether are logs.
    #[serde(default)]
    pub trace_transfers: bool,
    /// Whether calls must be such as could be in a block.
    #[serde(default)]
    pub validation: bool,
    /// Whether blocks show more of their transactions than hashes.
    #[serde(default)]
    pub return_full_transactions: bool,
}

/// A block that never was.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Wanted {
    /// What is said of it.
    pub block_overrides: Option<BlockOverrides>,
    /// What is said of the state before its calls.
    pub state_overrides: Option<StateOverride>,
    /// In order.
    pub calls: Vec<TransactionRequest>,
    /// What is given after them.
    #[serde(skip)]
    pub withdrawals: Withdrawals,
}

/// What a payload says of withdrawals: alloy's overrides of a block do not know them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Withdrawing {
    block_state_calls: Vec<WithdrawingBlock>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WithdrawingBlock {
    block_overrides: Option<Withdrawn>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Withdrawn {
    withdrawals: Option<Withdrawals>,
}

impl Payload {
    /// Reads JSON.
    pub fn read(text: &[u8]) -> Result<Self> {
        let mut payload: Self = serde_json::from_slice(text).map_err(unreadable)?;
        let withdrawing: Withdrawing = serde_json::from_slice(text).map_err(unreadable)?;
        for (block, one) in payload.block_state_calls.iter_mut().zip(withdrawing.block_state_calls) {
            block.withdrawals = one.block_overrides.and_then(|known| known.withdrawals).unwrap_or_default();
        }
        Ok(payload)
    }
}

impl Wanted {
    /// What of the block is changed.
    pub fn block(&self) -> BlockOverrides {
        self.block_overrides.clone().unwrap_or_default()
    }
}

/// Gives every block a number and a time; between numbers that jump, blocks are empty.
pub fn fill_gaps(base: &Header, blocks: &[Wanted]) -> Result<Vec<Wanted>> {
    if blocks.is_empty() {
        return Err(refused(-32602, "empty input"));
    }
    if blocks.len() as u64 > MAX_BLOCKS {
        return Err(refused(-38026, "too many blocks"));
    }
    let (mut number, mut time) = (base.number, base.timestamp);
    let mut filled = Vec::new();
    for block in blocks {
        let mut overrides = block.block();
        let next = overrides.number.map_or(number + 1, |wanted| wanted.saturating_to());
        if next <= number {
            return Err(refused(-38020, format!("block numbers must be in order: {next} <= {number}")));
        }
        if next - base.number > MAX_BLOCKS {
            return Err(refused(-38026, "too many blocks"));
        }
        for empty in number + 1..next {
            time = time.saturating_add(BLOCK_TIME_S);
            let overrides = BlockOverrides { number: Some(U256::from(empty)), time: Some(time), ..Default::default() };
            filled.push(Wanted { block_overrides: Some(overrides), ..Default::default() });
        }
        let next_time = overrides.time.unwrap_or(time.saturating_add(BLOCK_TIME_S));
        if next_time <= time {
            return Err(refused(-38021, format!("block timestamps must be in order: {next_time} <= {time}")));
        }
        (overrides.number, overrides.time) = (Some(U256::from(next)), Some(next_time));
        filled.push(Wanted { block_overrides: Some(overrides), ..block.clone() });
        (number, time) = (next, next_time);
    }
    Ok(filled)
}
