//! `eth_estimateGas` as Sapphire has it: an upper bound from the zero sender, and never a failure.

use alloy_primitives::{Address, Bytes};
use state_core::store::At;

use super::{Call, Engine};
use crate::{
    calldata::open,
    config::{Profile, SIGNATURE_GAS, TX_BYTE_GAS},
    environment::Environment,
    failure::EngineError,
    machine::{Message, Pricing},
    transaction::{bytes_header, gas_to_begin},
};

/// Transaction with a call of nothing, without the data field's own bytes [bytes].
const CALL_BYTES: u64 = 224;
/// Transaction with a creation from nothing, without the init code field's own bytes [bytes].
const CREATE_BYTES: u64 = 202;
/// What the envelope adds to the transaction: two arrays and a 64-byte signature proof [bytes].
const PROOF_BYTES: u64 = 79;
/// Longest authorization, as Ethereum encodes it: chain id and nonce of 64 bits, address, parity, two numbers [bytes].
const AUTHORIZATION_BYTES: u64 = 9 + 9 + 21 + 1 + 33 + 33 + 2;

impl Engine {
    /// Gas that the call should need as a transaction; a call that fails gets what it used and 2,000,000 more.
    ///
    /// The first run prices storage writes as fresh. Where frames are nested, 1/64 of the gas was held
    /// back at each level, so the result is tried and raised until the call succeeds with it.
    pub fn estimate_gas(
        &self,
        environment: &Environment,
        at: impl Into<At>,
        call: &Call<'_>,
    ) -> Result<u64, EngineError> {
        let at = at.into();
        let cap = self.config.batch_gas_limit;
        let (prepaid_gas, signature_gas) =
            if self.config.charges_for_size { (transaction_size(call) * TX_BYTE_GAS, SIGNATURE_GAS) } else { (0, 0) };
        let failed = |used: u64| {
            used.saturating_add(self.config.estimate_extra_fail_gas).min(cap).saturating_add(signature_gas).min(cap)
        };
        let Ok(opened) = open(&self.config, environment, call.data) else { return Ok(failed(prepaid_gas)) };
        let data = Bytes::from(opened.data);
        let keeps_sender = !self.config.confidential || self.config.profile == Profile::Dev;
        let message = |gas_limit| Message {
            caller: if keeps_sender { call.caller } else { Address::ZERO },
            to: call.to,
            value: call.value,
            intrinsic_gas: gas_to_begin(&data, call.to.is_none(), call.authorizations().len()),
            data: data.clone(),
            gas_limit,
            gas_price: u128::try_from(call.gas_price).unwrap_or(u128::MAX),
            prepaid_gas,
            authorizations: call.authorizations().to_vec(),
        };
        let run = |gas_limit, pricing| {
            let database = self.database(environment, at)?;
            self.simulate(environment, database, &message(gas_limit), pricing, call.pretence)
        };
        let first = match run(cap, Pricing::Estimate)? {
            Ok(first) => first,
            Err(_) => return Ok(failed(prepaid_gas + message(cap).intrinsic_gas)),
        };
        // What is refunded must be paid first.
        let mut estimate = first.result.gas().total_gas_spent();
        if !first.result.is_success() {
            return Ok(failed(estimate));
        }
        let suffices = |gas_limit| -> Result<bool, EngineError> {
            Ok(run(gas_limit, Pricing::Exact)?.is_ok_and(|run| run.result.is_success()))
        };
        if first.nested && !suffices(estimate)? {
            estimate = least_sufficient(estimate, cap, suffices)?;
        }
        Ok(estimate.saturating_add(signature_gas).min(cap))
    }
}

/// Smallest limit in (`low`, `high`] with which a call succeeds, to within 1/64.
pub(super) fn least_sufficient(
    mut low: u64,
    mut high: u64,
    suffices: impl Fn(u64) -> Result<bool, EngineError>,
) -> Result<u64, EngineError> {
    while high - low > (low / 64).max(1) {
        // The shortfall is usually small: look near the low end first.
        let middle = low + ((high - low) / 2).min(low / 8).max(1);
        if suffices(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(high)
}

/// Size of the SDK transaction that upstream's gateway would estimate, with a dummy signature of 64 bytes.
///
/// Source: oasis-sdk `runtime-sdk/src/modules/core/mod.rs` @ 00da39c (`query_estimate_gas`) and
/// oasis-web3-gateway `rpc/eth/api.go` @ 40bf2d3; the constants are lengths of that CBOR.
fn transaction_size(call: &Call<'_>) -> u64 {
    let data = call.data.len() as u64;
    let value = call.value.byte_len() as u64;
    let fixed = if call.to.is_some() { CALL_BYTES } else { CREATE_BYTES };
    let inner = fixed + value + bytes_header(data) + data + call.authorizations().len() as u64 * AUTHORIZATION_BYTES;
    inner + bytes_header(inner) + PROOF_BYTES
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;

    #[test]
    fn empty_call_has_the_size_upstream_charges() {
        let mut call = Call {
            caller: Address::ZERO,
            to: Some(Address::ZERO),
            gas: 0,
            gas_price: U256::ZERO,
            value: U256::ZERO,
            data: &[],
            pretence: None,
        };
        // eth_estimateGas of an empty call to 0x0 on localnet is 0x5722 = 21,000 + 1,000 + 306.
        assert_eq!(transaction_size(&call), 306);
        call.data = &[1; 30];
        assert_eq!(transaction_size(&call), 306 + 31 + 1);
    }

    #[test]
    fn search_ends_at_a_limit_that_suffices() {
        for needed in [101u64, 150, 5_000, 999_999] {
            let found = least_sufficient(100, 1_000_000, |limit| Ok(limit >= needed)).unwrap();
            assert!(found >= needed && found <= needed + needed / 32 + 1, "{needed} -> {found}");
        }
    }
}
