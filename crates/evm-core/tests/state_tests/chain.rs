//! A whole chain of Ethereum, block by block: `chain.rlp` of ethereum/execution-apis, from Frontier to the last
//! fork of its `genesis.json`. Headers are checked against what they follow from and what running them gives;
//! proof of work is not.

use std::path::Path;

use alloy_primitives::B256;
use alloy_rlp::Decodable;
use ethereum_chain::{chain::Chain, ledger::Block};
use evm_core::contract_keys::KeyRing;

use crate::score::Score;

/// What the score calls it.
pub const SUITE: &str = "ethereum/execution-apis @ 033ca6e6, chain.rlp";

/// Imports the chain of a folder, with storage in the clear and encrypted. A block that differs ends its import:
/// those after it count as failures as well.
pub fn run(folder: &Path, keys: &KeyRing, score: &mut Score) {
    let genesis = std::fs::read(folder.join("genesis.json")).expect("the chain has a genesis");
    let encoded = std::fs::read(folder.join("chain.rlp")).expect("the chain has blocks");
    let blocks = decode(&encoded);
    for (how, keys) in [("plain", None), ("encrypted", Some(keys))] {
        let mut chain = Chain::new(&genesis, keys).expect("the genesis is one");
        let mut failed = None;
        for block in &blocks {
            let number = block.header.number;
            failed = failed.or_else(|| chain.import(block.clone()).err().map(|failure| failure.to_string()));
            let failure = failed.as_ref().map(|failure| format!("{SUITE} {how} {number}: {failure}"));
            let rules = chain.rules(&block.header).expect("every block has rules");
            score.count(SUITE, rules.name, how, failure);
        }
        let changed = changed_blocks(&genesis, keys, &blocks);
        assert!(changed.is_empty(), "these changes were not seen: {changed:?}");
    }
}

fn decode(mut encoded: &[u8]) -> Vec<Block> {
    let mut blocks = Vec::new();
    while !encoded.is_empty() {
        blocks.push(Block::decode(&mut encoded).expect("the chain is RLP"));
    }
    blocks
}

/// A way to change a block.
type Change = (&'static str, fn(&mut Block));

/// Each root and sum of the newest block, changed by one bit: names of the changes that the import did not refuse.
fn changed_blocks(genesis: &[u8], keys: Option<&KeyRing>, blocks: &[Block]) -> Vec<&'static str> {
    let changes: [Change; 8] = [
        ("state root", |block| block.header.state_root ^= B256::with_last_byte(1)),
        ("transactions root", |block| block.header.transactions_root ^= B256::with_last_byte(1)),
        ("receipts root", |block| block.header.receipts_root ^= B256::with_last_byte(1)),
        ("withdrawals root", |block| block.header.withdrawals_root = Some(B256::ZERO)),
        ("requests hash", |block| block.header.requests_hash = Some(B256::ZERO)),
        ("gas used", |block| block.header.gas_used ^= 1),
        ("blob gas used", |block| block.header.blob_gas_used = Some(1)),
        ("a transaction", |block| drop(block.body.transactions.pop())),
    ];
    let (last, before) = blocks.split_last().expect("the chain has blocks");
    let mut chain = Chain::new(genesis, keys).expect("it began before");
    if before.iter().any(|block| chain.import(block.clone()).is_err()) {
        return Vec::new(); // reported where it was imported
    }
    let mut passes = |(_, change): &&Change| {
        let mut block = last.clone();
        change(&mut block);
        chain.import(block).is_ok()
    };
    let mut passed = Vec::new();
    for change in &changes {
        if passes(&change) {
            passed.push(change.0);
        }
    }
    passed
}
