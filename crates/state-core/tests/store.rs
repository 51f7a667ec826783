//! The store and its tree against a model: a plain map, and a root computed from nothing each time.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest, Sha512_256};
use state_core::errors::StateError;
use state_core::store::{Options, Store};
use state_core::tree::{EMPTY_ROOT, Root, root_of, verify_proof};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The definition of the root, with lists of bits and without any sharing.
fn model_root(map: &Map) -> Root {
    let bits = |key: &[u8]| key.iter().flat_map(|byte| (0..8).map(move |i| byte >> (7 - i) & 1 == 1)).collect();
    let items: Vec<(Vec<bool>, &[u8], &[u8])> = map.iter().map(|(k, v)| (bits(k), &k[..], &v[..])).collect();
    subtree(&items, 0)
}

fn subtree(items: &[(Vec<bool>, &[u8], &[u8])], depth: usize) -> Root {
    let mut hasher = Sha512_256::new();
    match items {
        [] => {}
        [(_, key, value)] => {
            hasher.update([0]);
            hasher.update(u32::try_from(key.len()).unwrap().to_le_bytes());
            hasher.update(key);
            hasher.update(u32::try_from(value.len()).unwrap().to_le_bytes());
            hasher.update(value);
        }
        [(first, ..), ..] => {
            let agrees = |end: usize| items.iter().all(|(bits, ..)| bits.get(..end) == first.get(..end));
            let end = (depth..=first.len()).take_while(|end| agrees(*end)).last().unwrap();
            let label = &first[depth..end];
            hasher.update([1]);
            hasher.update(u16::try_from(label.len()).unwrap().to_le_bytes());
            for byte in label.chunks(8) {
                hasher.update([byte.iter().enumerate().map(|(i, bit)| u8::from(*bit) << (7 - i)).sum::<u8>()]);
            }
            for want in [None, Some(&false), Some(&true)] {
                let side: Vec<_> = items.iter().filter(|(bits, ..)| bits.get(end) == want).cloned().collect();
                hasher.update(subtree(&side, end));
            }
        }
    }
    hasher.finalize().into()
}

fn apply_to(map: &mut Map, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}

/// Keys that often share prefixes, are prefixes of one another, and differ in single bits.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => prop_oneof![Just(0u8), Just(1), Just(0x80), Just(0xff)], 1 => any::<u8>()];
    proptest::collection::vec(byte, 1..5)
}

fn changes() -> impl Strategy<Value = Changes> {
    let value = proptest::option::weighted(0.6, proptest::collection::vec(any::<u8>(), 0..3));
    proptest::collection::btree_map(key(), value, 0..12)
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Changes),
    Skip,
    Rollback(u64),
    /// Keep so many below the latest; forget so many nodes and versions at most.
    Prune(u64, usize),
    BeginAnew,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => changes().prop_map(Step::Commit),
        1 => Just(Step::Skip),
        1 => (0u64..4).prop_map(Step::Rollback),
        2 => (0u64..5, 0usize..40).prop_map(|(keep, most)| Step::Prune(keep, most)),
        1 => Just(Step::BeginAnew),
        1 => Just(Step::Reopen),
    ]
}

