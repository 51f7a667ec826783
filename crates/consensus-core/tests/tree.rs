//! The tree against a map, whatever the order of changes; proofs of what is there and of what is not.

use std::collections::BTreeMap;

use consensus_core::tree::{Tree, verify};
use proptest::{collection::vec, option, prelude::*};

type Change = (Vec<u8>, Option<Vec<u8>>);

fn changed(tree: &Tree, changes: &[Change]) -> Tree {
    tree.with_changes(changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref())))
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    vec((vec(any::<u8>(), 0..3), option::of(vec(any::<u8>(), 0..4))), 0..60)
}

proptest! {
    #[test]
    fn a_tree_is_what_its_entries_are(changes in changes(), asked in vec(vec(any::<u8>(), 0..3), 0..8)) {
        let mut model = BTreeMap::new();
        let mut tree = Tree::default();
        for change in &changes {
            tree = changed(&tree, std::slice::from_ref(change));
            match &change.1 {
                Some(value) => model.insert(change.0.clone(), value.clone()),
                None => model.remove(&change.0),
            };
        }
        let entries: Vec<Change> = model.iter().rev().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        prop_assert_eq!(tree.root(), changed(&Tree::default(), &entries).root());
        let items: Vec<(&[u8], &[u8])> = model.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        prop_assert_eq!(tree.items(b"").collect::<Vec<_>>(), items);
        let proof = tree.prove(asked.iter().map(Vec::as_slice));
        let claims = asked.iter().map(|key| (&key[..], model.get(key).map(Vec::as_slice)));
        prop_assert_eq!(verify(&tree.root(), &proof, claims), Ok(()));
    }
}

#[test]
fn a_prefix_ends_where_the_next_begins() {
    let tree = Tree::default().with_changes([(&b"a"[..], Some(&b"0"[..])), (b"b1", Some(b"1")), (b"c", Some(b"2"))]);
    assert_eq!(tree.items(b"b").collect::<Vec<_>>(), [(&b"b1"[..], &b"1"[..])]);
    assert_eq!(tree.len(), 3);
    assert!(tree.get(b"b").is_none());
}
