//! What is on the disk: every node that a kept version reaches, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use state_core::store::{Options, Store};

const PACKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("packs");
const VERSIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("versions");
const NONE: u64 = u64::MAX;

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

/// Every stored node by its number: `place 1 ‖ length LE4 ‖ node` eight times a row.
fn stored_nodes(database: &Database) -> BTreeMap<u64, Vec<u8>> {
    let table = database.begin_read().unwrap().open_table(PACKS).unwrap();
    let mut nodes = BTreeMap::new();
    for item in table.iter().unwrap() {
        let (row, stored) = item.unwrap();
        let mut rest = stored.value();
        assert!(!rest.is_empty(), "a row without nodes is gone");
        while let [place, a, b, c, d, data @ ..] = rest {
            let (node, behind) = data.split_at(u32::from_le_bytes([*a, *b, *c, *d]) as usize);
            assert!(nodes.insert(row.value() << 3 | u64::from(*place), node.to_vec()).is_none());
            rest = behind;
        }
    }
    nodes
}

/// Numbers of a node's children: an inner node is `01 ‖ label bits LE2 ‖ label ‖ mask ‖ (hash 32 ‖ number LE8)...`.
fn children(node: &[u8]) -> Vec<u64> {
    if node[0] == 0 {
        return Vec::new();
    }
    let label_bytes = usize::from(u16::from_le_bytes([node[1], node[2]])).div_ceil(8);
    node[3 + label_bytes + 1..].chunks(40).map(|link| number(&link[32..])).collect()
}

/// Numbers of the nodes that the versions on disk reach.
fn reachable(database: &Database, nodes: &BTreeMap<u64, Vec<u8>>) -> BTreeSet<u64> {
    let table = database.begin_read().unwrap().open_table(VERSIONS).unwrap();
    let mut found = BTreeSet::new();
    let roots = table.iter().unwrap().map(|item| number(&item.unwrap().1.value()[32..]));
    let mut open: Vec<u64> = roots.filter(|root| *root != NONE).collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(children(nodes.get(&id).expect("a node that is reached is there")));
        }
    }
    found
}

fn check(path: &Path) {
    let database = Database::open(path).unwrap();
    let nodes = stored_nodes(&database);
    assert_eq!(nodes.keys().copied().collect::<BTreeSet<_>>(), reachable(&database, &nodes));
}

/// Keys that often share prefixes and are prefixes of one another, and values that are often what is there already.
fn changes() -> impl Strategy<Value = BTreeMap<Vec<u8>, Option<Vec<u8>>>> {
    let byte = prop_oneof![Just(0u8), Just(1), Just(0x80), Just(0xff)];
    let value = proptest::option::weighted(0.6, proptest::collection::vec(0u8..2, 0..2));
    proptest::collection::btree_map(proptest::collection::vec(byte, 1..5), value, 0..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_disk_holds_what_kept_versions_reach(
        rounds in proptest::collection::vec(changes(), 1..12),
        keep in 0u64..4,
        back in 0u64..3,
        cache_bytes in prop_oneof![Just(0usize), Just(1 << 20)],
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let store = Store::open(&path, Options { cache_bytes, ..Options::default() }).unwrap();
        for (version, changes) in (0..).zip(&rounds) {
            let staged = store.stage(version, changes).unwrap();
            store.persist(&staged, version + 1).unwrap();
            let again = store.stage(version + 1, changes).unwrap();
            prop_assert_eq!(again.root, staged.root);
            prop_assert_eq!(again.diff, [0x80], "nothing changes a second time");
            store.prune((version + 1).saturating_sub(keep), 5).unwrap();
        }
        let version = store.latest().0.saturating_sub(back).max(store.oldest());
        store.rollback(version).unwrap();
        while !store.prune(version.saturating_sub(keep), 5).unwrap().is_done {}
        drop(store);
        check(&path);
    }
}
