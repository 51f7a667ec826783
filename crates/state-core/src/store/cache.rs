//! Decoded nodes, kept in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{PoisonError, RwLock};

use crate::tree::{Known, Link};

/// Bookkeeping of the hash map and of the allocator, per entry [bytes].
const ENTRY_BYTES: usize = 56;

/// A node is found under its whole link, hash included: numbers come from a disk that nobody trusts, and a false one
/// must not lead to a node that was verified as another.
///
/// Two generations: what was not used while the young one filled up is dropped with the old one. Hits in the young
/// generation, nearly all, take only the read lock.
#[derive(Debug)]
pub(super) struct NodeCache {
    generation_bytes: usize,
    /// Secret of the process, so that nobody makes nodes that collide.
    seed: u64,
    generations: RwLock<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
    young_bytes: usize,
}

/// By digest of the link, see [`NodeCache::digest`]; small entries, so that some share a line of the processor's cache.
type Generation = HashMap<u64, Known, Digested>;

/// Hashes what is a digest already.
#[derive(Clone, Copy, Debug, Default)]
struct Digested(u64);

impl BuildHasher for Digested {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Digested {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl NodeCache {
    pub(super) fn new(bytes: usize) -> Self {
        let seed = RandomState::new().hash_one(bytes) | 1;
        Self { generation_bytes: bytes / 2, seed, generations: RwLock::default() }
    }

    /// Of a node's hash the beginning is enough, it is as good as random; two nodes of one digest push each other out.
    fn digest(&self, link: &Link) -> u64 {
        let beginning = u64::from_le_bytes(*link.hash.first_chunk().expect("a hash has 32 bytes"));
        let product = u128::from(beginning ^ link.id ^ self.seed) * u128::from(self.seed);
        product as u64 ^ (product >> 64) as u64
    }

    pub(super) fn get(&self, link: &Link) -> Option<Known> {
        let digest = self.digest(link);
        let known = {
            let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
            let of =
                |generation: &'_ Generation| generation.get(&digest).filter(|known| known.link() == *link).cloned();
            if let Some(known) = of(&generations.young) {
                return Some(known);
            }
            of(&generations.old)?
        };
        self.insert(known.clone());
        Some(known)
    }

    pub(super) fn insert(&self, known: Known) {
        self.replace(&[], &[known]);
    }

    /// Take up what a version made, and forget what it replaced: only older versions have that, which are seldom read.
    pub(super) fn replace(&self, stale: &[Link], fresh: &[Known]) {
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        for link in stale {
            let digest = self.digest(link);
            if let Some(known) = generations.young.remove(&digest) {
                generations.young_bytes -= entry_bytes(&known);
            }
            generations.old.remove(&digest);
        }
        for known in fresh {
            let bytes = entry_bytes(known);
            if generations.young_bytes + bytes > self.generation_bytes {
                generations.old = std::mem::take(&mut generations.young);
                generations.young_bytes = 0;
            }
            generations.young_bytes += bytes;
            if let Some(before) = generations.young.insert(self.digest(&known.link()), known.clone()) {
                generations.young_bytes -= entry_bytes(&before);
            }
        }
    }
}

fn entry_bytes(known: &Known) -> usize {
    known.memory_bytes() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: u64) -> Known {
        Known::decode(&Link { hash: [7; 32], id }, &[0, 1, 0, id as u8]).expect("a leaf with an empty value")
    }

    #[test]
    fn a_number_alone_finds_nothing() {
        let cache = NodeCache::new(1 << 20);
        cache.insert(known(1));
        let mut other = known(1).link();
        other.hash[31] = 8;
        assert_eq!(cache.digest(&other), cache.digest(&known(1).link()));
        assert_eq!(cache.get(&other), None, "another node is meant");
        assert_eq!(cache.get(&known(1).link()), Some(known(1)));
    }

    #[test]
    fn memory_is_bounded_and_used_nodes_stay() {
        let entry = entry_bytes(&known(0));
        let cache = NodeCache::new(entry * 20);
        for id in 0..1000 {
            cache.insert(known(id));
            assert_eq!(cache.get(&known(0).link()), Some(known(0)), "used all the time");
            let generations = cache.generations.read().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 20);
        }
        assert_eq!(cache.get(&known(500).link()), None, "not used for long");
    }

    #[test]
    fn what_takes_the_place_of_another_pushes_nobody_out() {
        let cache = NodeCache::new(entry_bytes(&known(0)) * 4);
        cache.replace(&[], &[known(0), known(1)]);
        for id in 1..1000 {
            cache.replace(&[known(id).link()], &[known(id + 1)]);
            assert_eq!(cache.get(&known(id).link()), None, "forgotten");
        }
        assert_eq!(cache.get(&known(0).link()), Some(known(0)), "not used, and there is room");
    }
}
