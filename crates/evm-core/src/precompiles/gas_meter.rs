//! Gas used so far, and padding to a fixed amount, so that gas tells nothing about the branch taken.

use super::{
    abi::{Argument, Parameters, encode},
    meter::{Failure, Meter},
};

const GAS: u64 = 10;

/// anything -> abi(uint64): gas the calling frame has used, this call included.
pub(super) fn gas_used(meter: &mut Meter, caller_gas_used: u64) -> Result<Vec<u8>, Failure> {
    meter.charge(GAS)?;
    Ok(encode(&[Argument::Number(caller_gas_used + GAS)]))
}

/// abi(uint128 target) -> nothing: burns gas until the calling frame has used `target`.
pub(super) fn pad_gas(input: &[u8], meter: &mut Meter, caller_gas_used: u64) -> Result<Vec<u8>, Failure> {
    meter.charge(GAS)?;
    let target = u128::try_from(Parameters(input).number(0)?).map_err(|_| Failure::Error("malformed ABI input"))?;
    let target = u64::try_from(target).unwrap_or(u64::MAX);
    let padding =
        target.checked_sub(caller_gas_used + GAS).ok_or(Failure::Error("gas pad amount less than already used gas"))?;
    meter.charge(padding)?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;

    fn pad(target: u64) -> Result<u64, Failure> {
        let mut meter = Meter::new(10_560);
        pad_gas(&U256::from(target).to_be_bytes::<32>(), &mut meter, 0).map(|_| meter.used())
    }

    // The limits and results of oasis-sdk's own test (precompile/gas.rs, test_pad_gas).
    #[test]
    fn padding_burns_exactly_up_to_the_target() {
        assert_eq!(pad(20), Ok(20));
        assert_eq!(pad(1), Err(Failure::Error("gas pad amount less than already used gas")));
        assert_eq!(pad(20_000), Err(Failure::OutOfGas));
    }

    #[test]
    fn gas_used_counts_its_own_cost() {
        assert_eq!(gas_used(&mut Meter::new(10), 0), Ok(encode(&[Argument::Number(10)])));
        assert_eq!(gas_used(&mut Meter::new(9), 0), Err(Failure::OutOfGas));
    }
}
