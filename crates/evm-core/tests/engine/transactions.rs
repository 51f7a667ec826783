//! Transactions: gas, fees, nonces, failures, and what a round leaves in the state.

use super::support::*;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, TxKind, U256, hex};
use evm_core::{
    config::ChainConfig,
    engine::Engine,
    failure::EngineError,
    layout::{account_key, block_hash_key, oasis_address},
};
use state_core::cbor::Value;

const PRICE: u128 = 100 * GWEI;
const FRESH: Address = Address::repeat_byte(0x99);

/// Gas a raw transaction pays before the EVM: its CBOR length and 1,000 for the signature.
fn prepaid(raw: &[u8]) -> u64 {
    let header = if raw.len() < 24 {
        1
    } else if raw.len() < 256 {
        2
    } else {
        3
    };
    raw.len() as u64 + header + 26 + 1_000
}

#[test]
fn transfer_pays_for_its_size_its_signature_and_the_evm() {
    let mut chain = Chain::new();
    let raw = account(1).send(0, TxKind::Call(FRESH), ETHER, 100_000, &[]);
    let record = chain.run(std::slice::from_ref(&raw)).remove(0);
    assert_eq!((record.status, record.error.clone()), (1, None));
    assert_eq!(record.gas_used, 21_000 + prepaid(&raw));
    assert_eq!(chain.balance(FRESH), U256::from(ETHER));
    let paid = u128::from(record.gas_used) * PRICE;
    assert_eq!(chain.balance(account(1).address), U256::from(999_999 * ETHER - paid), "unused gas came back");
    assert_eq!(chain.engine.fees(chain.round).unwrap(), paid, "nothing is lost");
    assert_eq!(record.map["effective_gas_price"], Value::Bytes(PRICE.to_be_bytes()[11..].to_vec()));
    assert_eq!(record.map["encrypted"], Value::Bool(false));
}

#[test]
fn records_are_canonical_and_complete() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let list = AccessList(vec![AccessListItem { address: cell, storage_keys: vec![B256::ZERO] }]);
    let raw = account(2).with_access_list(0, cell, list);
    let block = chain.propose(std::slice::from_ref(&raw), true).unwrap();
    let record = Record::read(&block.results[0]);
    assert_eq!(state_core::cbor::encode(&state_core::cbor::decode(&block.results[0]).unwrap()), block.results[0]);
    let mut names: Vec<_> = record.map.keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut expected =
        "hash sender to nonce gas gas_price max_fee max_tip value type input v r s chain_id access_list status \
        gas_used cumulative_gas_used effective_gas_price logs bloom contract_address output error encrypted"
            .split_whitespace()
            .collect::<Vec<_>>();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(record.map["type"], Value::Unsigned(1));
    // An access list is shown, not charged: no 2,400 + 1,900, and the slot stays cold.
    assert_eq!(record.gas_used, 21_000 + prepaid(&raw) + 2_100 + 30, "the slot is cold");
    assert_ne!(record.map["access_list"], Value::Null);
}

#[test]
fn create_address_comes_from_the_nonce_before_it_is_bumped() {
    let mut chain = Chain::new();
    let sender = account(3);
    let records = chain.run(&[sender.create(0, CELL), sender.create(1, CELL)]);
    for (nonce, record) in records.iter().enumerate() {
        assert_eq!(record.contract, Some(sender.address.create(nonce as u64)));
        assert_eq!(record.output, record.contract.unwrap().to_vec());
        assert_eq!(chain.engine.code(&record.contract.unwrap(), chain.round).unwrap(), CELL);
    }
    assert_eq!(chain.engine.account(&sender.address, chain.round).unwrap().0, 2);
}

