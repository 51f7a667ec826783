//! `testing_buildBlockV1`: a block that a miner would make of given transactions. The chain stays as it is.

use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Eip658Value, Header, ReceiptEnvelope, Transaction, Typed2718,
    proofs::{calculate_receipt_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eips::{Encodable2718, eip4895::Withdrawal};
use alloy_primitives::{Address, B256, Bloom, Bytes, U64, U256};
use evm_core::{machine::Unwatched, precompiles::Moved};
use revm::{
    context::{BlockEnv, result::ExecutionResult},
    primitives::hardfork::SpecId,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    chain::Chain,
    failure::{Failure, Result, SERVER_ERROR, invalid, refused, unreadable},
    header::{base_fee, excess_blob_gas},
    ledger::{Block, Envelope, Working, block_environment, receipt, requests_hash},
    pool::{decode, has_blobs, sender},
    rules::Rules,
    run::transaction_environment,
    shown::{self, quantity},
};

/// Where the gas limit goes, by at most a 1024th a block [gas]. Source: go-ethereum `miner/miner.go` (`GasCeil`).
const GAS_CEILING: u64 = 60_000_000;

/// What `testing_buildBlockV1` takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    parent: B256,
    attributes: Attributes,
    /// Signed; each must be able to run. None takes what of `pool` can.
    transactions: Option<Vec<Bytes>>,
    #[serde(default)]
    pool: Vec<Bytes>,
    #[serde(default)]
    extra_data: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    timestamp: U64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    withdrawals: Option<Vec<Withdrawal>>,
    parent_beacon_block_root: Option<B256>,
}

/// A block in the making.
struct Builder<'s> {
    working: Working<'s>,
    rules: Rules,
    env: BlockEnv,
    header: Header,
    transactions: Vec<Envelope>,
    receipts: Vec<ReceiptEnvelope>,
    /// What the miner earns [wei].
    value: U256,
}

impl Chain<'_> {
    /// Builds a block on one that was; JSON to JSON.
    ///
    /// # Errors
    /// `Refused`: there is no such parent, or a transaction cannot run.
    pub fn build(&self, request: &[u8]) -> Result<Value> {
        let wanted: Wanted = serde_json::from_slice(request).map_err(unreadable)?;
        let number = self.number_of(&wanted.parent).ok_or_else(|| refused(SERVER_ERROR, "unknown parent"))?;
        let mut builder = self.begin(number, &wanted)?;
        match &wanted.transactions {
            Some(raws) => {
                for raw in raws {
                    builder.add(decode(raw)?)?;
                }
            }
            None => {
                for raw in &wanted.pool {
                    let envelope = decode(raw)?;
                    if has_blobs(&envelope) {
                        continue;
                    }
                    match builder.add(envelope) {
                        Ok(()) | Err(Failure::Refused { .. }) => {}
                        Err(broken) => return Err(broken),
                    }
                }
            }
        }
        builder.finish(wanted.attributes.withdrawals)
    }

    fn begin(&self, number: u64, wanted: &Wanted) -> Result<Builder<'_>> {
        let parent = &self.block(number)?.block.header;
        let attributes = &wanted.attributes;
        if attributes.timestamp.to::<u64>() <= parent.timestamp {
            return Err(refused(SERVER_ERROR, "invalid timestamp"));
        }
        let mut header = Header {
            parent_hash: wanted.parent,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: attributes.suggested_fee_recipient,
            number: number + 1,
            gas_limit: next_gas_limit(parent.gas_limit),
            timestamp: attributes.timestamp.to(),
            mix_hash: attributes.prev_randao,
            extra_data: wanted.extra_data.clone(),
            ..Default::default()
        };
        let rules = self.rules(&header)?;
        header.base_fee_per_gas = base_fee(&rules, parent);
        header.excess_blob_gas = excess_blob_gas(&rules, parent);
        if rules.since(SpecId::CANCUN) {
            header.parent_beacon_block_root = Some(attributes.parent_beacon_block_root.unwrap_or_default());
        }
        let env = block_environment(&rules, &header);
        let mut working = self.state_after(number)?;
        working.begin(&rules, &env, header.parent_hash, header.parent_beacon_block_root)?;
        let (transactions, receipts, value) = Default::default();
        Ok(Builder { working, rules, env, header, transactions, receipts, value })
    }
}

