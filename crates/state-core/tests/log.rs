//! Versions that wait in the log: whenever a process dies a store begins at a version that was persisted, with what
//! belongs to it; and whatever the log says, with a state that was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;
use state_core::errors::StateError;
use state_core::store::{At, Options, Snapshot, Store};
use state_core::tree::{Root, root_of};
use tempfile::TempDir;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

const TOGETHER: u64 = 16;
const HEAD_BYTES: usize = 44;

/// A directory with both files, as a process that died leaves them.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("state.redb")
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("state.log")
    }

    fn read_log(&self) -> Vec<u8> {
        fs::read(self.log()).unwrap()
    }

    fn open(&self) -> Store {
        self.open_with(0)
    }

    fn open_with(&self, cache_bytes: usize) -> Store {
        Store::open(&self.database(), Options { cache_bytes, ..Options::default() }).unwrap()
    }

    fn copy(&self) -> Self {
        self.copy_with_log(&self.read_log())
    }

    fn copy_with_log(&self, log: &[u8]) -> Self {
        let copy = Self::new();
        fs::copy(self.database(), copy.database()).unwrap();
        fs::write(copy.log(), log).unwrap();
        copy
    }
}

fn items(snapshot: &Snapshot) -> Map {
    snapshot.scan(&[], None, usize::MAX).unwrap().into_iter().collect()
}

fn changed(map: &Map, changes: &Changes) -> Map {
    let mut map = map.clone();
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
    map
}

fn set(key: &str, value: &str) -> Changes {
    [(key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))].into()
}

fn commit(store: &Store, changes: &Changes) {
    let (latest, _) = store.latest();
    store.persist(&store.stage(latest, changes).unwrap(), latest + 1).unwrap();
}

/// Every version that ever was, with what belongs to it.
#[derive(Default)]
struct Persisted(Vec<(u64, Root, Map)>);

impl Persisted {
    fn note(&mut self, store: &Store) {
        let (version, root) = store.latest();
        self.0.push((version, root, items(&store.snapshot(version).unwrap())));
    }

    /// Open it, find a version that was, and go on.
    fn check(&self, files: &Files) -> u64 {
        let found = Self::open_and_go_on(files);
        assert!(self.0.contains(&found), "version {} was never persisted", found.0);
        found.0
    }

    /// The same where numbers in the log were forged: it can give a state that was the number of another.
    fn check_state(&self, files: &Files) {
        let (version, root, map) = Self::open_and_go_on(files);
        let is_known = self.0.iter().any(|(_, known, of)| (*known, of) == (root, &map));
        assert!(is_known, "the state of version {version} was never persisted");
    }

    fn open_and_go_on(files: &Files) -> (u64, Root, Map) {
        let store = files.open();
        assert_eq!(files.read_log(), b"", "it is taken over");
        let (version, root) = store.latest();
        let map = items(&store.snapshot(At { version, root: Some(root) }).unwrap());
        assert_eq!(root, root_of(&map).unwrap());
        commit(&store, &set("next", "1"));
        assert_eq!(store.latest().0, version + 1);
        (version, root, map)
    }
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(1), Just(0x80), Just(0xff)];
    proptest::collection::vec(byte, 1..5)
}