#[test]
fn failed_creation_uses_up_the_nonce_once() {
    let mut chain = Chain::new();
    let sender = account(3);
    let revert = hex!("60005ffd");
    let too_dear = sender.send(1, TxKind::Create, 2_000_000 * ETHER, 200_000, &revert);
    let records = chain.run(&[sender.send(0, TxKind::Create, 0, 200_000, &revert), too_dear]);
    assert_eq!(records[0].error, Some(("evm".into(), 8, "reverted: ".into())));
    assert_eq!(records[1].error, Some(("evm".into(), 2, "execution failed: out of funds".into())));
    assert_eq!(chain.engine.account(&sender.address, chain.round).unwrap().0, 2);
}

#[test]
fn revert_gives_unused_gas_back_and_keeps_at_most_1024_bytes() {
    let mut chain = Chain::new();
    // Reverts with 2,000 bytes of zeros.
    let contract = chain.deploy(&hex!("6107d05ffd"));
    let record = chain.run(&[account(2).call(0, contract, &[])]).remove(0);
    let (module, code, message) = record.error.unwrap();
    assert_eq!((module.as_str(), code), ("evm", 8));
    assert_eq!(message.len(), "reverted: ".len() + 1024_usize.div_ceil(3) * 4);
    assert!(record.gas_used < 25_000);
    let spent = U256::from(1_000_000 * ETHER) - chain.balance(account(2).address);
    assert_eq!(spent, U256::from(u128::from(record.gas_used) * PRICE));
}

#[test]
fn halts_have_the_texts_of_upstream() {
    let mut chain = Chain::new();
    for (code, text) in [
        (hex!("fe").to_vec(), "designated invalid"),
        (hex!("5f56").to_vec(), "invalid jump"),
        (hex!("50").to_vec(), "stack underflow"),
        (hex!("0c").to_vec(), "invalid code"),
        (hex!("5b5f56").to_vec(), "out of gas"),
        (hex!("5f5c").to_vec(), "invalid code"),     // TLOAD is Cancun's
        (hex!("5f5f5f5e").to_vec(), "invalid code"), // and so is MCOPY
        (hex!("5f49").to_vec(), "invalid code"),     // and BLOBHASH
    ] {
        let contract = chain.deploy(&code);
        let nonce = chain.engine.account(&account(2).address, chain.round).unwrap().0;
        let record = chain.run(&[account(2).call(nonce, contract, &[])]).remove(0);
        assert_eq!(record.error, Some(("evm".into(), 2, format!("execution failed: {text}"))));
        assert_eq!(record.gas_used, 1_000_000, "a halt takes the whole limit");
    }
}

#[test]
fn too_little_gas_for_the_evm_is_mined_and_too_little_for_size_is_not() {
    let mut chain = Chain::new();
    let mined = account(1).send(0, TxKind::Call(FRESH), 0, 21_500, &[]);
    let record = chain.run(&[mined]).remove(0);
    assert_eq!(record.error, Some(("evm".into(), 2, "execution failed: out of gas".into())));
    assert_eq!(record.gas_used, 21_500);
    let refused = account(1).send(1, TxKind::Call(FRESH), 0, 1_000, &[]);
    let Err(EngineError::InvalidBatch { index: 0, error }) = chain.propose(std::slice::from_ref(&refused), true) else {
        panic!()
    };
    assert_eq!(error.code, 12);
    assert_eq!(error.message, format!("out of gas (limit: 1000 wanted: {})", prepaid(&refused)));
}

#[test]
fn selfdestruct_fails_the_transaction_and_keeps_the_whole_fee() {
    let mut chain = Chain::new();
    // Stores 1 in slot 0, then destroys itself for the caller.
    let contract = chain.deploy(&hex!("60015f5533ff"));
    let record = chain.run(&[account(2).call(0, contract, &[])]).remove(0);
    assert_eq!(record.error, Some(("evm".into(), 2, "execution failed: SELFDESTRUCT not supported".into())));
    assert!(record.gas_used < 100_000);
    let spent = U256::from(1_000_000 * ETHER) - chain.balance(account(2).address);
    assert_eq!(spent, U256::from(1_000_000 * PRICE), "the limit is charged, not the use");
    assert!(!chain.engine.code(&contract, chain.round).unwrap().is_empty());
    let effective = 1_000_000 * PRICE / u128::from(record.gas_used);
    let Value::Bytes(shown) = &record.map["effective_gas_price"] else { panic!() };
    assert_eq!(U256::from_be_slice(shown), U256::from(effective));
}

