//! Ethereum's state tests over our state: every case runs in the clear and with encrypted storage, and both
//! must end in the root that Ethereum's own trie gives. So neither revm nor the encryption changes meaning.
//!
//! The fixtures are not part of the repository: `QANAT_TEST_DATA` or `../shared/data` must hold
//! `evm/*.tar.xz` (GeneralStateTests of ethereum/tests, state_tests of EEST 5.4). Without them the test
//! says so and passes. `QANAT_STATE_TEST_STRIDE=1` runs every file instead of each 40th.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, TxKind, U256, keccak256, map::HashMap};
use alloy_trie::{TrieAccount, root};
use evm_core::{code_cache::CodeCache, contract_keys::KeyRing, database::StateDatabase};
use revm::{
    Context, Database, ExecuteEvm, MainBuilder, MainContext,
    bytecode::Bytecode,
    context::{BlockEnv, CfgEnv, TxEnv, either::Either, result::ExecutionResult},
    context_interface::block::BlobExcessGasAndPrice,
    context_interface::transaction::{AccessList, AccessListItem, Authorization, SignedAuthorization},
    primitives::hardfork::SpecId,
    state::{Account, AccountInfo, EvmState, EvmStorageSlot, TransactionId},
};
use serde_json::Value;
use state_core::store::Store;
use support::{TestKeys, account_from};

/// Files that revm's own runner leaves out: states no chain can reach, values beyond 256 bits, and slow loops.
const SKIPPED: &[&str] = &[
    "ValueOverflow.json",
    "ValueOverflowParis.json",
    "Call50000_sha256.json",
    "static_Call50000_sha256.json",
    "loopMul.json",
    "CALLBlake2f_MaxRounds.json",
    "RevertInCreateInInit.json",
    "RevertInCreateInInit_Paris.json",
    "RevertInCreateInInitCreate2.json",
    "RevertInCreateInInitCreate2Paris.json",
    "create2collisionStorage.json",
    "create2collisionStorageParis.json",
    "dynamicAccountOverwriteEmpty.json",
    "dynamicAccountOverwriteEmpty_Paris.json",
    "InitCollision.json",
    "InitCollisionParis.json",
    "HighGasPrice.json",
    "HighGasPriceParis.json",
    "CreateTransactionHighNonce.json",
    "test_init_collision_create_opcode.json",
    "test_init_collision_create_tx.json",
    "test_init_collision_create2_opcode.json",
];

fn spec(fork: &str) -> Option<SpecId> {
    Some(match fork {
        "Frontier" => SpecId::FRONTIER,
        "Homestead" => SpecId::HOMESTEAD,
        "EIP150" | "TangerineWhistle" => SpecId::TANGERINE,
        "EIP158" | "SpuriousDragon" => SpecId::SPURIOUS_DRAGON,
        "Byzantium" => SpecId::BYZANTIUM,
        "ConstantinopleFix" => SpecId::PETERSBURG,
        "Istanbul" => SpecId::ISTANBUL,
        "Berlin" => SpecId::BERLIN,
        "London" => SpecId::LONDON,
        "Paris" | "Merge" => SpecId::MERGE,
        "Shanghai" => SpecId::SHANGHAI,
        "Cancun" => SpecId::CANCUN,
        "Prague" => SpecId::PRAGUE,
        "Osaka" => SpecId::OSAKA,
        _ => return None,
    })
}

fn number(value: &Value) -> U256 {
    match value {
        Value::String(text) => match text.strip_prefix("0x") {
            Some("") => U256::ZERO,
            Some(digits) => U256::from_str_radix(digits, 16).unwrap(),
            None => U256::from_str_radix(text, 10).unwrap(),
        },
        Value::Number(number) => U256::from(number.as_u64().unwrap()),
        Value::Null => U256::ZERO,
        other => panic!("{other}"),
    }
}

fn bytes(value: &Value) -> Bytes {
    alloy_primitives::hex::decode(value.as_str().unwrap()).unwrap().into()
}

