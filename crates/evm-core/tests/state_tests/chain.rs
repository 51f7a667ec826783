//! A whole chain of Ethereum, block by block: `chain.rlp` of ethereum/execution-apis, from Frontier to the last
//! fork of its `genesis.json`. Headers are checked against what they follow from and what running them gives;
//! proof of work is not.

use std::path::Path;

use alloy_consensus::{BlockHeader, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
use alloy_eips::{eip1559::BaseFeeParams, eip7840::BlobParams};
use alloy_primitives::{B256, U256};
use alloy_rlp::Decodable;
use evm_core::contract_keys::KeyRing;
use revm::{context::CfgEnv, primitives::hardfork::SpecId};
use serde_json::Value;

use crate::{
    fixture::{self, Pre},
    ledger::{Block, Ledger},
    score::Score,
};

/// What the score calls it.
pub const SUITE: &str = "ethereum/execution-apis @ 033ca6e6, chain.rlp";
/// Base fee of London's first block, and the factor by which its gas limit jumps (EIP-1559).
const INITIAL_BASE_FEE: u64 = 1_000_000_000;
const ELASTICITY: u64 = 2;
const FORKS: [(&str, &str, SpecId); 16] = [
    ("Homestead", "homesteadBlock", SpecId::HOMESTEAD),
    ("TangerineWhistle", "eip150Block", SpecId::TANGERINE),
    ("SpuriousDragon", "eip158Block", SpecId::SPURIOUS_DRAGON),
    ("Byzantium", "byzantiumBlock", SpecId::BYZANTIUM),
    // As the state tests: revm has no rules of its own for the blocks before EIP-1283 was taken back.
    ("Constantinople", "constantinopleBlock", SpecId::PETERSBURG),
    ("ConstantinopleFix", "petersburgBlock", SpecId::PETERSBURG),
    ("Istanbul", "istanbulBlock", SpecId::ISTANBUL),
    ("Berlin", "berlinBlock", SpecId::BERLIN),
    ("London", "londonBlock", SpecId::LONDON),
    ("Paris", "mergeNetsplitBlock", SpecId::MERGE),
    ("Shanghai", "shanghaiTime", SpecId::SHANGHAI),
    ("Cancun", "cancunTime", SpecId::CANCUN),
    ("Prague", "pragueTime", SpecId::PRAGUE),
    ("Osaka", "osakaTime", SpecId::OSAKA),
    ("BPO1", "bpo1Time", SpecId::OSAKA),
    ("BPO2", "bpo2Time", SpecId::OSAKA),
];

/// Rules of one block.
pub struct Rules {
    pub name: &'static str,
    pub cfg: CfgEnv,
    /// None before blobs.
    pub blobs: Option<BlobParams>,
}

impl Rules {
    /// Of the newest fork that holds at a block.
    fn at(config: &Value, header: &Header) -> Self {
        let holds = |(_, since, _): &&(&str, &str, SpecId)| {
            let reached = if since.ends_with("Time") { header.timestamp } else { header.number };
            config[*since].as_u64().is_some_and(|first| first <= reached)
        };
        let (name, _, spec) = *FORKS.iter().rfind(holds).expect("the chain begins with Homestead");
        let mut cfg = CfgEnv::new_with_spec(spec);
        cfg.chain_id = config["chainId"].as_u64().expect("a chain has an ID");
        let schedule = &config["blobSchedule"][name.to_lowercase()];
        let blobs = spec.is_enabled_in(SpecId::CANCUN).then(|| {
            let field = |field: &str| schedule[field].as_u64().expect("a fork with blobs says how many");
            let mut blobs = if spec.is_enabled_in(SpecId::OSAKA) { BlobParams::osaka() } else { BlobParams::cancun() };
            (blobs.target_blob_count, blobs.max_blob_count) = (field("target"), field("max"));
            blobs.update_fraction = field("baseFeeUpdateFraction").into();
            cfg.set_max_blobs_per_tx(if spec.is_enabled_in(SpecId::OSAKA) { 6 } else { field("max") });
            cfg.blob_base_fee_update_fraction = Some(field("baseFeeUpdateFraction"));
            blobs
        });
        Self { name, cfg, blobs }
    }
}

/// Imports the chain of a folder, with storage in the clear and encrypted. A block that differs ends its import:
/// those after it count as failures as well.
pub fn run(folder: &Path, keys: &KeyRing, score: &mut Score) {
    let text = std::fs::read(folder.join("genesis.json")).expect("the chain has a genesis");
    let genesis: Value = serde_json::from_slice(&text).expect("a genesis is JSON");
    let encoded = std::fs::read(folder.join("chain.rlp")).expect("the chain has blocks");
    let blocks = decode(&encoded);
    for (how, keys) in [("plain", None), ("encrypted", Some(keys))] {
        let mut imported = begin(&genesis, keys);
        for block in &blocks {
            let rules = Rules::at(&genesis["config"], &block.header);
            imported = imported.and_then(|(mut ledger, parent)| {
                check_header(&rules, &parent, &block.header)?;
                ledger.import(&rules, block)?;
                Ok((ledger, block.header.clone()))
            });
            let failure = imported.as_ref().err().map(|failure| format!("{SUITE} {how} {}: {failure}", block.number()));
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

/// The state of the genesis, and its header: what the first block names as its parent shows whether both are right.
fn begin<'k>(genesis: &Value, keys: Option<&'k KeyRing>) -> Result<(Ledger<'k>, Header), String> {
    let read = |name: &str| fixture::small(&genesis[name]).map_err(|_| format!("the genesis has no {name}"));
    let pre = Pre::read(&genesis["alloc"]).map_err(|_| "accounts of the genesis cannot be read")?;
    let ledger = Ledger::new(&pre, keys)?;
    let header = Header {
        state_root: ledger.root()?,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        difficulty: U256::from(read("difficulty")?),
        gas_limit: read("gasLimit")?,
        timestamp: read("timestamp")?,
        nonce: read("nonce")?.to_be_bytes().into(),
        extra_data: fixture::bytes(&genesis["extraData"]).map_err(|_| "extraData is no bytes")?,
        ..Default::default()
    };
    Ok((ledger, header))
}

/// What a header owes to its parent and to the rules.
fn check_header(rules: &Rules, parent: &Header, header: &Header) -> Result<(), String> {
    let is_london = rules.cfg.spec.is_enabled_in(SpecId::LONDON);
    let is_first_of_london = is_london && parent.base_fee_per_gas.is_none();
    let base_fee = match parent.next_block_base_fee(BaseFeeParams::ethereum()) {
        _ if is_first_of_london => Some(INITIAL_BASE_FEE),
        next => next.filter(|_| is_london),
    };
    let excess_blob_gas = rules.blobs.map(|blobs| parent.next_block_excess_blob_gas(blobs).unwrap_or_default());
    let usual_limit = if is_first_of_london { parent.gas_limit * ELASTICITY } else { parent.gas_limit };
    let is_of_work = !rules.cfg.spec.is_enabled_in(SpecId::MERGE);
    let checks = [
        ("parent hash", header.parent_hash == parent.hash_slow()),
        ("number", header.number == parent.number + 1),
        ("timestamp", header.timestamp > parent.timestamp),
        ("difficulty", header.difficulty.is_zero() != is_of_work),
        ("ommers", is_of_work || header.ommers_hash == EMPTY_OMMER_ROOT_HASH),
        ("gas limit", header.gas_limit.abs_diff(usual_limit) < usual_limit / 1024),
        ("base fee", header.base_fee_per_gas == base_fee),
        ("excess blob gas", header.excess_blob_gas == excess_blob_gas),
    ];
    let wrong = checks.iter().find(|(_, holds)| !holds);
    wrong.map_or(Ok(()), |(what, _)| Err(format!("{what} is not what follows from the parent")))
}

/// A way to change a block.
type Change = (&'static str, fn(&mut Block));

/// Each root and sum of the newest block, changed by one bit: names of the changes that the import did not refuse.
fn changed_blocks(genesis: &Value, keys: Option<&KeyRing>, blocks: &[Block]) -> Vec<&'static str> {
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
    let passes = |(_, change): &&Change| {
        let (mut ledger, _) = begin(genesis, keys).expect("it began before");
        let (last, before) = blocks.split_last().expect("the chain has blocks");
        for block in before {
            let rules = Rules::at(&genesis["config"], &block.header);
            if ledger.import(&rules, block).is_err() {
                return false; // reported where it was imported
            }
        }
        let mut block = last.clone();
        change(&mut block);
        ledger.import(&Rules::at(&genesis["config"], &block.header), &block).is_ok()
    };
    changes.iter().filter(passes).map(|(name, _)| *name).collect()
}