#[test]
fn selfdestruct_in_a_reverted_frame_does_no_harm() {
    let mut chain = Chain::new();
    let destroyed = chain.deploy(&hex!("33ff"));
    // Calls it and reverts.
    let mut code = hex!("5f5f5f5f5f73").to_vec();
    code.extend(destroyed.as_slice());
    code.extend(hex!("5af15f5ffd"));
    let reverting = chain.deploy(&code);
    let outer = chain.deploy(&forwarder(reverting, 0xf1));
    assert_eq!(chain.run(&[account(2).call(0, outer, &[])])[0].error, None);
}

#[test]
fn dynamic_fee_pays_minimum_and_tip_up_to_its_maximum() {
    let mut chain = Chain::new();
    let records = chain.run(&[
        account(1).dynamic(0, FRESH, 150 * GWEI, 10 * GWEI),
        account(1).dynamic(1, FRESH, 105 * GWEI, 10 * GWEI),
        account(1).dynamic(2, FRESH, 100 * GWEI, 0),
    ]);
    for (record, price) in records.iter().zip([110, 105, 100]) {
        let Value::Bytes(shown) = &record.map["effective_gas_price"] else { panic!() };
        assert_eq!(U256::from_be_slice(shown), U256::from(price * GWEI));
    }
    for (raw, code) in [
        (account(1).dynamic(3, FRESH, 99 * GWEI, 0), 20),
        (account(1).dynamic(3, FRESH, 100 * GWEI, 101 * GWEI), 1),
        (account(1).dynamic(2, FRESH, 100 * GWEI, 0), 4),
        (account(1).dynamic(4, FRESH, 100 * GWEI, 0), 26),
        (account(77).dynamic(0, FRESH, 100 * GWEI, 0), 5),
        (account(1).send(3, TxKind::Call(FRESH), 0, 15_000_001, &[]), 11),
    ] {
        let Err(EngineError::InvalidBatch { error, .. }) = chain.propose(std::slice::from_ref(&raw), true) else {
            panic!()
        };
        assert_eq!((error.module, error.code), ("core", code));
        let block = chain.propose(&[raw], false).unwrap();
        assert_eq!((block.included.len(), block.rejected[0].1.error.code), (0, code), "a scheduler leaves it out");
    }
}

#[test]
fn scheduler_leaves_out_what_does_not_fit_and_worker_refuses_it() {
    let chain = Chain::new();
    let big = |number| account(number).send(0, TxKind::Call(FRESH), 0, 14_970_000, &[]);
    let batch = [big(1), big(2), account(3).send(0, TxKind::Call(FRESH), 0, 30_000, &[])];
    let block = chain.propose(&batch, false).unwrap();
    assert_eq!(block.included, [0, 1, 2], "gas that was not used is free for the next");
    let burner = account(1).send(0, TxKind::Create, 0, 14_990_000, &hex!("fe"));
    let batch = [burner, big(2), account(3).send(0, TxKind::Call(FRESH), 0, 10_000, &[])];
    let block = chain.propose(&batch, false).unwrap();
    assert_eq!((block.included.as_slice(), block.rejected.len()), ([0, 2].as_slice(), 0));
    assert!(matches!(chain.propose(&batch, true), Err(EngineError::InvalidBatch { index: 1, .. })));
}

