//! Blocks, transactions and receipts as go-ethereum shows them in JSON.

use alloy_consensus::{Eip658Value, Header, Transaction, Typed2718};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, U256, hex};
use alloy_rlp::Encodable;
use serde_json::{Map, Value, json};

use crate::{
    chain::Imported,
    header::base_fee,
    ledger::{Block, Envelope},
};

/// A number as JSON-RPC writes it.
pub fn quantity(number: impl TryInto<U256>) -> Value {
    Value::String(format!("{:#x}", number.try_into().unwrap_or_default()))
}

/// A block without its transactions.
pub fn header(header: &Header, hash: B256, size: usize) -> Map<String, Value> {
    let mut shown = Map::new();
    let mut show = |name: &str, value: Value| {
        shown.insert(name.into(), value);
    };
    show("difficulty", quantity(header.difficulty));
    show("extraData", json!(header.extra_data));
    show("gasLimit", quantity(header.gas_limit));
    show("gasUsed", quantity(header.gas_used));
    show("hash", json!(hash));
    show("logsBloom", json!(header.logs_bloom));
    show("miner", lower(header.beneficiary));
    show("mixHash", json!(header.mix_hash));
    show("nonce", json!(header.nonce));
    show("number", quantity(header.number));
    show("parentHash", json!(header.parent_hash));
    show("receiptsRoot", json!(header.receipts_root));
    show("sha3Uncles", json!(header.ommers_hash));
    show("size", quantity(size as u64));
    show("stateRoot", json!(header.state_root));
    show("timestamp", quantity(header.timestamp));
    show("transactionsRoot", json!(header.transactions_root));
    let numbers = [
        ("baseFeePerGas", header.base_fee_per_gas),
        ("blobGasUsed", header.blob_gas_used),
        ("excessBlobGas", header.excess_blob_gas),
    ];
    for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
        show(name, quantity(number));
    }
    let hashes = [
        ("withdrawalsRoot", header.withdrawals_root),
        ("parentBeaconBlockRoot", header.parent_beacon_block_root),
        ("requestsHash", header.requests_hash),
    ];
    for (name, hash) in hashes.into_iter().filter_map(|(name, hash)| Some((name, hash?))) {
        show(name, json!(hash));
    }
    shown
}

/// A block with its transactions or their hashes.
pub fn block(block: &Block, hash: B256, transactions: Vec<Value>) -> Map<String, Value> {
    let mut shown = header(&block.header, hash, block.length());
    shown.insert("transactions".into(), transactions.into());
    shown.insert("uncles".into(), block.body.ommers.iter().map(|ommer| json!(ommer.hash_slow())).collect());
    if let Some(withdrawals) = &block.body.withdrawals {
        let show = |one: &alloy_eips::eip4895::Withdrawal| {
            json!({
                "index": quantity(one.index),
                "validatorIndex": quantity(one.validator_index),
                "address": lower(one.address),
                "amount": quantity(one.amount),
            })
        };
        shown.insert("withdrawals".into(), withdrawals.iter().map(show).collect());
    }
    shown
}

/// Where a transaction stands.
#[derive(Clone, Copy)]
pub struct Place<'b> {
    /// Of its block.
    pub hash: B256,
    /// Of its block.
    pub header: &'b Header,
    /// In its block, from 0.
    pub index: usize,
}

/// A transaction in its block, or, where there is no place, in a pool.
pub fn transaction(envelope: &Envelope, sender: Address, place: Option<Place<'_>>) -> Value {
    let base_fee = place.and_then(|place| place.header.base_fee_per_gas);
    let kind = envelope.ty();
    let signature = envelope.signature();
    let mut shown = json!({
        "blockHash": place.map(|place| place.hash),
        "blockNumber": place.map(|place| quantity(place.header.number)),
        "blockTimestamp": place.map(|place| quantity(place.header.timestamp)),
        "from": lower(sender),
        "gas": quantity(envelope.gas_limit()),
        "gasPrice": quantity(envelope.effective_gas_price(base_fee)),
        "hash": envelope.tx_hash(),
        "input": envelope.input(),
        "nonce": quantity(envelope.nonce()),
        "to": envelope.to().map(lower),
        "transactionIndex": place.map(|place| quantity(place.index as u64)),
        "value": quantity(envelope.value()),
        "type": quantity(kind),
        "r": quantity(signature.r()),
        "s": quantity(signature.s()),
    });
    let mut show = |name: &str, value: Value| {
        shown[name] = value;
    };
    if kind == 0 {
        let parity = u64::from(signature.v());
        show("v", quantity(envelope.chain_id().map_or(27 + parity, |chain| 35 + 2 * chain + parity)));
        if let Some(chain) = envelope.chain_id() {
            show("chainId", quantity(chain));
        }
        return shown;
    }
    show("v", quantity(u64::from(signature.v())));
    show("yParity", quantity(u64::from(signature.v())));
    show("chainId", quantity(envelope.chain_id().unwrap_or_default()));
    show("accessList", envelope.access_list().map_or(json!([]), access_list));
    if let Some(tip) = envelope.max_priority_fee_per_gas() {
        show("maxPriorityFeePerGas", quantity(tip));
        show("maxFeePerGas", quantity(envelope.max_fee_per_gas()));
    }
    if let (Some(fee), Some(hashes)) = (envelope.max_fee_per_blob_gas(), envelope.blob_versioned_hashes()) {
        show("maxFeePerBlobGas", quantity(fee));
        show("blobVersionedHashes", json!(hashes));
    }
    if let Some(list) = envelope.authorization_list() {
        let authorization = |one: &alloy_eips::eip7702::SignedAuthorization| {
            json!({
                "chainId": quantity(*one.chain_id()),
                "address": lower(*one.address()),
                "nonce": quantity(one.nonce()),
                "yParity": quantity(one.y_parity()),
                "r": quantity(one.r()),
                "s": quantity(one.s()),
            })
        };
        show("authorizationList", list.iter().map(authorization).collect());
    }
    shown
}