fn address(value: &str) -> Address {
    value.parse().unwrap()
}

fn small(value: &Value) -> u64 {
    number(value).saturating_to()
}

fn word(number: U256) -> B256 {
    B256::from(number.to_be_bytes::<32>())
}

/// Slots by account, and the accounts that exist before the transaction.
struct Pre {
    accounts: BTreeMap<Address, AccountInfo>,
    storage: BTreeMap<Address, BTreeMap<U256, U256>>,
}

impl Pre {
    fn read(pre: &Value) -> Self {
        let mut read = Self { accounts: BTreeMap::new(), storage: BTreeMap::new() };
        for (name, account) in pre.as_object().unwrap() {
            let code = Bytecode::new_raw(bytes(&account["code"]));
            let info = AccountInfo::new(number(&account["balance"]), small(&account["nonce"]), code.hash_slow(), code);
            read.accounts.insert(address(name), info);
            let slots = account["storage"].as_object().unwrap().iter();
            read.storage.insert(
                address(name),
                slots.map(|(slot, value)| (number(&Value::String(slot.clone())), number(value))).collect(),
            );
        }
        read
    }

    fn state(&self) -> EvmState {
        let mut state = EvmState::default();
        for (address, info) in &self.accounts {
            let mut account = Account::from(info.clone());
            account.mark_touch();
            for (slot, value) in &self.storage[address] {
                let changed = EvmStorageSlot::new_changed(U256::ZERO, *value, TransactionId::ZERO);
                account.storage.insert(*slot, changed);
            }
            state.insert(*address, account);
        }
        state
    }
}

fn block(env: &Value, spec: SpecId, cfg: &CfgEnv) -> BlockEnv {
    let mut block = BlockEnv {
        number: number(&env["currentNumber"]),
        beneficiary: address(env["currentCoinbase"].as_str().unwrap()),
        timestamp: number(&env["currentTimestamp"]),
        gas_limit: small(&env["currentGasLimit"]),
        basefee: small(&env["currentBaseFee"]),
        difficulty: number(&env["currentDifficulty"]),
        prevrandao: spec.is_enabled_in(SpecId::MERGE).then(|| word(number(&env["currentRandom"]))),
        ..Default::default()
    };
    block.blob_excess_gas_and_price = spec
        .is_enabled_in(SpecId::CANCUN)
        .then(|| BlobExcessGasAndPrice::new(small(&env["currentExcessBlobGas"]), cfg.blob_base_fee_update_fraction()));
    block
}

fn sender(transaction: &Value) -> Address {
    match transaction["sender"].as_str() {
        Some(sender) => address(sender),
        None => account_from(bytes(&transaction["secretKey"]).as_ref().try_into().unwrap()).address,
    }
}

