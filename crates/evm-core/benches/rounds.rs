//! What calls and rounds cost an enclave: `cargo bench -p evm-core --bench rounds`. Prints microseconds of one thread's
//! CPU, for the work that `make bench` measures over whole networks: 20,000 hashes in a call, 220 fresh slots in a
//! transaction, first on a small state and then while it grows to 39,600 slots, and a round that writes one slot. Of
//! rounds it prints means, since few of them write to the database for all, and medians in brackets. An argument,
//! `public` or `confidential`, leaves the other chain out.

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use alloy_primitives::{Address, TxKind, U256, keccak256};
use evm_core::{config::ChainConfig, engine::Call, genesis::GenesisAccount};
use rustix::time::{ClockId, clock_gettime};
use state_core::store::{Options, Store};

use support::{Account, Chain, ETHER, account, engine, environment, plain, word};

const HASHES: u64 = 20_000;
const SLOTS: u64 = 220;

/// CPU that this thread has had [us].
fn cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let began = cpu_us();
    let result = work();
    times.push(cpu_us() - began);
    result
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Mean, and the median in brackets.
fn typical(mut times: Vec<f64>) -> String {
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    format!("{mean:.0} ({:.0})", median(&mut times))
}

fn calldata(signature: &str, number: u64) -> Vec<u8> {
    [&keccak256(signature)[..4], &word(number)].concat()
}

/// Bytecode of a contract of `tests/contracts`.
fn init_code(artifact: &str) -> Vec<u8> {
    let artifact: serde_json::Value = serde_json::from_str(artifact).expect("an artifact");
    hex::decode(artifact["bytecode"].as_str().expect("bytecode").trim_start_matches("0x")).expect("hex")
}

/// A chain and a node without keys that follows it, both on disk.
struct Pair {
    chain: Chain,
    follower: Store,
    work: Address,
    nonce: u64,
    sender: Account,
}

#[derive(Default)]
struct Costs {
    execute: Vec<f64>,
    persist: Vec<f64>,
    apply: Vec<f64>,
}

impl Pair {
    fn new(directory: &std::path::Path, confidential: bool) -> Self {
        let options = Options::default();
        let open = |name: &str| Store::open(&directory.join(name), options.clone()).expect("a store");
        let config = ChainConfig { confidential, ..ChainConfig::new(support::CHAIN_ID) };
        let chain = Chain { engine: engine(config, Arc::new(open("leader"))), round: 0 };
        let sender = account(1);
        let mut pair = Self { chain, follower: open("follower"), work: Address::ZERO, nonce: 0, sender };
        let richest = GenesisAccount::funded(pair.sender.address, U256::from(1_000_000 * ETHER));
        let others = (0..1000u64).map(|n| GenesisAccount::funded(Address::from_word(keccak256(word(n))), U256::ONE));
        let genesis: Vec<GenesisAccount> = others.chain([richest]).collect();
        let block = pair.chain.engine.execute(&environment(1), &[], &genesis, true).expect("genesis");
        block.persist().expect("persisted");
        pair.follower.apply(1, block.diff(), block.state_root()).expect("applied");
        pair.chain.round = 1;
        let code = init_code(include_str!("../../../tests/contracts/artifacts/Work.json"));
        pair.work = pair.sender.address.create(0);
        pair.send(TxKind::Create, &code, &mut Costs::default());
        pair
    }

    fn send(&mut self, to: TxKind, data: &[u8], costs: &mut Costs) {
        let raw = self.sender.send(self.nonce, to, 0, 6_000_000, data);
        self.nonce += 1;
        let environment = self.chain.environment();
        let block =
            timed(&mut costs.execute, || self.chain.engine.execute(&environment, &[&raw], &[], true)).expect("a round");
        assert_eq!(support::Record::read(&block.results[0]).error, None);
        timed(&mut costs.persist, || block.persist()).expect("persisted");
        self.chain.round += 1;
        timed(&mut costs.apply, || self.follower.apply(self.chain.round, block.diff(), block.state_root()))
            .expect("applied");
    }
}

fn main() {
    let wanted = |name: &str| !std::env::args().any(|one| ["public", "confidential"].contains(&&*one) && one != name);
    for (name, confidential) in [("public", false), ("confidential", true)] {
        if !wanted(name) {
            continue;
        }
        println!("{name}");
        let directory = tempfile::tempdir().expect("a directory");
        let mut pair = Pair::new(directory.path(), confidential);
        let hash = calldata("hash(uint256)", HASHES);
        let mut times = Vec::new();
        for _ in 0..40 {
            let call = Call { data: &hash, ..plain(pair.work) };
            timed(&mut times, || pair.chain.query_with(&call)).expect("an answer");
        }
        println!("  call of {HASHES} hashes: {:.0}, least {:.0}", median(&mut times), times[0]);
        for (slots, rounds) in [(SLOTS, 40), (SLOTS, 140), (1, 200)] {
            let mut costs = Costs::default();
            for _ in 0..rounds {
                pair.send(TxKind::Call(pair.work), &calldata("store(uint256)", slots), &mut costs);
            }
            let [execute, persist, apply] = [costs.execute, costs.persist, costs.apply].map(typical);
            println!("  {slots} fresh slots: execute {execute}, persist {persist}, apply {apply}");
        }
    }
}
