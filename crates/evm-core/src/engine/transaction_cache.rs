//! Decoded transactions by hash, so that no sender is recovered twice.

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{B256, map::HashMap};

use crate::transaction::Transaction;

/// Transactions in each of the two generations; together they outlive a full pool by far.
const GENERATION: usize = 16_384;

/// Two generations of entries: when the young one is full it becomes the old one, and the old is dropped.
#[derive(Default)]
pub(super) struct TransactionCache {
    generations: Mutex<[HashMap<B256, Arc<Transaction>>; 2]>,
}

impl TransactionCache {
    pub(super) fn get(&self, hashes: &[B256]) -> Vec<Option<Arc<Transaction>>> {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.iter().map(|hash| generations[0].get(hash).or_else(|| generations[1].get(hash)).cloned()).collect()
    }

    pub(super) fn insert(&self, transactions: impl Iterator<Item = Arc<Transaction>>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for transaction in transactions {
            if generations[0].len() >= GENERATION {
                generations.swap(0, 1);
                generations[0].clear();
            }
            generations[0].insert(transaction.hash, transaction);
        }
    }
}
