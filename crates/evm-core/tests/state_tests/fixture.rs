//! Fixtures: what of their JSON becomes which of revm's types.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use revm::{
    context::{BlockEnv, CfgEnv, TxEnv, either::Either},
    context_interface::{
        block::BlobExcessGasAndPrice,
        transaction::{AccessList, AccessListItem, Authorization, SignedAuthorization},
    },
    primitives::hardfork::SpecId,
};
use serde_json::Value;

use crate::support::account_from;

/// A value that no Ethereum type can hold, as some transactions have on purpose.
#[derive(Debug)]
pub struct Inexpressible;

pub fn number(value: &Value) -> Result<U256, Inexpressible> {
    match value {
        Value::String(text) => match text.strip_prefix("0x") {
            Some("") => Ok(U256::ZERO),
            Some(digits) => U256::from_str_radix(digits, 16).map_err(|_| Inexpressible),
            None => U256::from_str_radix(text, 10).map_err(|_| Inexpressible),
        },
        Value::Number(number) => number.as_u64().map(U256::from).ok_or(Inexpressible),
        Value::Null => Ok(U256::ZERO),
        _ => Err(Inexpressible),
    }
}

pub fn small(value: &Value) -> Result<u64, Inexpressible> {
    number(value)?.try_into().map_err(|_| Inexpressible)
}

pub fn bytes(value: &Value) -> Result<Bytes, Inexpressible> {
    Ok(hex::decode(value.as_str().ok_or(Inexpressible)?).map_err(|_| Inexpressible)?.into())
}

fn address(value: &Value) -> Result<Address, Inexpressible> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or(Inexpressible)
}

pub fn word(number: U256) -> B256 {
    B256::from(number.to_be_bytes::<32>())
}

fn list(value: &Value) -> Result<&Vec<Value>, Inexpressible> {
    value.as_array().ok_or(Inexpressible)
}

pub fn fork(name: &str) -> Option<SpecId> {
    Some(match name {
        "Frontier" => SpecId::FRONTIER,
        "Homestead" => SpecId::HOMESTEAD,
        "EIP150" | "TangerineWhistle" => SpecId::TANGERINE,
        "EIP158" | "SpuriousDragon" => SpecId::SPURIOUS_DRAGON,
        "Byzantium" => SpecId::BYZANTIUM,
        // revm has no rules for the days before EIP-1283 was taken back; no case here is about it.
        "Constantinople" | "ConstantinopleFix" => SpecId::PETERSBURG,
        "Istanbul" => SpecId::ISTANBUL,
        "Berlin" => SpecId::BERLIN,
        "London" => SpecId::LONDON,
        "Paris" => SpecId::MERGE,
        "Shanghai" => SpecId::SHANGHAI,
        "Cancun" => SpecId::CANCUN,
        "Prague" => SpecId::PRAGUE,
        "Osaka" => SpecId::OSAKA,
        _ => return None,
    })
}

/// Rules of the chain; `config` may say how many blobs a fork has.
pub fn configuration(config: &Value, fork_name: &str, fork: SpecId) -> Result<CfgEnv, Inexpressible> {
    let mut cfg = CfgEnv::new_with_spec(fork);
    cfg.chain_id = if config["chainid"].is_null() { 1 } else { small(&config["chainid"])? };
    let schedule = &config["blobSchedule"][fork_name];
    if !schedule.is_null() {
        cfg.set_max_blobs_per_tx(small(&schedule["max"])?);
        cfg.blob_base_fee_update_fraction = Some(small(&schedule["baseFeeUpdateFraction"])?);
    } else if fork.is_enabled_in(SpecId::CANCUN) {
        cfg.set_max_blobs_per_tx(if fork.is_enabled_in(SpecId::PRAGUE) { 9 } else { 6 });
    }
    if fork.is_enabled_in(SpecId::OSAKA) {
        cfg.set_max_blobs_per_tx(6); // EIP-7594
    }
    Ok(cfg)
}

pub fn block(env: &Value, cfg: &CfgEnv) -> Result<BlockEnv, Inexpressible> {
    let random = number(&env["currentRandom"])?;
    let mut block = BlockEnv {
        number: number(&env["currentNumber"])?,
        beneficiary: address(&env["currentCoinbase"])?,
        timestamp: number(&env["currentTimestamp"])?,
        gas_limit: small(&env["currentGasLimit"])?,
        basefee: small(&env["currentBaseFee"])?,
        difficulty: number(&env["currentDifficulty"])?,
        prevrandao: cfg.spec.is_enabled_in(SpecId::MERGE).then(|| word(random)),
        ..Default::default()
    };
    let excess = small(&env["currentExcessBlobGas"])?;
    block.blob_excess_gas_and_price = cfg
        .spec
        .is_enabled_in(SpecId::CANCUN)
        .then(|| BlobExcessGasAndPrice::new(excess, cfg.blob_base_fee_update_fraction()));
    Ok(block)
}