/// An access list (EIP-2930).
pub fn access_list(list: &alloy_eips::eip2930::AccessList) -> Value {
    list.iter().map(|item| json!({"address": lower(item.address), "storageKeys": item.storage_keys})).collect()
}

/// A receipt of a block's transaction, whose logs begin at `first_log`.
pub fn receipt(imported: &Imported, index: usize, first_log: usize) -> Value {
    let (envelope, executed) = (&imported.block.body.transactions[index], &imported.executed[index]);
    let header = &imported.block.header;
    let receipt = &executed.receipt;
    let created = envelope.kind().is_create().then(|| executed.sender.create(envelope.nonce()));
    let logs = receipt.logs().iter().enumerate();
    let place = Place { hash: imported.hash, header, index };
    let mut shown = json!({
        "blockHash": imported.hash,
        "blockNumber": quantity(header.number),
        "contractAddress": created.map(lower),
        "cumulativeGasUsed": quantity(receipt.cumulative_gas_used()),
        "effectiveGasPrice": quantity(envelope.effective_gas_price(header.base_fee_per_gas)),
        "from": lower(executed.sender),
        "gasUsed": quantity(executed.gas_used),
        "logs": logs.map(|(at, one)| log(one, place, *envelope.tx_hash(), first_log + at)).collect::<Vec<_>>(),
        "logsBloom": receipt.logs_bloom(),
        "to": envelope.to().map(lower),
        "transactionHash": envelope.tx_hash(),
        "transactionIndex": quantity(index as u64),
        "type": quantity(envelope.ty()),
    });
    match receipt.as_receipt().map(|receipt| receipt.status) {
        Some(Eip658Value::PostState(root)) => shown["root"] = json!(root),
        Some(Eip658Value::Eip658(is_success)) => shown["status"] = quantity(u8::from(is_success)),
        None => {}
    }
    if let Some(gas) = envelope.blob_gas_used() {
        shown["blobGasUsed"] = quantity(gas);
        let price = imported.rules.blobs.and_then(|blobs| header.blob_fee(blobs)).unwrap_or_default();
        shown["blobGasPrice"] = quantity(price);
    }
    shown
}

/// A log.
pub fn log(log: &Log, place: Place<'_>, transaction: B256, index: usize) -> Value {
    json!({
        "address": lower(log.address),
        "topics": log.topics(),
        "data": log.data.data,
        "blockNumber": quantity(place.header.number),
        "transactionHash": transaction,
        "transactionIndex": quantity(place.index as u64),
        "blockHash": place.hash,
        "blockTimestamp": quantity(place.header.timestamp),
        "logIndex": quantity(index as u64),
        "removed": false,
    })
}

/// Prices of a block, and of the one after it under the same rules [wei/gas].
struct Fees {
    next_base: Option<u64>,
    blob: Option<u128>,
    next_blob: Option<u128>,
}

impl Fees {
    fn of(imported: &Imported) -> Self {
        let (rules, header) = (&imported.rules, &imported.block.header);
        let blobs = rules.blobs;
        Self {
            next_base: base_fee(rules, header),
            blob: blobs.and_then(|blobs| header.blob_fee(blobs)),
            next_blob: blobs.and_then(|blobs| header.next_block_blob_fee(blobs)),
        }
    }
}

/// All of a block that an index needs: `block` with full transactions, `receipts`, `outputs`, `raw` bytes, and what
/// the block after it begins with.
pub fn whole(imported: &Imported) -> Value {
    let Imported { block: own, hash, executed, .. } = imported;
    let fees = Fees::of(imported);
    let place = |index| Place { hash: *hash, header: &own.header, index };
    let envelopes = own.body.transactions.iter().zip(executed).enumerate();
    let transactions = envelopes.map(|(index, (one, executed))| transaction(one, executed.sender, Some(place(index))));
    let mut first_log = 0;
    let receipts = (0..executed.len()).map(|index| {
        let shown = receipt(imported, index, first_log);
        first_log += executed[index].receipt.logs().len();
        shown
    });
    let (transactions, receipts): (Vec<_>, Vec<_>) = (transactions.collect(), receipts.collect());
    json!({
        "block": block(own, *hash, transactions),
        "receipts": receipts,
        "ommers": own.body.ommers.iter().map(|one| header(one, one.hash_slow(), 0)).collect::<Vec<_>>(),
        "outputs": executed.iter().map(|one| &one.output).collect::<Vec<_>>(),
        "raw": {
            "header": hex::encode_prefixed(alloy_rlp::encode(&own.header)),
            "block": hex::encode_prefixed(alloy_rlp::encode(own)),
            "transactions": own.body.transactions.iter().map(|one| Bytes::from(one.encoded_2718())).collect::<Vec<_>>(),
            "receipts": executed.iter().map(|one| Bytes::from(one.receipt.encoded_2718())).collect::<Vec<_>>(),
        },
        "nextBaseFee": fees.next_base.map(quantity),
        "blobFee": fees.blob.map(quantity),
        "nextBlobFee": fees.next_blob.map(quantity),
        "maxBlobs": imported.rules.blobs.map_or(0, |blobs| blobs.max_blob_count),
    })
}

/// An address without the mixed case of EIP-55.
pub fn lower(address: Address) -> Value {
    Value::String(hex::encode_prefixed(address))
}
