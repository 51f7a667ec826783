//! A chain that charges gas as Ethereum does.

use super::support::*;
use alloy_primitives::{Address, TxKind, U256};
use evm_core::{config::ChainConfig, engine::Call};

const FRESH: Address = Address::repeat_byte(0x99);

#[test]
fn a_transfer_costs_21_000_and_is_estimated_so() {
    for confidential in [true, false] {
        let config = ChainConfig { confidential, charges_for_size: false, ..ChainConfig::new(CHAIN_ID) };
        let mut chain = Chain::with(config);
        let raw = account(1).send(0, TxKind::Call(FRESH), ETHER, 21_000, &[]);
        let record = chain.run(&[raw]).remove(0);
        assert_eq!((record.status, record.gas_used, record.error), (1, 21_000, None));
        let call = Call { value: U256::ZERO, ..plain(FRESH) };
        assert_eq!(chain.engine.estimate_gas(&chain.environment(), chain.round, &call).unwrap(), 21_000);
        let short = account(1).send(1, TxKind::Call(FRESH), ETHER, 20_999, &[]);
        let record = chain.run(&[short]).remove(0);
        assert_eq!(record.error, Some(("evm".into(), 2, "execution failed: out of gas".into())));
    }
}

#[test]
fn sapphires_rule_wants_more() {
    let mut chain = Chain::new();
    let raw = account(1).send(0, TxKind::Call(FRESH), ETHER, 21_000, &[]);
    let record = chain.run(&[raw]).remove(0);
    assert_eq!(record.error, Some(("evm".into(), 2, "execution failed: out of gas".into())));
}
