//! On what terms a simulated call runs: its gas and price, and why it may not run.
//!
//! Source: go-ethereum `internal/ethapi/simulate.go` (`sanitizeCall`), `core/state_transition.go` (`preCheck`,
//! `buyGas`). Differs: fees go to no miner, and calldata has no floor of gas, as everywhere on a ParaTime.

use alloy_primitives::U256;
use revm::context::{TxEnv, result::InvalidTransaction};
use serde::Deserialize;

use super::simulation::SimulatedCall;
use crate::{
    config::INITCODE_LIMIT_BYTES,
    failure::EngineError,
    refusals::{SERVER_ERROR, invalid, refused},
    tracing::{too_large, unreadable},
};

/// What is looked at before a call runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Checks {
    /// Nothing, and nothing is paid: traces of calls.
    #[default]
    Nothing,
    /// What `eth_simulateV1` looks at without `validation`: gas of the block, and who can pay what the call names.
    Funds,
    /// With it: nonces and the least price too, so that what passes could be in a block.
    All,
}

/// What a call meets.
pub(super) struct Ground {
    /// Of the sender.
    pub nonce: u64,
    /// Of the sender [base units].
    pub balance: U256,
    /// Of the block [base units/gas].
    pub base_fee: u64,
    /// What the block has left [gas].
    pub block_gas_left: u64,
    /// What the simulation has left [gas].
    pub gas_left: u64,
    pub chain_id: u64,
    /// What a call with this data owes before its first step [gas].
    pub intrinsic_gas: u64,
}

/// How a call runs.
#[derive(Debug)]
pub(super) struct Terms {
    /// That it is shown with.
    pub nonce: u64,
    /// Limit [gas].
    pub gas_limit: u64,
    /// What a unit of gas costs [base units/gas].
    pub price: u128,
    /// Whether that is paid.
    pub is_paid: bool,
}

impl Terms {
    /// What is taken from the sender first [base units].
    pub(super) fn fee(&self) -> U256 {
        self.price_of(self.gas_limit)
    }

    /// What some gas costs [base units].
    pub(super) fn price_of(&self, gas: u64) -> U256 {
        if self.is_paid { U256::from(self.price) * U256::from(gas) } else { U256::ZERO }
    }
}

impl Checks {
    /// Terms of a call, or why the whole simulation is refused.
    pub(super) fn admit(self, call: &SimulatedCall, ground: &Ground) -> Result<Terms, EngineError> {
        let gas_price = call.gas_price.map(price).transpose()?;
        if self == Self::Nothing {
            if ground.gas_left == 0 {
                return Err(too_large("the simulation uses more gas than it may"));
            }
            let gas = call.gas.map_or(ground.block_gas_left, |gas| gas.to());
            let gas_limit = gas.min(ground.block_gas_left).min(ground.gas_left);
            return Ok(Terms { nonce: ground.nonce, gas_limit, price: gas_price.unwrap_or_default(), is_paid: false });
        }
        let named =
            (call.max_fee_per_gas.map(price).transpose()?, call.max_priority_fee_per_gas.map(price).transpose()?);
        let (max_fee, tip) = match (gas_price, named) {
            (Some(price), (None, None)) => (price, price),
            (None, (max_fee, tip)) => (max_fee.unwrap_or_default(), tip.unwrap_or_default()),
            (Some(_), _) => {
                let why = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
                return Err(refused(SERVER_ERROR, why));
            }
        };
        if let Some(other) = call.chain_id.filter(|named| *named != U256::from(ground.chain_id)) {
            let why = format!("chainId does not match node's (have={other}, want={})", ground.chain_id);
            return Err(refused(SERVER_ERROR, why));
        }
        if call.to.is_none() && !call.authorization_list.is_empty() {
            return Err(refused(SERVER_ERROR, "a transaction of this type has a target"));
        }
        let (left, gas) = (ground.block_gas_left, call.gas.map_or(ground.block_gas_left, |gas| gas.to()));
        if gas > left {
            return Err(refused(-38015, format!("block gas limit reached: remaining: {left}, required: {gas}")));
        }
        if ground.gas_left == 0 {
            return Err(refused(-38026, "the simulation uses more gas than it may"));
        }
        let gas_limit = gas.min(ground.gas_left);
        let nonce = call.nonce.map_or(ground.nonce, |nonce| nonce.to());
        let seen = TxEnv {
            caller: call.from,
            nonce,
            gas_limit,
            gas_price: max_fee,
            gas_priority_fee: Some(tip),
            ..Default::default()
        };
        if let Some(reason) = self.reason(call, ground, &seen) {
            let (code, why) = invalid(&reason, &seen, ground.base_fee);
            return Err(refused(code, format!("err: {why} (supplied gas {gas_limit})")));
        }
        let price = max_fee.min(u128::from(ground.base_fee).saturating_add(tip));
        Ok(Terms { nonce, gas_limit, price, is_paid: true })
    }

    /// Why a call may not run, in go-ethereum's order.
    fn reason(self, call: &SimulatedCall, ground: &Ground, seen: &TxEnv) -> Option<InvalidTransaction> {
        let (tx, state) = (seen.nonce, ground.nonce);
        let (max_fee, tip) = (seen.gas_price, seen.gas_priority_fee.unwrap_or_default());
        let ordered = self == Self::All;
        let priced = ordered || (max_fee, tip) != (0, 0);
        let most = U256::from(max_fee) * U256::from(seen.gas_limit);
        let (wanted, overflows) = most.overflowing_add(call.value);
        let wanted = if overflows { U256::MAX } else { wanted };
        let size = call.data.len();
        Some(match () {
            () if ordered && tx < state => InvalidTransaction::NonceTooLow { tx, state },
            () if ordered && tx > state => InvalidTransaction::NonceTooHigh { tx, state },
            () if ordered && tx == u64::MAX => InvalidTransaction::NonceOverflowInTransaction,
            () if priced && tip > max_fee => InvalidTransaction::PriorityFeeGreaterThanMaxFee,
            () if priced && max_fee < u128::from(ground.base_fee) => InvalidTransaction::GasPriceLessThanBasefee,
            () if ground.balance < wanted || overflows => {
                InvalidTransaction::LackOfFundForMaxFee { fee: Box::new(wanted), balance: Box::new(ground.balance) }
            }
            () if seen.gas_limit < ground.intrinsic_gas => InvalidTransaction::CallGasCostMoreThanGasLimit {
                initial_gas: ground.intrinsic_gas,
                gas_limit: seen.gas_limit,
            },
            () if call.to.is_none() && size > INITCODE_LIMIT_BYTES => InvalidTransaction::CreateInitCodeSizeLimit,
            () => return None,
        })
    }
}

fn price(named: U256) -> Result<u128, EngineError> {
    u128::try_from(named).map_err(|_| unreadable("a price of gas over 128 bits"))
}
