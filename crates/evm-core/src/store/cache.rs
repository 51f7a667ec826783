//! Decoded nodes, kept in bounded memory.

use std::sync::{Arc, RwLock};

use alloy_primitives::map::HashMap;

use crate::tree::Node;

/// Bookkeeping of the hash map and the reference count, per entry [bytes].
const ENTRY_BYTES: usize = 64;

/// Two generations: what was not used while the young one filled up is dropped with the old one. Hits in the young
/// generation, nearly all, take only the read lock.
#[derive(Debug)]
pub(super) struct NodeCache {
    generation_bytes: usize,
    generations: RwLock<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<u64, Arc<Node>>,
    old: HashMap<u64, Arc<Node>>,
    young_bytes: usize,
}

const POISONED: &str = "no holder of the cache's lock can panic";

impl NodeCache {
    pub(super) fn new(bytes: usize) -> Self {
        Self { generation_bytes: bytes / 2, generations: RwLock::default() }
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<Node>> {
        let node = {
            let generations = self.generations.read().expect(POISONED);
            if let Some(node) = generations.young.get(&id) {
                return Some(node.clone());
            }
            generations.old.get(&id)?.clone()
        };
        self.insert([(id, node.clone())]);
        Some(node)
    }

    pub(super) fn insert(&self, nodes: impl IntoIterator<Item = (u64, Arc<Node>)>) {
        let mut generations = self.generations.write().expect(POISONED);
        for (id, node) in nodes {
            let bytes = node.memory_bytes() + ENTRY_BYTES;
            if generations.young_bytes + bytes > self.generation_bytes {
                generations.old = std::mem::take(&mut generations.young);
                generations.young_bytes = 0;
            }
            if generations.young.insert(id, node).is_none() {
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

    #[test]
    fn memory_is_bounded_and_used_nodes_stay() {
        let entry = node(0).memory_bytes() + ENTRY_BYTES;
        let cache = NodeCache::new(entry * 20);
        for id in 0..1000 {
            cache.insert([(id, node(id as u8))]);
            assert_eq!(cache.get(0), Some(node(0)), "used all the time");
            let generations = cache.generations.read().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 20);
        }
        assert_eq!(cache.get(500), None, "not used for long");
    }
}
