//! A store whose file somebody else writes: it gives the state under a known root, or an error, never another state.

use std::collections::BTreeMap;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use state_core::errors::StateError;
use state_core::store::{At, Options, Store};

const VERSIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("versions");
const PACKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("packs");
/// Where stores of before packs have their nodes, one a row.
const NODES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("nodes");

fn write(store: &Store, version: u64, items: &[(&[u8], &[u8])]) {
    let changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
        items.iter().map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).collect();
    store.persist(&store.stage(version - 1, &changes).unwrap(), version).unwrap();
}

/// Two versions: `owner` is `alice`, then `mallory`.
fn two_versions(path: &Path) -> [[u8; 32]; 2] {
    let store = Store::open(path, Options::default()).unwrap();
    write(&store, 1, &[(b"owner", b"alice"), (b"other", b"x")]);
    write(&store, 2, &[(b"owner", b"mallory")]);
    [store.root_at(1).unwrap(), store.root_at(2).unwrap()]
}

fn edit(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

fn version_record(path: &Path, version: u64) -> Vec<u8> {
    let database = Database::create(path).unwrap();
    let table = database.begin_read().unwrap().open_table(VERSIONS).unwrap();
    table.get(version).unwrap().unwrap().value().to_vec()
}

#[test]
fn a_version_that_was_swapped_is_not_the_one_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let [first, second] = two_versions(&path);
    let older = version_record(&path, 1);
    edit(&path, |transaction| {
        transaction.open_table(VERSIONS).unwrap().insert(2, older.as_slice()).unwrap();
    });
    let store = Store::open(&path, Options::default()).unwrap();
    assert_eq!(store.snapshot(2).unwrap().get(b"owner").unwrap().unwrap(), b"alice", "the disk's word, on request");
    let refused = store.snapshot(At { version: 2, root: Some(second) }).map(|_| ()).unwrap_err();
    assert_eq!(refused, StateError::WrongRoot { version: 2 });
    store.snapshot(At { version: 1, root: Some(first) }).unwrap();
}

/// The record names the true root and the number of another node, which the cache knows well.
#[test]
fn a_true_root_over_a_false_number_reads_nothing_false() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let [_, second] = two_versions(&path);
    let mut forged = version_record(&path, 2);
    forged[32..40].copy_from_slice(&version_record(&path, 1)[32..40]);
    edit(&path, |transaction| {
        transaction.open_table(VERSIONS).unwrap().insert(2, forged.as_slice()).unwrap();
    });
    let store = Store::open(&path, Options::default()).unwrap();
    let warm = store.snapshot(1).unwrap();
    assert_eq!(warm.get(b"owner").unwrap().unwrap(), b"alice");
    let snapshot = store.snapshot(At { version: 2, root: Some(second) }).unwrap();
    assert!(matches!(snapshot.get(b"owner"), Err(StateError::Corrupt(_))));
    assert!(matches!(snapshot.scan(b"", None, 9), Err(StateError::Corrupt(_))));
    assert!(matches!(snapshot.prove(&[b"owner"]), Err(StateError::Corrupt(_))));
    let changes = [(b"other".to_vec(), None)].into();
    assert!(matches!(store.stage(At { version: 2, root: Some(second) }, &changes), Err(StateError::Corrupt(_))));
}

/// Numbers of children are under no hash: whatever they say, an update computes the root of the true contents.
#[test]
fn false_numbers_of_children_change_no_root() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    two_versions(&path);
    let clean = Store::memory().unwrap();
    write(&clean, 1, &[(b"owner", b"alice"), (b"other", b"x")]);
    write(&clean, 2, &[(b"owner", b"mallory")]);
    let changes: [BTreeMap<Vec<u8>, Option<Vec<u8>>>; 2] = [
        [(b"owner".to_vec(), None), (b"third".to_vec(), Some(vec![1]))].into(),
        [(b"owner".to_vec(), Some(b"bob".to_vec()))].into(),
    ];
    let right = changes.each_ref().map(|changes| {
        let staged = clean.stage(2, changes).unwrap();
        clean.persist(&staged, 3).unwrap();
        let items = clean.snapshot(3).unwrap().scan(b"", None, 9).unwrap();
        clean.rollback(2).unwrap();
        (staged.root, items)
    });
    // Every number in every row of nodes, one after the other, points into the batch that is made next.
    let database = Database::create(&path).unwrap();
    let table = database.begin_read().unwrap().open_table(PACKS).unwrap();
    let rows: Vec<(u64, Vec<u8>)> =
        table.iter().unwrap().map(|item| item.unwrap()).map(|(id, row)| (id.value(), row.value().to_vec())).collect();
    let next_batch = (rows.last().unwrap().0 >> 21) + 1;
    drop(table);
    drop(database);
    let mut refused = 0;
    for (id, row) in &rows {
        for at in 0..row.len().saturating_sub(7) {
            let mut forged = row.clone();
            forged[at..at + 8].copy_from_slice(&(next_batch << 24).to_le_bytes());
            edit(&path, |transaction| {
                transaction.open_table(PACKS).unwrap().insert(id, forged.as_slice()).unwrap();
            });
            for (changes, (root, items)) in changes.iter().zip(&right) {
                let store = Store::open(&path, Options::default()).unwrap();
                match store.stage(2, changes) {
                    Ok(staged) => {
                        assert_eq!(staged.root, *root, "row {id} changed at {at}");
                        // The version waits, with nodes of the numbers that are meant.
                        store.persist(&staged, 3).unwrap();
                        match store.snapshot(3).unwrap().scan(b"", None, 9) {
                            Ok(read) => assert_eq!(read, *items),
                            Err(error) => assert!(matches!(error, StateError::Corrupt(_))),
                        }
                        store.rollback(2).unwrap();
                    }
                    Err(StateError::Corrupt(_)) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
        edit(&path, |transaction| {
            transaction.open_table(PACKS).unwrap().insert(id, row.as_slice()).unwrap();
        });
    }
    assert!(refused > 0, "some of these were read");
}

/// Undo packing: `place 1 ‖ length LE4 ‖ node` for each node of a row becomes a row of its own.
fn unpack(path: &Path) {
    edit(path, |transaction| {
        let mut nodes = transaction.open_table(NODES).unwrap();
        for item in transaction.open_table(PACKS).unwrap().iter().unwrap() {
            let (row, stored) = item.unwrap();
            let mut rest = stored.value();
            while let [place, a, b, c, d, data @ ..] = rest {
                let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
                nodes.insert(row.value() << 3 | u64::from(*place), &data[..length]).unwrap();
                rest = &data[length..];
            }
        }
    });
    edit(path, |transaction| assert!(transaction.delete_table(PACKS).unwrap()));
}

#[test]
fn a_store_with_one_node_a_row_is_read_and_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let roots = two_versions(&path);
    unpack(&path);
    for _ in 0..2 {
        let store = Store::open(&path, Options::default()).unwrap();
        for (version, root, owner) in [(1, roots[0], b"alice".to_vec()), (2, roots[1], b"mallory".to_vec())] {
            let snapshot = store.snapshot(At { version, root: Some(root) }).unwrap();
            assert_eq!(snapshot.get(b"owner").unwrap(), Some(owner));
        }
    }
    let store = Store::open(&path, Options::default()).unwrap();
    write(&store, 3, &[(b"owner", b"bob")]);
    assert_eq!(store.snapshot(3).unwrap().get(b"owner").unwrap(), Some(b"bob".to_vec()));
    store.rollback(1).unwrap();
    assert_eq!(store.snapshot(1).unwrap().scan(b"", None, 9).unwrap().len(), 2);
}
