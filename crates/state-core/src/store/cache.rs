//! Decoded nodes, kept in bounded memory.

use std::sync::{Arc, PoisonError, RwLock};

use alloy_primitives::map::HashMap;

use crate::tree::{Link, Node};

/// Bookkeeping of the hash map, the reference count and the hash, per entry [bytes].
const ENTRY_BYTES: usize = 96;

/// A node is found under its whole link, hash included: numbers come from a disk that nobody trusts, and a false one
/// must not lead to a node that was verified as another.
///
/// Two generations: what was not used while the young one filled up is dropped with the old one. Hits in the young
/// generation, nearly all, take only the read lock.
#[derive(Debug)]
pub(super) struct NodeCache {
    generation_bytes: usize,
    generations: RwLock<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Link, Arc<Node>>,
    old: HashMap<Link, Arc<Node>>,
    young_bytes: usize,
}

impl NodeCache {
    pub(super) fn new(bytes: usize) -> Self {
        Self { generation_bytes: bytes / 2, generations: RwLock::default() }
    }

    pub(super) fn get(&self, link: &Link) -> Option<Arc<Node>> {
        let node = {
            let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(node) = generations.young.get(link) {
                return Some(node.clone());
            }
            generations.old.get(link)?.clone()
        };
        self.insert([(*link, node.clone())]);
        Some(node)
    }

    pub(super) fn insert(&self, nodes: impl IntoIterator<Item = (Link, Arc<Node>)>) {
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        for (link, node) in nodes {
            let bytes = node.memory_bytes() + ENTRY_BYTES;
            if generations.young_bytes + bytes > self.generation_bytes {
                generations.old = std::mem::take(&mut generations.young);
                generations.young_bytes = 0;
            }
            if generations.young.insert(link, node).is_none() {
                generations.young_bytes += bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    fn node(byte: u8) -> Arc<Node> {
        Arc::new(Node::decode(&[0, 1, 0, byte]).expect("a leaf with an empty value"))
    }

    fn link(id: u64) -> Link {
        Link { hash: [7; 32], id }
    }

    #[test]
    fn a_number_alone_finds_nothing() {
        let cache = NodeCache::new(1 << 20);
        cache.insert([(link(1), node(0))]);
        assert_eq!(cache.get(&Link { hash: [8; 32], id: 1 }), None, "another node is meant");
        assert_eq!(cache.get(&link(1)), Some(node(0)));
    }

    #[test]
    fn memory_is_bounded_and_used_nodes_stay() {
        let entry = node(0).memory_bytes() + ENTRY_BYTES;
        let cache = NodeCache::new(entry * 20);
        for id in 0..1000 {
            cache.insert([(link(id), node(id as u8))]);
            assert_eq!(cache.get(&link(0)), Some(node(0)), "used all the time");
            let generations = cache.generations.read().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 20);
        }
        assert_eq!(cache.get(&link(500)), None, "not used for long");
    }
}