impl Builder<'_> {
    fn add(&mut self, envelope: Envelope) -> Result<()> {
        if envelope.gas_limit() > self.header.gas_limit - self.header.gas_used {
            return Err(refused(SERVER_ERROR, "gas limit reached"));
        }
        let message = transaction_environment(&envelope, sender(&envelope)?);
        let prepared = (self.rules.cfg.clone(), self.env.clone(), message);
        let ran = self.working.transact(&prepared, &Moved::new(), Unwatched, |_, _, _| Ok(()))?;
        let result = ran.map_err(|reason| refused(SERVER_ERROR, invalid(&reason, &prepared.2, self.env.basefee).1))?;
        self.count(envelope, result)
    }

    fn count(&mut self, envelope: Envelope, result: ExecutionResult) -> Result<()> {
        let gas_used = result.tx_gas_used();
        self.header.gas_used += gas_used;
        let base_fee = self.header.base_fee_per_gas;
        let price = envelope.effective_gas_price(base_fee);
        let tip = price.saturating_sub(base_fee.unwrap_or_default().into());
        self.value += U256::from(tip) * U256::from(gas_used);
        let status = if self.rules.since(SpecId::BYZANTIUM) {
            Eip658Value::Eip658(result.is_success())
        } else {
            Eip658Value::PostState(self.working.root()?)
        };
        self.receipts.push(receipt(envelope.ty(), status, self.header.gas_used, result)?);
        self.transactions.push(envelope);
        Ok(())
    }

    fn finish(mut self, withdrawals: Option<Vec<Withdrawal>>) -> Result<Value> {
        let requests = self.working.end(&self.rules, &self.env)?;
        let mut header = self.header;
        header.requests_hash = requests.as_deref().map(requests_hash);
        header.logs_bloom = self.receipts.iter().fold(Bloom::ZERO, |all, receipt| all | *receipt.logs_bloom());
        header.transactions_root = calculate_transaction_root(&self.transactions);
        header.receipts_root = calculate_receipt_root(&self.receipts);
        if self.rules.since(SpecId::CANCUN) {
            header.blob_gas_used = Some(self.transactions.iter().filter_map(Transaction::blob_gas_used).sum());
        }
        let withdrawals = self.rules.since(SpecId::SHANGHAI).then(|| withdrawals.unwrap_or_default());
        header.withdrawals_root = withdrawals.as_deref().map(calculate_withdrawals_root);
        let body =
            BlockBody { transactions: self.transactions, ommers: Vec::new(), withdrawals: withdrawals.map(Into::into) };
        let mut block = Block { header, body };
        self.working.reward(&self.rules, &block)?;
        block.header.state_root = self.working.root()?;
        Ok(json!({
            "executionPayload": payload(&block),
            "blockValue": quantity(self.value),
            "blobsBundle": {"commitments": [], "proofs": [], "blobs": []},
            "executionRequests": requests.unwrap_or_default(),
            "shouldOverrideBuilder": false,
        }))
    }
}

/// Source: engine API, `ExecutionPayloadV3`.
fn payload(block: &Block) -> Value {
    let header = &block.header;
    let whole = shown::block(block, header.hash_slow(), Vec::new());
    json!({
        "parentHash": header.parent_hash,
        "feeRecipient": shown::lower(header.beneficiary),
        "stateRoot": header.state_root,
        "receiptsRoot": header.receipts_root,
        "logsBloom": header.logs_bloom,
        "prevRandao": header.mix_hash,
        "blockNumber": quantity(header.number),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": header.extra_data,
        "baseFeePerGas": quantity(header.base_fee_per_gas.unwrap_or_default()),
        "blockHash": header.hash_slow(),
        "transactions":
            block.body.transactions.iter().map(|one| Bytes::from(one.encoded_2718())).collect::<Vec<_>>(),
        "withdrawals": whole.get("withdrawals"),
        "blobGasUsed": header.blob_gas_used.map(quantity),
        "excessBlobGas": header.excess_blob_gas.map(quantity),
    })
}

/// A step towards the ceiling. Source: go-ethereum `core/block_validator.go` (`CalcGasLimit`).
fn next_gas_limit(parent: u64) -> u64 {
    let step = (parent / 1024).saturating_sub(1);
    if parent < GAS_CEILING { (parent + step).min(GAS_CEILING) } else { parent.saturating_sub(step).max(GAS_CEILING) }
}
