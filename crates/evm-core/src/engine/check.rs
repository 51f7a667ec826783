//! Admission of transactions: decode, recover senders on all cores, and the checks that need no execution.

use std::{
    sync::{Arc, LazyLock},
    thread,
};

use alloy_primitives::{B256, U256};
use state_core::store::At;

use super::{Engine, fee_limit};
use crate::{
    config::ChainConfig,
    errors::ModuleError,
    failure::{EngineError, core, out_of_gas},
    transaction::{Transaction, hash_of},
};

/// Transactions below which a thread of its own is not worth starting: each recovery takes some 45 us.
const PER_THREAD: usize = 8;

/// Threads that recover senders. Asked once: it reads files of the system, which costs more than a recovery.
static CORES: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));

/// A transaction that may enter the pool.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Nonce of its sender at the checked version; a larger one in the transaction has to wait.
    pub account_nonce: u64,
}

/// A transaction that may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Keccak-256 of the raw bytes; None when they are no transaction at all.
    pub hash: Option<B256>,
    /// Why.
    pub error: ModuleError,
}

impl Engine {
    /// Checks each raw transaction against a version of the state.
    ///
    /// In the order of upstream: size, form and signature, nonce, balance for the fee, gas limit, price,
    /// gas for size and signature. Whether the calldata opens cannot be known here.
    pub fn check(&self, raw: &[&[u8]], at: impl Into<At>) -> Result<Vec<Result<Checked, Rejection>>, EngineError> {
        let snapshot = self.store.snapshot(at)?;
        let min_gas_price = self.min_gas_price_at(&snapshot)?;
        let mut checked = Vec::with_capacity(raw.len());
        for decoded in self.decode(raw) {
            let transaction = match decoded {
                Ok(transaction) => transaction,
                Err(error) => {
                    checked.push(Err(Rejection { hash: None, error }));
                    continue;
                }
            };
            let admitted = match self.standing(&transaction, &snapshot)? {
                Err(error) => Err(error),
                Ok((nonce, _)) if transaction.nonce < nonce => Err(core(4, "invalid nonce")),
                Ok((nonce, balance)) => admit(&self.config, &transaction, balance, min_gas_price).map(|_| nonce),
            };
            checked.push(match admitted {
                Ok(account_nonce) => Ok(Checked { transaction, account_nonce }),
                Err(error) => Err(Rejection { hash: Some(transaction.hash), error }),
            });
        }
        Ok(checked)
    }

    /// Decodes a batch; what is not cached is recovered in parallel.
    pub(super) fn decode(&self, raw: &[&[u8]]) -> Vec<Result<Arc<Transaction>, ModuleError>> {
        let hashes: Vec<B256> = raw.iter().map(|raw| hash_of(raw)).collect();
        let cached = self.transactions.get(&hashes);
        let missing: Vec<&[u8]> =
            raw.iter().zip(&cached).filter(|(_, cached)| cached.is_none()).map(|(raw, _)| *raw).collect();
        let mut decoded = decode_parallel(&missing, &self.config).into_iter();
        let transactions: Vec<_> = cached
            .into_iter()
            .map(|cached| match cached {
                Some(transaction) => Ok(transaction),
                None => decoded.next().unwrap_or_else(|| Err(core(1, "malformed transaction"))).map(Arc::new),
            })
            .collect();
        if !missing.is_empty() {
            self.transactions.insert(transactions.iter().flatten().cloned());
        }
        transactions
    }
}

fn decode_parallel(raw: &[&[u8]], config: &ChainConfig) -> Vec<Result<Transaction, ModuleError>> {
    let threads = (*CORES).min(raw.len() / PER_THREAD);
    if threads < 2 {
        return raw.iter().map(|raw| Transaction::decode(raw, config)).collect();
    }
    thread::scope(|scope| {
        let workers: Vec<_> = raw
            .chunks(raw.len().div_ceil(threads))
            .map(|chunk| {
                scope.spawn(move || chunk.iter().map(|raw| Transaction::decode(raw, config)).collect::<Vec<_>>())
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Everything but the nonce. Gives the price it pays for gas and the fee its limit can cost.
pub(super) fn admit(
    config: &ChainConfig,
    transaction: &Transaction,
    balance: U256,
    min_gas_price: u128,
) -> Result<(u128, u128), ModuleError> {
    if transaction.edit.is_some() {
        // It runs nothing, and its sender owns the network.
        return Ok((0, 0));
    }
    // A price under the minimum has no fee to speak of, so the balance is measured at what it offers.
    let price = transaction.effective_gas_price(min_gas_price);
    let offered = *price.as_ref().unwrap_or(&transaction.max_fee);
    let fee = fee_limit(transaction.gas_limit, offered)?;
    if balance < U256::from(fee) {
        return Err(core(5, "insufficient balance to pay fees"));
    }
    if transaction.gas_limit > config.batch_gas_limit {
        return Err(core(11, "gas overflow"));
    }
    let price = price?;
    let prepaid = transaction.prepaid_gas(config);
    if prepaid > transaction.gas_limit {
        return Err(out_of_gas(transaction.gas_limit, prepaid));
    }
    Ok((price, fee))
}