fn sender(transaction: &Value) -> Result<Address, Inexpressible> {
    match &transaction["sender"] {
        Value::Null => {
            let secret = bytes(&transaction["secretKey"])?;
            Ok(account_from(secret.as_ref().try_into().map_err(|_| Inexpressible)?).address)
        }
        sender => address(sender),
    }
}

fn access_list(list: &[Value]) -> Result<AccessList, Inexpressible> {
    let item = |item: &Value| {
        let slots = self::list(&item["storageKeys"])?.iter().map(|slot| Ok(word(number(slot)?)));
        Ok(AccessListItem { address: address(&item["address"])?, storage_keys: slots.collect::<Result<_, _>>()? })
    };
    Ok(AccessList(list.iter().map(item).collect::<Result<_, _>>()?))
}

fn authorization(
    item: &Value,
) -> Result<Either<SignedAuthorization, revm::context_interface::transaction::RecoveredAuthorization>, Inexpressible> {
    let inner = Authorization {
        chain_id: number(&item["chainId"])?,
        address: address(&item["address"])?,
        nonce: small(&item["nonce"])?,
    };
    let parity = item.get("yParity").unwrap_or(&item["v"]);
    let parity = u8::try_from(number(parity)?).unwrap_or(u8::MAX);
    Ok(Either::Left(SignedAuthorization::new_unchecked(inner, parity, number(&item["r"])?, number(&item["s"])?)))
}

/// The transaction of one variant.
pub fn transaction(transaction: &Value, indexes: &Value, chain_id: u64) -> Result<TxEnv, Inexpressible> {
    let at = |name: &str| {
        let index = indexes[name].as_u64().and_then(|index| usize::try_from(index).ok()).ok_or(Inexpressible)?;
        Ok(index)
    };
    let accesses = transaction["accessLists"].get(at("data")?).filter(|list| !list.is_null());
    let has_fees = transaction.get("maxFeePerGas").is_some();
    let blobs = transaction.get("blobVersionedHashes").map(list).transpose()?;
    let authorizations = transaction.get("authorizationList").map(list).transpose()?;
    let tx_type = if authorizations.is_some() {
        4
    } else if blobs.is_some() || transaction.get("maxFeePerBlobGas").is_some() {
        3
    } else if has_fees {
        2
    } else {
        u8::from(accesses.is_some())
    };
    let to = transaction["to"].as_str().filter(|to| !to.is_empty());
    if tx_type >= 3 && to.is_none() {
        return Err(Inexpressible); // RLP has no such transaction
    }
    let price = if has_fees { &transaction["maxFeePerGas"] } else { &transaction["gasPrice"] };
    let tip = has_fees.then(|| number(&transaction["maxPriorityFeePerGas"])).transpose()?;
    let hashes = blobs.into_iter().flatten().map(|hash| Ok(word(number(hash)?)));
    Ok(TxEnv {
        tx_type,
        caller: sender(transaction)?,
        gas_limit: small(&transaction["gasLimit"][at("gas")?])?,
        gas_price: number(price)?.saturating_to(),
        kind: match to {
            Some(to) => TxKind::Call(to.parse().map_err(|_| Inexpressible)?),
            None => TxKind::Create,
        },
        value: number(&transaction["value"][at("value")?])?,
        data: bytes(&transaction["data"][at("data")?])?,
        nonce: small(&transaction["nonce"])?,
        chain_id: Some(if transaction["chainId"].is_null() { chain_id } else { small(&transaction["chainId"])? }),
        access_list: accesses.map(list).transpose()?.map(|list| access_list(list)).transpose()?.unwrap_or_default(),
        gas_priority_fee: tip.map(|tip| tip.saturating_to()),
        blob_hashes: hashes.collect::<Result<_, _>>()?,
        max_fee_per_blob_gas: number(&transaction["maxFeePerBlobGas"])?.saturating_to(),
        authorization_list: authorizations.into_iter().flatten().map(authorization).collect::<Result<_, _>>()?,
    })
}