/// None when the transaction of this variant cannot even be expressed.
fn transaction(transaction: &Value, indexes: &Value) -> Option<TxEnv> {
    let at = |name: &str| usize::try_from(indexes[name].as_u64().unwrap()).unwrap();
    let list = transaction["accessLists"].get(at("data")).filter(|list| !list.is_null());
    let access_list = list.map(|list| {
        let items = list.as_array().unwrap().iter().map(|item| AccessListItem {
            address: address(item["address"].as_str().unwrap()),
            storage_keys: item["storageKeys"].as_array().unwrap().iter().map(|slot| word(number(slot))).collect(),
        });
        AccessList(items.collect())
    });
    let fees = transaction.get("maxFeePerGas").is_some();
    let blobs = transaction
        .get("blobVersionedHashes")
        .map(|hashes| hashes.as_array().unwrap().iter().map(|hash| word(number(hash))).collect::<Vec<_>>());
    let authorizations = transaction.get("authorizationList").map(|list| {
        let item = |item: &Value| {
            let inner = Authorization {
                chain_id: number(&item["chainId"]),
                address: address(item["address"].as_str().unwrap()),
                nonce: small(&item["nonce"]),
            };
            let parity = item.get("yParity").unwrap_or(&item["v"]);
            let parity = u8::try_from(number(parity)).unwrap_or(u8::MAX);
            Either::Left(SignedAuthorization::new_unchecked(inner, parity, number(&item["r"]), number(&item["s"])))
        };
        list.as_array().unwrap().iter().map(item).collect::<Vec<_>>()
    });
    let tx_type = if authorizations.is_some() {
        4
    } else if blobs.is_some() || transaction.get("maxFeePerBlobGas").is_some() {
        3
    } else if fees {
        2
    } else {
        u8::from(access_list.is_some())
    };
    let price = if fees { &transaction["maxFeePerGas"] } else { &transaction["gasPrice"] };
    let to = transaction["to"].as_str().filter(|to| !to.is_empty());
    if tx_type >= 3 && to.is_none() {
        return None; // RLP has no such transaction, and it must be refused
    }
    Some(TxEnv {
        tx_type,
        caller: sender(transaction),
        gas_limit: small(&transaction["gasLimit"][at("gas")]),
        gas_price: number(price).saturating_to(),
        kind: to.map_or(TxKind::Create, |to| TxKind::Call(address(to))),
        value: number(&transaction["value"][at("value")]),
        data: bytes(&transaction["data"][at("data")]),
        nonce: small(&transaction["nonce"]),
        chain_id: Some(1),
        access_list: access_list.unwrap_or_default(),
        gas_priority_fee: fees.then(|| number(&transaction["maxPriorityFeePerGas"]).saturating_to()),
        blob_hashes: blobs.unwrap_or_default(),
        max_fee_per_blob_gas: number(&transaction["maxFeePerBlobGas"]).saturating_to(),
        authorization_list: authorizations.unwrap_or_default(),
    })
}

/// Root and logs hash after one variant, through the tree and back.
fn run(pre: &Pre, env: &Value, tx: TxEnv, spec: SpecId, keys: Option<&KeyRing>) -> (B256, B256, bool) {
    let (store, codes) = (Store::memory().unwrap(), CodeCache::default());
    let open = |version| {
        let snapshot = Arc::new(store.snapshot(version).unwrap());
        StateDatabase::new(snapshot, keys, &codes, (u64::MAX, B256::ZERO))
    };
    let commit = |database: StateDatabase<'_>, version| {
        let staged = store.stage(version - 1, &database.into_changes(version).unwrap()).unwrap();
        store.persist(&staged, version).unwrap();
    };
    let mut database = open(0);
    database.apply(pre.state()).unwrap();
    commit(database, 1);

    let mut cfg = CfgEnv::new_with_spec(spec);
    cfg.chain_id = 1;
    if spec.is_enabled_in(SpecId::CANCUN) {
        let blobs = if spec == SpecId::PRAGUE { 9 } else { 6 };
        cfg.set_max_blobs_per_tx(blobs);
    }
    let mut database = open(1);
    let block = block(env, spec, &cfg);
    let mut evm = Context::mainnet().with_db(&mut database).with_cfg(cfg).with_block(block).build_mainnet();
    let outcome = evm.transact(tx);
    drop(evm);
    let mut addresses: BTreeSet<Address> = pre.accounts.keys().copied().collect();
    let mut slots: BTreeMap<Address, BTreeSet<U256>> =
        pre.storage.iter().map(|(address, slots)| (*address, slots.keys().copied().collect())).collect();
    let (mut logs, ok) = (Vec::new(), outcome.is_ok());
    if let Ok(outcome) = outcome {
        let mut state = outcome.state;
        for (address, account) in &mut state {
            addresses.insert(*address);
            slots.entry(*address).or_default().extend(account.storage.keys());
            // Our chain forbids SELFDESTRUCT, so its effect on storage is made here.
            if account.is_selfdestructed() {
                account.info = AccountInfo::default();
                account.storage = slots[address]
                    .iter()
                    .map(|slot| {
                        let before = pre.storage.get(address).and_then(|slots| slots.get(slot));
                        let before = before.copied().unwrap_or(U256::MAX);
                        (*slot, EvmStorageSlot::new_changed(before, U256::ZERO, TransactionId::ZERO))
                    })
                    .collect();
            }
        }
        database.apply(state).unwrap();
        if let ExecutionResult::Success { logs: emitted, .. } = outcome.result {
            logs = emitted;
        }
    }
    commit(database, 2);

    let mut database = open(2);
    let mut accounts: HashMap<Address, TrieAccount> = HashMap::default();
    for address in addresses {
        let Some(info) = database.basic(address).unwrap() else { continue };
        let mut storage = Vec::new();
        for slot in slots.get(&address).into_iter().flatten() {
            let value = database.storage(address, *slot).unwrap();
            if !value.is_zero() {
                storage.push((word(*slot), value));
            }
        }
        let code_hash = if info.code_hash.is_zero() { KECCAK256_EMPTY } else { info.code_hash };
        let storage_root = root::storage_root_unhashed(storage);
        let account = TrieAccount { nonce: info.nonce, balance: info.balance, storage_root, code_hash };
        accounts.insert(address, account);
    }
    let mut encoded = Vec::new();
    alloy_rlp::encode_list(&logs, &mut encoded);
    (root::state_root_unhashed(accounts), keccak256(encoded), ok)
}