#[test]
fn check_sorts_the_pool_without_changing_anything() {
    let chain = Chain::new();
    let good = account(1).send(7, TxKind::Call(FRESH), 0, 30_000, &[]);
    let mut broken = good.clone();
    let last = broken.len() - 1;
    broken.truncate(last);
    let old_chain = account(2).sign(alloy_consensus::TxLegacy {
        chain_id: Some(1),
        gas_price: PRICE,
        gas_limit: 30_000,
        to: TxKind::Call(FRESH),
        ..Default::default()
    });
    let no_chain = account(2).sign(alloy_consensus::TxLegacy {
        chain_id: None,
        gas_price: PRICE,
        gas_limit: 30_000,
        to: TxKind::Call(FRESH),
        ..Default::default()
    });
    // Enough for threads.
    let mut batch = vec![good.clone(), broken, old_chain, no_chain.clone()];
    batch.extend((0..40).map(|nonce| account(4).send(nonce, TxKind::Call(FRESH), 0, 30_000, &[])));
    let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
    for _ in 0..2 {
        let checked = chain.engine.check(&batch, chain.round).unwrap();
        let first = checked[0].as_ref().unwrap();
        assert_eq!((first.transaction.sender, first.transaction.nonce), (account(1).address, 7));
        assert_eq!(first.account_nonce, 0, "a future nonce waits in the pool");
        assert_eq!(first.transaction.hash, alloy_primitives::keccak256(&good));
        assert_eq!(checked[1].as_ref().unwrap_err().error.code, 1);
        assert_eq!(checked[2].as_ref().unwrap_err().error.code, 1);
        assert_eq!(checked[3].as_ref().unwrap().transaction.chain_id, None);
        assert!(
            checked[4..]
                .iter()
                .all(|checked| checked.as_ref().is_ok_and(|c| c.transaction.sender == account(4).address))
        );
    }
}

#[test]
fn high_s_is_malformed() {
    let chain = Chain::new();
    let transaction = alloy_consensus::TxLegacy {
        chain_id: Some(CHAIN_ID),
        gas_price: PRICE,
        gas_limit: 30_000,
        to: TxKind::Call(FRESH),
        ..Default::default()
    };
    use alloy_consensus::SignableTransaction;
    use alloy_eips::Encodable2718;
    let signature = account(1).sign_hash(transaction.signature_hash());
    let order = U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let flipped = alloy_primitives::Signature::new(signature.r(), order - signature.s(), !signature.v());
    let raw = alloy_consensus::TxEnvelope::from(transaction.into_signed(flipped)).encoded_2718();
    assert_eq!(chain.engine.check(&[&raw], chain.round).unwrap()[0].as_ref().unwrap_err().error.code, 1);
}

#[test]
fn block_context_is_the_parents_header() {
    let mut chain = Chain::new();
    // NUMBER, TIMESTAMP, COINBASE, PREVRANDAO, GASLIMIT, BASEFEE, CHAINID, GASPRICE as words.
    let mut code = Vec::new();
    for (index, opcode) in [0x43u8, 0x42, 0x41, 0x44, 0x45, 0x48, 0x46, 0x3a].into_iter().enumerate() {
        code.extend([opcode, 0x60, 32 * index as u8, 0x52]);
    }
    code.extend(hex!("6101005ff3"));
    let contract = chain.deploy(&code);
    let record = chain.run(&[account(2).call(0, contract, &[])]).remove(0);
    let words: Vec<u128> =
        record.output.chunks(32).map(|word| u128::try_from(U256::from_be_slice(word)).unwrap()).collect();
    let header = u128::from(chain.round - 1);
    assert_eq!(words, [header, 1_700_000_000 + header + 1, 0, 0, 15_000_000, PRICE, u128::from(CHAIN_ID), PRICE]);
}

#[test]
fn block_hashes_are_kept_for_256_rounds() {
    let mut chain = Chain::new();
    // BLOCKHASH of the number in calldata.
    let contract = chain.deploy(&hex!("5f35405f5260205ff3"));
    for _ in 0..300 {
        chain.run(&[]);
    }
    let ask = |number: u64| chain.query(contract, &word(number)).unwrap();
    let latest = chain.round;
    for known in [latest - 1, latest - 2, latest - 256] {
        assert_eq!(ask(known), alloy_primitives::keccak256(known.to_be_bytes()).to_vec(), "{known} of {latest}");
    }
    for unknown in [latest, latest + 1, latest - 257, 1] {
        assert_eq!(ask(unknown), [0; 32], "{unknown} of {latest}");
    }
    let kept = chain.engine.store().snapshot(latest).unwrap().scan(&[0x03], None, 1_000).unwrap();
    assert_eq!(kept.len(), 256);
    assert_eq!(kept.last().unwrap().0, block_hash_key(latest - 2));
}