fn changes() -> impl Strategy<Value = Changes> {
    let length = prop_oneof![40 => 0usize..3, 1 => Just(300_000)];
    let value = (any::<u8>(), length).prop_map(|(byte, length)| vec![byte; length]);
    proptest::collection::btree_map(key(), proptest::option::weighted(0.6, value), 0..8)
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Changes),
    Apply(Changes),
    Skip,
    Rollback(u64),
    /// Keep so many below the latest; forget so many nodes and versions at most.
    Prune(u64, usize),
    BeginAnew,
    /// Keep a snapshot of the version so many below the latest.
    Hold(u64),
    Reopen,
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => changes().prop_map(Step::Commit),
        8 => changes().prop_map(Step::Apply),
        4 => Just(Step::Skip),
        3 => (0u64..20).prop_map(Step::Rollback),
        2 => (0u64..20, 0usize..40).prop_map(|(keep, most)| Step::Prune(keep, most)),
        1 => Just(Step::BeginAnew),
        4 => (0u64..20).prop_map(Step::Hold),
        1 => Just(Step::Reopen),
        3 => Just(Step::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_store_that_dies_at_any_moment_behaves_as_a_list_of_maps(
        steps in proptest::collection::vec(step(), 1..60),
        cache_bytes in prop_oneof![Just(0usize), Just(1 << 20)],
    ) {
        let mut files = Files::new();
        let mut store = files.open_with(cache_bytes);
        let mut model: Vec<(Map, Vec<u8>)> = vec![(Map::new(), vec![0x80])];
        let mut held: Vec<(Snapshot, Map)> = Vec::new();
        let mut oldest = 0u64;
        for step in steps {
            let latest = model.len() as u64 - 1;
            let newest = model[model.len() - 1].0.clone();
            match step {
                Step::Commit(changes) => {
                    let staged = store.stage(latest, &changes).unwrap();
                    store.persist(&staged, latest + 1).unwrap();
                    model.push((changed(&newest, &changes), staged.diff));
                }
                Step::Apply(changes) => {
                    let staged = store.stage(latest, &changes).unwrap();
                    store.apply(latest + 1, &staged.diff, staged.root).unwrap();
                    model.push((changed(&newest, &changes), staged.diff));
                }
                Step::Skip => {
                    store.skip(latest + 1).unwrap();
                    model.push((newest, vec![0x80]));
                }
                Step::Rollback(back) => {
                    let version = latest.saturating_sub(back).max(oldest);
                    store.rollback(version).unwrap();
                    model.truncate(version as usize + 1);
                }
                Step::Prune(keep, most) => {
                    oldest = store.prune(latest.saturating_sub(keep), most).unwrap().oldest;
                }
                Step::BeginAnew => {
                    store.rollback(0).unwrap();
                    model.truncate(1);
                    oldest = 0;
                }
                Step::Hold(back) => {
                    let version = latest.saturating_sub(back).max(oldest);
                    held.push((store.snapshot(version).unwrap(), model[version as usize].0.clone()));
                }
                Step::Reopen => {
                    held.clear();
                    drop(store);
                    prop_assert_eq!(files.read_log(), b"", "what waits is written");
                    store = files.open_with(cache_bytes);
                }
                Step::Die => {
                    held.clear();
                    let copy = files.copy();
                    drop(store);
                    files = copy;
                    store = files.open_with(cache_bytes);
                }
            }
            let latest = model.len() as u64 - 1;
            prop_assert_eq!(store.oldest(), oldest);
            prop_assert_eq!(store.latest(), (latest, root_of(&model[latest as usize].0).unwrap()));
            prop_assert_eq!(store.diff_at(latest).unwrap(), model[latest as usize].1.as_slice());
        }
        let latest = model.len() as u64 - 1;
        for (version, (map, diff)) in (0..).zip(&model) {
            prop_assert_eq!(&store.diff_at(version).unwrap(), diff);
            if version >= oldest {
                prop_assert_eq!(store.root_at(version).unwrap(), root_of(map).unwrap());
                prop_assert_eq!(&items(&store.snapshot(version).unwrap()), map);
            } else {
                let unknown = StateError::UnknownVersion { version, oldest, latest };
                prop_assert_eq!(store.root_at(version).unwrap_err(), unknown);
            }
        }
        for (snapshot, map) in &held {
            prop_assert_eq!(&items(snapshot), map, "an open snapshot stays readable");
        }
    }

    #[test]
    fn a_log_of_any_bytes_leads_to_nothing_that_was_not(
        log in proptest::collection::vec(any::<u8>(), 0..200),
        behind in any::<bool>(),
    ) {
        let (files, persisted) = some_in_each();
        let log = if behind { [files.read_log(), log].concat() } else { log };
        persisted.check(&files.copy_with_log(&log));
    }

    /// Entries that are missing, that come twice or in another order, with a length, a version or a root of another.
    #[test]
    fn a_log_of_true_pieces_leads_to_nothing_that_was_not(
        pieces in proptest::collection::vec((0usize..6, 0usize..6, 0usize..4), 1..12),
    ) {
        let (files, persisted) = some_in_each();
        let log = files.read_log();
        let entries = split(&log);
        let (mut forged, mut has_other_numbers) = (Vec::new(), false);
        for (body, head, field) in pieces {
            let (body, head) = (entries[body % entries.len()], entries[head % entries.len()]);
            has_other_numbers |= field == 2 && body != head;
            let mut entry = body.to_vec();
            let part = [0..0, 0..4, 4..12, 12..HEAD_BYTES][field].clone();
            entry[part.clone()].copy_from_slice(&head[part]);
            forged.extend(entry);
        }
        let files = files.copy_with_log(&forged);
        if has_other_numbers {
            persisted.check_state(&files);
        } else {
            persisted.check(&files);
        }
    }
}

