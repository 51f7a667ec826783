//! Decoded nodes, kept in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

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

#[derive(Debug)]
struct Generations {
    young: HashMap<Link, Arc<Node>, Seed>,
    old: HashMap<Link, Arc<Node>, Seed>,
    young_bytes: usize,
}

/// Hashes links, which are random already: one multiplication, with a secret of the process, so that nobody makes nodes
/// that collide.
#[derive(Clone, Copy, Debug)]
struct Seed(u64);

struct Folded {
    seed: u64,
    state: u64,
}

impl BuildHasher for Seed {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded { seed: self.0, state: 0 }
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.state ^ word ^ self.seed) * u128::from(self.seed | 1);
        self.state = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

impl NodeCache {
    pub(super) fn new(bytes: usize) -> Self {
        let seed = Seed(RandomState::new().hash_one(bytes));
        let generations =
            Generations { young: HashMap::with_hasher(seed), old: HashMap::with_hasher(seed), young_bytes: 0 };
        Self { generation_bytes: bytes / 2, generations: RwLock::new(generations) }
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
                let empty = HashMap::with_hasher(*generations.young.hasher());
                generations.old = std::mem::replace(&mut generations.young, empty);
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