#[test]
fn min_gas_price_follows_demand() {
    let mut chain = Chain::new();
    let floor = chain.engine.min_gas_price(chain.round).unwrap();
    assert_eq!(floor, 100 * GWEI);
    let burn = account(1).send(0, TxKind::Create, 0, 15_000_000, &hex!("fe"));
    chain.run(&[burn]);
    assert_eq!(chain.engine.min_gas_price(chain.round).unwrap(), floor + floor / 8);
    let cheap = account(1).send(1, TxKind::Call(FRESH), 0, 30_000, &[]);
    assert_eq!(chain.engine.check(&[&cheap], chain.round).unwrap()[0].as_ref().unwrap_err().error.code, 20);
    chain.run(&[]);
    assert_eq!(chain.engine.min_gas_price(chain.round).unwrap(), floor);
}

#[test]
fn same_batch_gives_same_bytes_on_every_replica() {
    let build = || {
        let mut chain = Chain::new();
        let cell = chain.deploy(CELL);
        let batch: Vec<Vec<u8>> = (1..9)
            .flat_map(|number| {
                let nonce = u64::from(number == 1);
                [
                    account(number).call(nonce, cell, &word(u64::from(number))),
                    account(number).send(nonce + 1, TxKind::Call(Address::repeat_byte(number)), 5, 50_000, &[]),
                ]
            })
            .collect();
        let block = chain.propose(&batch, true).unwrap();
        (chain, block)
    };
    let (first, second) = (build(), build());
    assert_eq!(first.1.state_root(), second.1.state_root());
    assert_eq!(first.1.io_root, second.1.io_root);
    assert_eq!(first.1.diff(), second.1.diff());
    assert_eq!(first.1.results, second.1.results);

    // A replica without keys gets the same root from the diff alone.
    let replica = state_core::store::Store::memory().unwrap();
    for version in 1..=first.0.round {
        let root = first.0.engine.store().root_at(version).unwrap();
        replica.apply(version, &first.0.engine.store().diff_at(version).unwrap(), root).unwrap();
    }
    replica.apply(first.0.round + 1, first.1.diff(), first.1.state_root()).unwrap();
    let key = account_key(&oasis_address(&account(1).address));
    let value = replica.snapshot(replica.latest().0).unwrap().get(&key).unwrap();
    first.1.persist().unwrap();
    assert_eq!(value, first.0.engine.store().snapshot(first.1.round).unwrap().get(&key).unwrap());
}

#[test]
fn pending_block_is_invisible_until_persisted() {
    let chain = Chain::new();
    let raw = account(1).send(0, TxKind::Call(FRESH), 7, 30_000, &[]);
    let block = chain.propose(&[raw], true).unwrap();
    assert_eq!(chain.balance(FRESH), U256::ZERO);
    assert_eq!(chain.engine.store().latest().0, 1);
    block.persist().unwrap();
    assert_eq!(chain.engine.account(&FRESH, 2).unwrap().1, U256::from(7));
    assert_eq!(chain.engine.account(&FRESH, 1).unwrap().1, U256::ZERO, "history stays");
    assert!(block.persist().is_err(), "a version is made once");
}

#[test]
fn senseless_configuration_is_refused() {
    for change in [
        (|config| config.chain_id = 0) as fn(&mut ChainConfig),
        |config| config.batch_gas_limit = 20_000,
        |config| config.initial_min_gas_price = 1 << 64,
    ] {
        let mut config = ChainConfig::new(CHAIN_ID);
        change(&mut config);
        let store = std::sync::Arc::new(state_core::store::Store::memory().unwrap());
        assert!(matches!(Engine::new(config, store, None, None), Err(EngineError::Config(_))));
    }
}