fn split(mut log: &[u8]) -> Vec<&[u8]> {
    let mut entries = Vec::new();
    while !log.is_empty() {
        let length = u32::from_le_bytes(log[..4].try_into().unwrap()) as usize;
        let (entry, rest) = log.split_at(HEAD_BYTES + length);
        entries.push(entry);
        log = rest;
    }
    entries
}

/// Versions 0 to 2 are in the database, 3 to 7 in the log; one of them is skipped.
fn some_in_each() -> (Files, Persisted) {
    let files = Files::new();
    let store = files.open();
    let mut persisted = Persisted::default();
    persisted.note(&store);
    for version in 1..=7u64 {
        if version == 5 {
            store.skip(version).unwrap();
        } else {
            commit(&store, &set(&format!("key {}", version % 3), &"value".repeat(version as usize)));
        }
        persisted.note(&store);
        if version == 2 {
            store.prune(0, 0).unwrap();
        }
    }
    let copy = files.copy();
    assert_eq!(split(&copy.read_log()).len(), 5);
    (copy, persisted)
}

#[test]
fn a_log_that_is_cut_anywhere_leads_to_its_last_whole_entry() {
    let (files, persisted) = some_in_each();
    let log = files.read_log();
    let ends: Vec<usize> = split(&log)
        .iter()
        .scan(0, |end, entry| {
            *end += entry.len();
            Some(*end)
        })
        .collect();
    for cut in 0..=log.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count() as u64;
        assert_eq!(persisted.check(&files.copy_with_log(&log[..cut])), 2 + whole);
    }
}

#[test]
fn a_byte_that_changed_anywhere_leads_to_nothing_that_was_not() {
    let (files, persisted) = some_in_each();
    let log = files.read_log();
    for at in 0..log.len() {
        let mut changed = log.clone();
        changed[at] ^= 1 << (at % 8);
        persisted.check(&files.copy_with_log(&changed));
    }
}

/// Nothing of a version but its number is in no root: whose the disk is can say 5 of version 6, since 5 changed nothing.
#[test]
fn a_number_that_was_forged_is_found_by_who_knows_the_root() {
    let (files, persisted) = some_in_each();
    let log = files.read_log();
    let entries = split(&log);
    let mut sixth = entries[3].to_vec();
    sixth[4..12].copy_from_slice(&5u64.to_le_bytes());
    let store = files.copy_with_log(&[entries[0], entries[1], &sixth].concat()).open();
    let root_of = |version: usize| persisted.0[version].1;
    assert_eq!(store.latest(), (5, root_of(6)));
    let refused = store.snapshot(At { version: 5, root: Some(root_of(5)) }).unwrap_err();
    assert_eq!(refused, StateError::WrongRoot { version: 5 });
    // What is true is there, and what comes after it can be fetched.
    store.rollback(4).unwrap();
    assert_eq!(store.latest(), (4, root_of(4)));
    store.skip(5).unwrap();
    store.snapshot(At { version: 5, root: Some(root_of(5)) }).unwrap();
}

#[test]
fn lengths_that_no_entry_has_are_refused() {
    let (files, persisted) = some_in_each();
    for length in [u32::MAX, u32::MAX - 43, 1 << 31, 1 << 21] {
        let entry = [&length.to_le_bytes()[..], &3u64.to_le_bytes(), &[7; 32], &[0x80]].concat();
        assert_eq!(persisted.check(&files.copy_with_log(&entry)), 2);
    }
    // An array of 2^32 - 1 items in one of its diffs.
    let entry = [&5u32.to_le_bytes()[..], &3u64.to_le_bytes(), &[7; 32], &[0x9a, 0xff, 0xff, 0xff, 0xff]].concat();
    assert_eq!(persisted.check(&files.copy_with_log(&entry)), 2);
}

/// More than ever wait.
#[test]
fn a_log_without_end_is_taken_over_in_part() {
    let (files, _) = some_in_each();
    let root = {
        let store = files.copy_with_log(b"").open();
        store.latest().1
    };
    let entry = |version: u64| [&1u32.to_le_bytes()[..], &version.to_le_bytes(), &root, &[0x80]].concat();
    let forged: Vec<u8> = (3..1000).flat_map(entry).collect();
    let copy = files.copy_with_log(&forged);
    assert_eq!(copy.open().latest(), (2 + TOGETHER, root));
}