fn run_file(path: &Path, keys: &KeyRing, tally: &mut [usize; 2], failures: &mut Vec<String>) {
    let text = std::fs::read(path).unwrap();
    if text.starts_with(b"version https://git-lfs") {
        return; // one file of the archive is a pointer to a file that was not packed
    }
    let suite: Value = serde_json::from_slice(&text).unwrap();
    for (name, test) in suite.as_object().unwrap() {
        let pre = Pre::read(&test["pre"]);
        for (fork, variants) in test["post"].as_object().unwrap() {
            let Some(spec) = spec(fork) else { continue };
            // Before EIP-161 empty accounts could exist; our state has no place for them.
            if !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) {
                continue;
            }
            for (index, variant) in variants.as_array().unwrap().iter().enumerate() {
                for keys in [None, Some(keys)] {
                    let Some(tx) = transaction(&test["transaction"], &variant["indexes"]) else { continue };
                    let (root, logs, ok) = run(&pre, &test["env"], tx, spec, keys);
                    tally[usize::from(keys.is_some())] += 1;
                    let refused = variant.get("expectException").is_some_and(|text| !text.is_null());
                    let expected = (word(number(&variant["hash"])), word(number(&variant["logs"])), !refused);
                    if (root, logs, ok) != expected {
                        let how = if keys.is_some() { "encrypted" } else { "plain" };
                        failures.push(format!("{}: {name} {fork}[{index}] {how}: {root} {ok}", path.display()));
                    }
                }
            }
        }
    }
}

fn json_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            json_files(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "json") {
            files.push(entry);
        }
    }
}

#[test]
fn ethereum_state_tests_end_in_the_same_root_plain_and_encrypted() {
    let data = std::env::var_os("QANAT_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let archives = ["GeneralStateTests", "eest-v5.4.0-state"].map(|name| data.join(format!("evm/{name}.tar.xz")));
    if archives.iter().any(|archive| !archive.exists()) {
        eprintln!("skipped: no state tests in {} (set QANAT_TEST_DATA)", data.display());
        return;
    }
    let stride = std::env::var("QANAT_STATE_TEST_STRIDE").map_or(40, |stride| stride.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    for archive in &archives {
        let status = Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(folder.path()).status().unwrap();
        assert!(status.success(), "cannot unpack {}", archive.display());
    }
    let mut files = Vec::new();
    json_files(folder.path(), &mut files);
    files.retain(|file| !SKIPPED.iter().any(|skipped| file.ends_with(skipped)));
    let (keys, mut tally, mut failures) = (KeyRing::new(Box::new(TestKeys)), [0, 0], Vec::new());
    for file in files.iter().step_by(stride) {
        run_file(file, &keys, &mut tally, &mut failures);
    }
    eprintln!("{} cases in the clear, {} encrypted, {} failures", tally[0], tally[1], failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