fn check_version(store: &Store, version: u64, map: &Map, probes: &[Vec<u8>]) {
    let root = model_root(map);
    assert_eq!(store.root_at(version).unwrap(), root);
    assert_eq!(root_of(map).unwrap(), root);
    let snapshot = store.snapshot(version).unwrap();
    let all: Vec<_> = map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!(snapshot.scan(&[], None, usize::MAX).unwrap(), all);
    let keys: Vec<&[u8]> = probes.iter().map(Vec::as_slice).collect();
    let proof = snapshot.prove(&keys).unwrap();
    for probe in probes {
        assert_eq!(snapshot.get(probe).unwrap().as_ref(), map.get(probe));
        assert_eq!(verify_proof(root, &proof, probe).unwrap().as_ref(), map.get(probe));
        let under: Vec<_> = all.iter().filter(|(k, _)| k.starts_with(&probe[..1]) && k >= probe).cloned().collect();
        assert_eq!(snapshot.scan(&probe[..1], Some(probe), usize::MAX).unwrap(), under);
        assert_eq!(snapshot.scan(&probe[..1], Some(probe), 2).unwrap(), under[..under.len().min(2)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_store_behaves_as_a_list_of_maps(
        steps in proptest::collection::vec(step(), 1..14),
        probes in proptest::collection::vec(key(), 1..6),
        cache_bytes in prop_oneof![Just(0usize), Just(1 << 20)],
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let options = Options { cache_bytes, ..Options::default() };
        let mut store = Store::open(&path, options.clone()).unwrap();
        let replica = Store::memory().unwrap();
        let mut model: Vec<(Map, Vec<u8>)> = vec![(Map::new(), vec![0x80])];
        let mut oldest = 0u64;
        for step in steps {
            let latest = model.len() as u64 - 1;
            match step {
                Step::Commit(changes) => {
                    let staged = store.stage(latest, &changes).unwrap();
                    prop_assert_eq!(store.latest().0, latest, "staging shows nothing");
                    store.persist(&staged, latest + 1).unwrap();
                    let mut map = model[model.len() - 1].0.clone();
                    apply_to(&mut map, &changes);
                    replica.apply(latest + 1, &staged.diff, staged.root).unwrap();
                    model.push((map, staged.diff));
                }
                Step::Skip => {
                    store.skip(latest + 1).unwrap();
                    replica.skip(latest + 1).unwrap();
                    model.push((model[model.len() - 1].0.clone(), vec![0x80]));
                }
                Step::Rollback(back) => {
                    let version = latest.saturating_sub(back).max(oldest);
                    store.rollback(version).unwrap();
                    replica.rollback(version).unwrap();
                    model.truncate(version as usize + 1);
                }
                Step::Prune(keep, most) => {
                    let keep_from = latest.saturating_sub(keep);
                    let pruned = store.prune(keep_from, most).unwrap();
                    prop_assert!((oldest..=oldest.max(keep_from)).contains(&pruned.oldest));
                    prop_assert!(!pruned.is_done || pruned.oldest >= keep_from);
                    oldest = pruned.oldest;
                }
                Step::BeginAnew => {
                    store.rollback(0).unwrap();
                    replica.rollback(0).unwrap();
                    model.truncate(1);
                    oldest = 0;
                }
                Step::Reopen => {
                    drop(store);
                    store = Store::open(&path, options.clone()).unwrap();
                }
            }
            prop_assert_eq!(store.oldest(), oldest);
            prop_assert_eq!(store.latest(), replica.latest());
        }
        let latest = model.len() as u64 - 1;
        for version in oldest..=latest {
            let (map, _) = &model[version as usize];
            check_version(&store, version, map, &probes);
        }
        for (version, (_, diff)) in model.iter().enumerate() {
            prop_assert_eq!(&store.diff_at(version as u64).unwrap(), diff, "diffs are kept");
        }
        let unknown = |version| StateError::UnknownVersion { version, oldest, latest };
        prop_assert_eq!(store.diff_at(latest + 1).unwrap_err(), unknown(latest + 1));
        for version in (0..oldest).chain([latest + 1]) {
            prop_assert_eq!(store.snapshot(version).unwrap_err(), unknown(version));
            if version > 0 {
                prop_assert_eq!(store.rollback(version).unwrap_err(), unknown(version));
            }
        }
    }

    #[test]
    fn a_damaged_proof_never_tells_a_lie(
        map in proptest::collection::btree_map(key(), proptest::collection::vec(any::<u8>(), 0..3), 1..20),
        probe in key(),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let store = store_with(&map);
        let root = store.latest().1;
        let mut proof = store.snapshot(1).unwrap().prove(&[&probe]).unwrap();
        let index = at.index(proof.len());
        proof[index] ^= 1 << bit;
        if let Ok(value) = verify_proof(root, &proof, &probe) {
            prop_assert_eq!(value.as_ref(), map.get(&probe));
        }
        proof[index] ^= 1 << bit;
        prop_assert!(verify_proof(root, &proof[..index], &probe).is_err(), "truncated");
        prop_assert!(verify_proof([7; 32], &proof, &probe).is_err(), "another root");
    }

    #[test]
    fn any_bytes_may_come_as_a_proof_or_a_diff(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let store = Store::memory().unwrap();
        prop_assert!(verify_proof([7; 32], &bytes, b"key").is_err());
        prop_assert!(store.apply(1, &bytes, [7; 32]).is_err());
        prop_assert_eq!(store.latest(), (0, EMPTY_ROOT));
    }
}

fn store_with(map: &Map) -> Store {
    let store = Store::memory().unwrap();
    let changes = map.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    store.persist(&store.stage(0, &changes).unwrap(), 1).unwrap();
    store
}

fn set(pairs: &[(&str, &str)]) -> Changes {
    pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))).collect()
}

