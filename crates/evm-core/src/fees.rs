//! The dynamic minimum gas price.

use crate::config::{ChainConfig, PRICE_CHANGE_DENOMINATOR, TARGET_GAS_PERCENT};

/// Minimum price of the next round, from the gas this one used. Moves by at most 1/8, never under the floor.
///
/// Source: oasis-sdk `runtime-sdk/src/modules/core/mod.rs` @ 00da39c (`min_gas_price_update`), with the
/// integer percentages of upstream.
pub fn next_min_gas_price(config: &ChainConfig, current: u128, gas_used: u64) -> u128 {
    let target = u128::from(config.batch_gas_limit) * TARGET_GAS_PERCENT / 100;
    if target == 0 {
        return current;
    }
    let used = u128::from(gas_used);
    let delta_percent = used.abs_diff(target) * 100 / target;
    let change = current.saturating_mul(delta_percent) / 100 / PRICE_CHANGE_DENOMINATOR;
    let next = if used > target { current.saturating_add(change) } else { current.saturating_sub(change) };
    next.max(config.initial_min_gas_price)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_rises_an_eighth_when_full_and_rests_at_the_floor() {
        let config = ChainConfig::new(1);
        let floor = config.initial_min_gas_price;
        assert_eq!(next_min_gas_price(&config, floor, 15_000_000), floor + floor / 8);
        assert_eq!(next_min_gas_price(&config, floor, 7_500_000), floor);
        assert_eq!(next_min_gas_price(&config, floor, 0), floor);
        assert_eq!(next_min_gas_price(&config, 2 * floor, 0), 2 * floor - floor / 4);
    }
}
