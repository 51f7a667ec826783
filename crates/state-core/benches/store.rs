//! What a round costs the state: `cargo bench -p state-core --bench store`. Prints microseconds per changed key.

use std::collections::BTreeMap;
use std::time::Instant;

use sha2::{Digest, Sha512_256};
use state_core::store::{Options, Store};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A storage record as the engine writes it: 84 bytes of key, of which the last 63 look random, 63 of value.
fn record(number: u64, version: u64) -> (Vec<u8>, Option<Vec<u8>>) {
    let random =
        |seed: u64, salt: u64| <[u8; 32]>::from(Sha512_256::digest([seed.to_le_bytes(), salt.to_le_bytes()].concat()));
    let key = [&[4; 21][..], &random(number, 1), &random(number, 2)[..31]].concat();
    let value = [&random(number, version)[..], &random(version, number)[..31]].concat();
    (key, Some(value))
}

fn round(size: u64, keys: u64, version: u64) -> Changes {
    (0..keys).map(|n| record((version * 7919 + n * 104_729) % size, version)).collect()
}

fn main() {
    for size in [10_000u64, 200_000] {
        let directory = tempfile::tempdir().expect("a directory for the store");
        let path = directory.path().join("state");
        let options = Options::default();
        let store = Store::open(&path, options.clone()).expect("a store");
        let started = Instant::now();
        let first = store.stage(0, &(0..size).map(|n| record(n, 0)).collect()).expect("changes");
        let staged_in = started.elapsed();
        store.persist(&first, 1).expect("a version");
        println!("{size} keys: stage {staged_in:?}, with persist {:?}", started.elapsed());
        let mut version = 1;
        for keys in [1u64, 10, 100, 1000] {
            let (mut stage, mut persist, mut read) = (0.0, 0.0, 0.0);
            for _ in 0..100 {
                let changes = round(size, keys, version);
                let started = Instant::now();
                let snapshot = store.snapshot(version).expect("the latest");
                for key in changes.keys() {
                    assert!(snapshot.get(key).expect("readable").is_some());
                }
                drop(snapshot);
                read += started.elapsed().as_secs_f64();
                let started = Instant::now();
                let staged = store.stage(version, &changes).expect("changes");
                stage += started.elapsed().as_secs_f64();
                let started = Instant::now();
                version += 1;
                store.persist(&staged, version).expect("a version");
                persist += started.elapsed().as_secs_f64();
            }
            let per_key = |seconds: f64| seconds * 1e6 / 100.0 / keys as f64;
            println!(
                "  {keys:>4} changed: read {:>7.2}, stage {:>7.2}, persist {:>7.2} us/key",
                per_key(read),
                per_key(stage),
                per_key(persist)
            );
        }
        let started = Instant::now();
        for _ in 0..100 {
            version += 1;
            store.skip(version).expect("a version");
        }
        println!("  skip {:?}", started.elapsed() / 100);
        let started = Instant::now();
        let mut steps = 1;
        while !store.prune(version - 64, 256).expect("pruned").is_done {
            steps += 1;
        }
        println!("  prune {} versions, a step of 256 nodes: {:?}", version - 64, started.elapsed() / steps);
        drop(store);
        let started = Instant::now();
        drop(Store::open(&path, options).expect("a store"));
        let bytes = std::fs::metadata(&path).expect("the file").len();
        println!("  open {:?}, file {} MiB", started.elapsed(), bytes >> 20);
    }
}