#[test]
fn several_versions_are_written_together() {
    let files = Files::new();
    let store = files.open();
    let mut length = 0;
    for version in 1..TOGETHER {
        commit(&store, &set("key", &version.to_string()));
        length += HEAD_BYTES + store.diff_at(version).unwrap().len();
        assert_eq!(files.read_log().len(), length);
    }
    commit(&store, &set("key", "and one"));
    assert_eq!(files.read_log(), b"");
    commit(&store, &set("key", "large".repeat(1 << 18).as_str()));
    assert_eq!(files.read_log(), b"", "it takes as long as many");
    commit(&store, &set("key", "small"));
    assert!(!files.read_log().is_empty());
    drop(store);
    assert_eq!(files.read_log(), b"", "closed");
    let store = Store::open(&files.database(), Options { fsync: true, ..Options::default() }).unwrap();
    commit(&store, &set("key", "on the disk"));
    assert_eq!(files.read_log(), b"", "none waits");
}

/// Of a process that died after the database has what waited, before the log was emptied; and of any other two moments,
/// as the owner of the disk can put them together.
#[test]
fn files_of_two_moments_lead_to_a_version_that_was() {
    let files = Files::new();
    let store = files.open();
    let mut persisted = Persisted::default();
    persisted.note(&store);
    let mut moments = vec![files.copy()];
    for step in 1..=40u64 {
        match step {
            20 => store.rollback(14).unwrap(),
            21 => store.rollback(12).unwrap(),
            33 => store.rollback(store.latest().0 - 3).unwrap(),
            step if step % 7 == 0 => store.skip(store.latest().0 + 1).unwrap(),
            step => commit(&store, &set(&format!("key {}", step % 5), &step.to_string())),
        }
        persisted.note(&store);
        moments.push(files.copy());
    }
    let latest: Vec<u64> = persisted.0.iter().map(|(version, ..)| *version).collect();
    for (at, moment) in moments.iter().enumerate() {
        assert_eq!(persisted.check(&moment.copy()), latest[at], "both of one moment");
        for other in [at.saturating_sub(1), at * 7 % moments.len(), at * 17 % moments.len()] {
            persisted.check(&moment.copy_with_log(&moments[other].read_log()));
        }
    }
    // Version 16 was written with the fifteen before.
    assert_eq!(persisted.check(&moments[16].copy_with_log(&moments[15].read_log())), 16);
}

#[test]
fn readers_see_whole_versions_while_they_are_made_written_and_taken_back() {
    let files = Files::new();
    let store = files.open();
    let (is_over, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for back in 0..3u64 {
            let (store, is_over, reads) = (&store, &is_over, &reads);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let version = store.latest().0.saturating_sub(back * 9);
                    let snapshot = match store.snapshot(version) {
                        Ok(snapshot) => snapshot,
                        Err(StateError::UnknownVersion { .. }) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    assert_eq!(root_of(&items(&snapshot)).unwrap(), snapshot.root());
                    // It may be gone by now, and made again a moment later: the answer is of one moment.
                    match store.root_at(version) {
                        Ok(_) => {}
                        Err(StateError::UnknownVersion { oldest, latest, .. }) => {
                            assert!(version < oldest || version > latest);
                        }
                        Err(error) => panic!("{error}"),
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _over = SetAtEnd(&is_over);
        let mut step = 0u64;
        while step < 1500 || (step < 15_000 && reads.load(Ordering::Relaxed) < 500) {
            step += 1;
            let (latest, _) = store.latest();
            match step % 97 {
                13 | 57 => store.rollback(latest.saturating_sub(step % 20).max(store.oldest())).unwrap(),
                31 | 78 => drop(store.prune(latest.saturating_sub(12), 50).unwrap()),
                44 => store.skip(latest + 1).unwrap(),
                _ => commit(&store, &set(&format!("key {}", step % 41), &step.to_string())),
            }
        }
    });
}

/// Ends the readers, of a writer that panics too.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A version that the disk says is the last there can be.
#[test]
fn nothing_follows_the_last_number() {
    let files = Files::new();
    drop(files.open());
    let versions = redb::TableDefinition::<u64, &[u8]>::new("versions");
    set_last_version(&files.database(), versions);
    let store = files.open();
    assert_eq!(store.latest().0, u64::MAX);
    assert!(matches!(store.skip(0), Err(StateError::Corrupt(_))));
    store.prune(u64::MAX, 0).unwrap();
    store.rollback(u64::MAX).unwrap();
    store.root_at(u64::MAX).unwrap();
}

fn set_last_version(path: &Path, versions: redb::TableDefinition<'_, u64, &[u8]>) {
    let database = redb::Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(versions).unwrap();
        let first = table.remove(0).unwrap().unwrap().value().to_vec();
        table.insert(u64::MAX, first.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}
