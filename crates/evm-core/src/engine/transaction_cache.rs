//! Decoded transactions by hash, so that no sender is recovered twice.

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{B256, map::HashMap};

use crate::transaction::Transaction;

/// Transactions in each of the two generations; under load a thousand wait between their check and their round.
const GENERATION: usize = 4_096;

/// What the transactions of a generation hold at most, beside the newest one [bytes].
const GENERATION_BYTES: usize = 4 * 1024 * 1024;

/// Two generations of entries: when the young one is full it becomes the old one, and the old is dropped.
///
/// Whoever is dropped early is decoded once more.
#[derive(Default)]
pub(super) struct TransactionCache {
    generations: Mutex<[Generation; 2]>,
}

#[derive(Default)]
struct Generation {
    entries: HashMap<B256, Arc<Transaction>>,
    bytes: usize,
}

impl TransactionCache {
    pub(super) fn get(&self, hashes: &[B256]) -> Vec<Option<Arc<Transaction>>> {
        let [young, old] = &*self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.iter().map(|hash| young.entries.get(hash).or_else(|| old.entries.get(hash)).cloned()).collect()
    }

    pub(super) fn insert(&self, transactions: impl Iterator<Item = Arc<Transaction>>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for transaction in transactions {
            let [young, old] = &mut *generations;
            if young.entries.len() >= GENERATION || young.bytes >= GENERATION_BYTES {
                *old = std::mem::take(young);
            }
            young.bytes += transaction.size;
            young.entries.insert(transaction.hash, transaction);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(number: u64, size: usize) -> Arc<Transaction> {
        let hash = B256::from(alloy_primitives::U256::from(number));
        Arc::new(Transaction { hash, size, ..Transaction::default() })
    }

    fn kept(cache: &TransactionCache, numbers: std::ops::Range<u64>) -> usize {
        let hashes: Vec<_> = numbers.map(|number| transaction(number, 0).hash).collect();
        cache.get(&hashes).into_iter().flatten().count()
    }

    #[test]
    fn the_newest_are_there_and_the_oldest_are_not() {
        let (cache, newest) = (TransactionCache::default(), 3 * GENERATION as u64);
        cache.insert((0..newest).map(|number| transaction(number, 200)));
        assert_eq!(kept(&cache, newest - GENERATION as u64..newest), GENERATION);
        assert_eq!(kept(&cache, 0..newest), 2 * GENERATION);
    }

    #[test]
    fn large_ones_are_kept_up_to_a_limit_in_bytes() {
        let (cache, each) = (TransactionCache::default(), GENERATION_BYTES / 8);
        cache.insert((0..1_000).map(|number| transaction(number, each)));
        assert_eq!(kept(&cache, 0..1_000), 16);
        cache.insert(std::iter::once(transaction(1_000, 100 * GENERATION_BYTES)));
        assert_eq!(kept(&cache, 1_000..1_001), 1, "the newest stays, whatever its size");
    }
}
