//! ERC-20 transfers a second, by stage: `cargo run --release --example erc20_transfers [transfers] [rounds]`.
//!
//! Signed transfers of 100 senders to fresh accounts on a confidential chain, plain and encrypted calldata.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{sync::Arc, time::Instant};

use alloy_primitives::{Address, TxKind, U256, hex, keccak256};
use evm_core::{config::ChainConfig, genesis::GenesisAccount};
use state_core::store::{Options, Store};
use support::*;

const SENDERS: u64 = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let transfers = arguments.next().transpose()?.unwrap_or(250);
    let rounds = arguments.next().transpose()?.unwrap_or(20);
    for encrypted in [false, true] {
        measure(transfers, rounds, encrypted)?;
    }
    Ok(())
}

fn measure(transfers: u64, rounds: u64, encrypted: bool) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Arc::new(Store::open(&folder.path().join("state"), Options::default())?);
    // Room enough that the minimum gas price rests.
    let engine = engine(ChainConfig { batch_gas_limit: 1 << 30, ..ChainConfig::new(CHAIN_ID) }, store);
    let senders: Vec<Account> = (0..SENDERS).map(|number| account_from(keccak256(number.to_be_bytes()).0)).collect();
    let funded = |sender: &Account| GenesisAccount::funded(sender.address, U256::from(1_000_000 * ETHER));
    let genesis: Vec<_> = senders.iter().map(funded).collect();
    engine.execute(&environment(1), &[], &genesis, true)?.persist()?;

    let artifact: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/contracts/artifacts/Token.json"))?;
    let code = hex::decode(artifact["bytecode"].as_str().ok_or("no bytecode")?)?;
    let supply = U256::from(u128::MAX).to_be_bytes::<32>();
    let create = senders[0].send(0, TxKind::Create, 0, 2_000_000, &[code.as_slice(), &supply].concat());
    let block = engine.execute(&environment(2), &[&create], &[], true)?;
    let token = Record::read(&block.results[0]).contract.ok_or("the token was not deployed")?;
    block.persist()?;
    let transfer = |to: Address, amount: u64| {
        [&keccak256("transfer(address,uint256)")[..4], to.into_word().as_slice(), &word(amount)].concat()
    };
    let fund: Vec<_> = senders
        .iter()
        .enumerate()
        .map(|(index, sender)| {
            senders[0].send(1 + index as u64, TxKind::Call(token), 0, 100_000, &transfer(sender.address, 1 << 40))
        })
        .collect();
    let fund: Vec<&[u8]> = fund.iter().map(Vec::as_slice).collect();
    let block = engine.execute(&environment(3), &fund, &[], true)?;
    block.persist()?;

    let mut nonces = [0; SENDERS as usize];
    nonces[0] = 1 + SENDERS;
    let mut spent = [0.0; 3];
    let mut gas = 0;
    for round in 4..4 + rounds {
        let batch: Vec<Vec<u8>> = (0..transfers)
            .map(|index| {
                let sender = (index % SENDERS) as usize;
                let fresh = Address::from_slice(&keccak256([round.to_be_bytes(), index.to_be_bytes()].concat())[..20]);
                let plain = transfer(fresh, 1);
                let data = if encrypted { encrypt(&plain).0 } else { plain };
                nonces[sender] += 1;
                senders[sender].send(nonces[sender] - 1, TxKind::Call(token), 0, 60_000, &data)
            })
            .collect();
        let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        let start = Instant::now();
        engine.check(&batch, round - 1)?;
        spent[0] += start.elapsed().as_secs_f64();
        let start = Instant::now();
        let block = engine.execute(&environment(round), &batch, &[], true)?;
        spent[1] += start.elapsed().as_secs_f64();
        let start = Instant::now();
        block.persist()?;
        spent[2] += start.elapsed().as_secs_f64();
        gas = block.gas_used / transfers;
        assert!(block.results.iter().all(|record| Record::read(record).status == 1));
    }
    let each = spent.map(|seconds| seconds / (transfers * rounds) as f64 * 1e6);
    println!(
        "{}: {gas} gas; check {:.1} us, execute {:.1} us, persist {:.1} us a transfer; {:.0} transfers/s",
        if encrypted { "encrypted" } else { "plain" },
        each[0],
        each[1],
        each[2],
        1e6 / each.iter().sum::<f64>()
    );
    Ok(())
}