#[test]
fn a_proof_says_nothing_about_other_keys() {
    let store = Store::memory().unwrap();
    store.persist(&store.stage(0, &set(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")])).unwrap(), 1).unwrap();
    let proof = store.snapshot(1).unwrap().prove(&[b"a"]).unwrap();
    let root = store.latest().1;
    assert_eq!(verify_proof(root, &proof, b"a"), Ok(Some(b"1".to_vec())));
    assert_eq!(verify_proof(root, &proof, b"d"), Err(StateError::InvalidProof("does not cover the key")));
}

#[test]
fn versions_are_made_in_order_on_the_latest_state() {
    let store = Store::memory().unwrap();
    let first = store.stage(0, &set(&[("a", "1")])).unwrap();
    let rival = store.stage(0, &set(&[("a", "2")])).unwrap();
    assert_eq!(store.persist(&first, 2), Err(StateError::WrongVersion { got: 2, expected: 1 }));
    store.persist(&first, 1).unwrap();
    assert_eq!(store.persist(&first, 1), Err(StateError::WrongVersion { got: 1, expected: 2 }));
    assert_eq!(store.persist(&rival, 2), Err(StateError::StaleParent));
    assert_eq!(store.skip(3), Err(StateError::WrongVersion { got: 3, expected: 2 }));
    assert_eq!(store.latest(), (1, first.root));
}

#[test]
fn what_was_rolled_back_can_be_made_again() {
    let store = Store::memory().unwrap();
    let staged = store.stage(0, &set(&[("a", "1"), ("b", "2")])).unwrap();
    store.persist(&staged, 1).unwrap();
    let held = store.snapshot(1).unwrap();
    store.rollback(0).unwrap();
    assert_eq!(held.get(b"b").unwrap(), Some(b"2".to_vec()), "an open snapshot stays readable");
    store.persist(&staged, 1).unwrap();
    assert_eq!(store.snapshot(1).unwrap().get(b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn a_wrong_diff_leaves_everything_untouched() {
    let source = Store::memory().unwrap();
    let staged = source.stage(0, &set(&[("a", "1"), ("b", "2")])).unwrap();
    let store = Store::memory().unwrap();
    assert_eq!(store.apply(1, &staged.diff, [0; 32]), Err(StateError::RootMismatch));
    // [["b", "2"], ["a", "1"]]
    let unsorted = [0x82, 0x82, 0x41, b'b', 0x41, b'2', 0x82, 0x41, b'a', 0x41, b'1'];
    let error = StateError::MalformedDiff("keys do not ascend");
    assert_eq!(store.apply(1, &unsorted, staged.root), Err(error));
    // [["a", "1"], ["b", "2"], ["c", null]]
    let idle = [&[0x83][..], &staged.diff[1..], &[0x82, 0x41, b'c', 0xf6]].concat();
    let error = StateError::MalformedDiff("an entry changes nothing");
    assert_eq!(store.apply(1, &idle, staged.root), Err(error));
    assert_eq!(store.apply(2, &staged.diff, staged.root), Err(StateError::WrongVersion { got: 2, expected: 1 }));
    assert_eq!(store.latest(), (0, EMPTY_ROOT));
    store.apply(1, &staged.diff, staged.root).unwrap();
    assert_eq!(store.latest(), (1, staged.root));
}

#[test]
fn keys_and_values_have_bounded_lengths() {
    let store = Store::memory().unwrap();
    let refused = |key: Vec<u8>, value: Vec<u8>| store.stage(0, &Changes::from([(key, Some(value))])).unwrap_err();
    assert_eq!(refused(vec![], vec![1]), StateError::BadLength);
    assert_eq!(refused(vec![1; 97], vec![1]), StateError::BadLength);
    assert_eq!(refused(vec![1], vec![1; (1 << 24) + 1]), StateError::BadLength);
    assert!(store.stage(0, &Changes::from([(vec![1; 96], Some(vec![]))])).is_ok());
}

/// Keys made so that every bit of the longest key is a branching: the deepest tree there is. Frames of a build without
/// optimization are several times larger.
#[test]
fn the_deepest_tree_fits_the_stack_of_a_thread() {
    let stack_bytes = if cfg!(debug_assertions) { 8 << 20 } else { 2 << 20 };
    let thread = std::thread::Builder::new().stack_size(stack_bytes);
    thread.spawn(use_deepest_tree).unwrap().join().unwrap();
}

fn use_deepest_tree() {
    let longest = vec![0u8; 96];
    let mut map: Map = (0..96 * 8)
        .map(|bit| {
            let mut key = longest.clone();
            key[bit / 8] = 0x80 >> (bit % 8);
            (key, vec![1])
        })
        .collect();
    map.insert(longest.clone(), vec![2]);
    let store = store_with(&map);
    let snapshot = store.snapshot(1).unwrap();
    let proof = snapshot.prove(&[&longest]).unwrap();
    assert_eq!(verify_proof(snapshot.root(), &proof, &longest), Ok(Some(vec![2])));
    assert_eq!(snapshot.scan(&[], None, usize::MAX).unwrap().len(), map.len());
    let emptied = store.stage(1, &map.keys().map(|key| (key.clone(), None)).collect()).unwrap();
    assert_eq!(emptied.root, EMPTY_ROOT);
}

#[test]
fn pruning_frees_every_node_that_no_kept_version_uses() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let store = Store::open(&path, Options::default()).unwrap();
    let value = "v".repeat(100);
    for version in 1..=300u64 {
        let key = format!("key {}", version % 10);
        let changes = set(&[(&key, &format!("{value}{version}"))]);
        store.persist(&store.stage(version - 1, &changes).unwrap(), version).unwrap();
        while !store.prune(version.saturating_sub(2), 7).unwrap().is_done {}
    }
    assert_eq!(store.oldest(), 298);
    assert!(std::fs::metadata(&path).unwrap().len() < 2 << 20, "the file does not grow with its history");
    assert_eq!(store.snapshot(298).unwrap().scan(&[], None, 100).unwrap().len(), 10);
}

#[test]
fn a_node_that_the_host_changed_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let map: Map = (0..50u8).map(|i| (vec![i, 1, 2], format!("secret value {i}").into_bytes())).collect();
    let store = Store::open(&path, Options::default()).unwrap();
    let changes = map.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    store.persist(&store.stage(0, &changes).unwrap(), 1).unwrap();
    drop(store);
    tamper_with_node(&path, b"secret value 7", b"secret value 8");
    let store = Store::open(&path, Options::default()).unwrap();
    let snapshot = store.snapshot(1).unwrap();
    assert!(matches!(snapshot.get(&[7, 1, 2]), Err(StateError::Corrupt(_))));
    assert_eq!(snapshot.get(&[8, 1, 2]).unwrap(), Some(b"secret value 8".to_vec()));
}

/// Change a stored node as the owner of the disk can, with the database's own checksums in order.
fn tamper_with_node(path: &Path, old: &[u8], new: &[u8]) {
    let packs = redb::TableDefinition::<u64, &[u8]>::new("packs");
    let database = redb::Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(packs).unwrap();
        let find = |data: &[u8]| data.windows(old.len()).position(|window| window == old);
        let hit = redb::ReadableTable::iter(&table).unwrap().find_map(|entry| {
            let (row, data) = entry.unwrap();
            let data = data.value();
            let at = find(data)?;
            Some((row.value(), [&data[..at], new, &data[at + old.len()..]].concat()))
        });
        let (row, changed) = hit.unwrap();
        table.insert(row, changed.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_second_process_cannot_open_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let _store = Store::open(&path, Options::default()).unwrap();
    assert!(matches!(Store::open(&path, Options::default()), Err(StateError::Database(_))));
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    std::fs::write(&path, b"no database at all").unwrap();
    assert!(matches!(Store::open(&path, Options::default()), Err(StateError::Database(_))));
}

const CRASH_PATH: &str = "EVM_CORE_CRASH_PATH";

/// Not a test by itself: what the crash test runs in a process of its own, until it is killed.
#[test]
fn write_until_killed() {
    let Some(path) = std::env::var_os(CRASH_PATH) else { return };
    let store = Store::open(Path::new(&path), Options::default()).unwrap();
    loop {
        let (version, _) = store.latest();
        store.persist(&store.stage(version, &crash_changes(version + 1)).unwrap(), version + 1).unwrap();
        // Acknowledged: from here on the version must not be lost.
        println!("acknowledged {}", version + 1);
        if version % 40 == 0 {
            store.prune(version.saturating_sub(40), 1000).unwrap();
        }
    }
}

fn crash_changes(version: u64) -> Changes {
    (0..20).map(|n| (format!("key {}", (version * 7 + n * 13) % 300).into(), Some(vec![version as u8; 40]))).collect()
}

#[test]
fn a_killed_writer_loses_no_acknowledged_version() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let reference = Store::memory().unwrap();
    for life in 1..=6 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["write_until_killed", "--exact", "--nocapture", "--test-threads=1"])
            .env(CRASH_PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
        // The harness writes the test's name in front of its first line.
        let mut version_of =
            |line: String| line.rsplit_once("acknowledged ").map(|(_, version)| version.parse::<u64>());
        let mut acknowledged = lines.by_ref().filter_map(&mut version_of).nth(30 * life).unwrap().unwrap();
        writer.kill().unwrap();
        for version in lines.filter_map(version_of) {
            // The last line may be cut short.
            acknowledged = version.map_or(acknowledged, |version| version.max(acknowledged));
        }
        writer.wait().unwrap();

        let store = Store::open(&path, Options::default()).unwrap();
        let (latest, root) = store.latest();
        assert!(latest >= acknowledged, "{latest} is there, {acknowledged} was acknowledged");
        for version in reference.latest().0 + 1..=latest {
            let staged = reference.stage(version - 1, &crash_changes(version)).unwrap();
            reference.persist(&staged, version).unwrap();
        }
        assert_eq!(root, reference.latest().1);
        for version in store.oldest()..=latest {
            let all = |store: &Store| store.snapshot(version).unwrap().scan(&[], None, usize::MAX).unwrap();
            assert_eq!(all(&store), all(&reference));
        }
        for version in 0..=latest {
            assert_eq!(store.diff_at(version).unwrap(), reference.diff_at(version).unwrap());
        }
    }
}
