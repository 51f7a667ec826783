//! A small chain for the engine's tests: funded accounts, signed transactions, hand-assembled contracts.
#![allow(dead_code, missing_docs, reason = "each test file uses a part")]

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEnvelope, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use evm_core::{
    config::ChainConfig,
    contract_keys::StateKeys,
    crypto::x25519_public,
    engine::{Call, Engine, PendingBlock},
    environment::Environment,
    failure::{EngineError, HostError},
    genesis::GenesisAccount,
};
use secp256k1::{Message, SECP256K1, SecretKey};
use state_core::{
    cbor::{self, Value},
    store::Store,
};
use zeroize::Zeroizing;

pub const CHAIN_ID: u64 = 0x5afd;
pub const GWEI: u128 = 1_000_000_000;
pub const ETHER: u128 = GWEI * GWEI;
pub const EPOCH: u64 = 9;

/// An account that can sign.
#[derive(Clone)]
pub struct Account {
    secret: SecretKey,
    pub address: Address,
}

pub fn account(number: u8) -> Account {
    account_from([number; 32])
}

pub fn account_from(secret: [u8; 32]) -> Account {
    let secret = SecretKey::from_byte_array(secret).unwrap();
    let public = secret.public_key(SECP256K1).serialize_uncompressed();
    Account { secret, address: Address::from_slice(&keccak256(&public[1..])[12..]) }
}

impl Account {
    pub fn sign_hash(&self, hash: B256) -> Signature {
        let signature = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), &self.secret);
        let (id, bytes) = signature.serialize_compact();
        Signature::new(U256::from_be_slice(&bytes[..32]), U256::from_be_slice(&bytes[32..]), i32::from(id) == 1)
    }

    pub fn sign<T: SignableTransaction<Signature>>(&self, transaction: T) -> Vec<u8>
    where
        TxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let signature = self.sign_hash(transaction.signature_hash());
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
    }

    /// A legacy transaction at 100 gwei.
    pub fn send(&self, nonce: u64, to: TxKind, value: u128, gas: u64, data: &[u8]) -> Vec<u8> {
        self.sign(TxLegacy {
            chain_id: Some(CHAIN_ID),
            nonce,
            gas_price: 100 * GWEI,
            gas_limit: gas,
            to,
            value: U256::from(value),
            input: Bytes::copy_from_slice(data),
        })
    }

    pub fn call(&self, nonce: u64, to: Address, data: &[u8]) -> Vec<u8> {
        self.send(nonce, TxKind::Call(to), 0, 1_000_000, data)
    }

    pub fn create(&self, nonce: u64, code: &[u8]) -> Vec<u8> {
        self.send(nonce, TxKind::Create, 0, 2_000_000, &deployer(code))
    }

    pub fn dynamic(&self, nonce: u64, to: Address, max_fee: u128, tip: u128) -> Vec<u8> {
        self.sign(TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 30_000,
            max_fee_per_gas: max_fee,
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(to),
            ..Default::default()
        })
    }

    pub fn with_access_list(&self, nonce: u64, to: Address, list: alloy_eips::eip2930::AccessList) -> Vec<u8> {
        self.sign(TxEip2930 {
            chain_id: CHAIN_ID,
            nonce,
            gas_price: 100 * GWEI,
            gas_limit: 60_000,
            to: TxKind::Call(to),
            access_list: list,
            ..Default::default()
        })
    }
}

/// Init code that deploys `code`.
pub fn deployer(code: &[u8]) -> Vec<u8> {
    // PUSH2 length, DUP1, PUSH1 12, PUSH0 (as RETURNDATASIZE), CODECOPY, PUSH0, RETURN
    let length = u16::try_from(code.len()).unwrap().to_be_bytes();
    [&[0x61, length[0], length[1], 0x80, 0x60, 0x0b, 0x5f, 0x39, 0x5f, 0xf3, 0x00], code].concat()
}

/// Storage keys that depend on the contract.
pub struct TestKeys;

impl StateKeys for TestKeys {
    fn state_key(&self, contract: &Address) -> Result<Zeroizing<[u8; 32]>, HostError> {
        Ok(Zeroizing::new(keccak256(contract).0))
    }
}

pub struct Chain {
    pub engine: Engine,
    pub round: u64,
}

pub fn call_secret() -> [u8; 32] {
    [0x77; 32]
}

pub fn environment(round: u64) -> Environment {
    Environment {
        round,
        state_root: None,
        parent_round: round - 1,
        parent_timestamp: 1_700_000_000 + round,
        grandparent_hash: keccak256((round.wrapping_sub(2)).to_be_bytes()),
        epoch: EPOCH,
        call_keys: BTreeMap::from([(EPOCH, Zeroizing::new(call_secret())), (EPOCH - 1, Zeroizing::new([0x78; 32]))]),
        rng_key: Zeroizing::new(keccak256(round.to_be_bytes()).0),
        call_data_public_key: cbor::encode(&Value::Map(vec![(Value::Text("epoch".into()), Value::Unsigned(EPOCH))])),
    }
}

/// Key that every public chain here has: none.
pub fn engine(config: ChainConfig, store: Arc<Store>) -> Engine {
    let keys = config.confidential.then(|| Box::new(TestKeys) as Box<dyn StateKeys>);
    Engine::new(config, store, keys, None).unwrap()
}

impl Chain {
    /// A confidential chain in memory whose accounts 1 to 9 have a million each.
    pub fn new() -> Self {
        Self::with(ChainConfig::new(CHAIN_ID))
    }

    pub fn with(config: ChainConfig) -> Self {
        let engine = engine(config, Arc::new(Store::memory().unwrap()));
        let mut chain = Self { engine, round: 0 };
        let funded = |number| GenesisAccount::funded(account(number).address, U256::from(1_000_000 * ETHER));
        let genesis: Vec<_> = (1..10).map(funded).collect();
        chain.engine.execute(&environment(1), &[], &genesis, true).unwrap().persist().unwrap();
        chain.round = 1;
        chain
    }

    pub fn environment(&self) -> Environment {
        environment(self.round + 1)
    }

    pub fn propose(&self, batch: &[Vec<u8>], strict: bool) -> Result<PendingBlock, EngineError> {
        let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        self.engine.execute(&self.environment(), &batch, &[], strict)
    }

    /// Executes and persists a batch that must be valid; gives the records.
    pub fn run(&mut self, batch: &[Vec<u8>]) -> Vec<Record> {
        let block = self.propose(batch, true).unwrap();
        block.persist().unwrap();
        self.round += 1;
        block.results.iter().map(|record| Record::read(record)).collect()
    }

    /// Deploys code from account 1.
    pub fn deploy(&mut self, code: &[u8]) -> Address {
        let (nonce, _) = self.engine.account(&account(1).address, self.round).unwrap();
        let record = self.run(&[account(1).create(nonce, code)]).remove(0);
        assert_eq!(record.error, None);
        record.contract.unwrap()
    }

    pub fn query(&self, to: Address, data: &[u8]) -> Result<Vec<u8>, EngineError> {
        self.query_with(&Call { data, ..plain(to) })
    }

    pub fn query_with(&self, call: &Call<'_>) -> Result<Vec<u8>, EngineError> {
        self.engine.call(&self.environment(), self.round, call)
    }

    pub fn balance(&self, address: Address) -> U256 {
        self.engine.account(&address, self.round).unwrap().1
    }
}

pub fn plain(to: Address) -> Call<'static> {
    Call {
        caller: account(1).address,
        to: Some(to),
        gas: 30_000_000,
        gas_price: U256::ONE,
        value: U256::ZERO,
        data: &[],
        pretence: None,
    }
}

/// The fields of a record that tests look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub map: BTreeMap<String, Value>,
    pub gas_used: u64,
    pub status: u64,
    pub output: Vec<u8>,
    pub contract: Option<Address>,
    /// Module, code, message.
    pub error: Option<(String, u64, String)>,
}

impl Record {
    pub fn read(record: &[u8]) -> Self {
        let Value::Map(entries) = cbor::decode(record).unwrap() else { panic!("no map") };
        let map: BTreeMap<String, Value> = entries
            .into_iter()
            .map(|(key, value)| match key {
                Value::Text(key) => (key, value),
                other => panic!("key {other:?}"),
            })
            .collect();
        let unsigned = |name: &str| match &map[name] {
            Value::Unsigned(number) => *number,
            other => panic!("{name}: {other:?}"),
        };
        let error = match &map["error"] {
            Value::Null => None,
            Value::Map(entries) => {
                let mut fields: BTreeMap<String, Value> = BTreeMap::new();
                for (key, value) in entries {
                    if let Value::Text(key) = key {
                        fields.insert(key.clone(), value.clone());
                    }
                }
                match (&fields["module"], &fields["code"], &fields["message"]) {
                    (Value::Text(module), Value::Unsigned(code), Value::Text(message)) => {
                        Some((module.clone(), *code, message.clone()))
                    }
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        };
        let bytes = |name: &str| match &map[name] {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Null => Vec::new(),
            other => panic!("{name}: {other:?}"),
        };
        let contract = bytes("contract_address");
        Self {
            gas_used: unsigned("gas_used"),
            status: unsigned("status"),
            output: bytes("output"),
            contract: (!contract.is_empty()).then(|| Address::from_slice(&contract)),
            error,
            map,
        }
    }
}

/// Calldata in an envelope to the test chain, and the key that opens the answer.
pub fn encrypt(calldata: &[u8]) -> (Vec<u8>, [u8; 32]) {
    encrypt_for(calldata, EPOCH, &call_secret())
}

pub fn encrypt_for(calldata: &[u8], epoch: u64, secret: &[u8; 32]) -> (Vec<u8>, [u8; 32]) {
    let client = [0x31; 32];
    let key = evm_core::crypto::mrae_key(&client, &x25519_public(secret));
    let nonce = [5; 15];
    let text = |name: &str| Value::Text(name.into());
    let inner = cbor::encode(&Value::Map(vec![(text("body"), Value::Bytes(calldata.to_vec()))]));
    let body = Value::Map(vec![
        (text("pk"), Value::Bytes(x25519_public(&client).to_vec())),
        (text("data"), Value::Bytes(evm_core::crypto::deoxysii_seal(&key, &nonce, &inner, &[]))),
        (text("epoch"), Value::Unsigned(epoch)),
        (text("nonce"), Value::Bytes(nonce.to_vec())),
    ]);
    (cbor::encode(&Value::Map(vec![(text("body"), body), (text("format"), Value::Unsigned(1))])), key)
}

/// Opens `{ok: {data, nonce}}`; gives the nonce and the return data.
pub fn open_result(key: &[u8; 32], result: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let only = |data: &[u8]| match cbor::decode(data).unwrap() {
        Value::Map(mut entries) => {
            assert_eq!(entries.len(), 1);
            let (key, value) = entries.remove(0);
            assert_eq!(key, Value::Text("ok".into()));
            value
        }
        other => panic!("{other:?}"),
    };
    let Value::Map(entries) = only(result) else { panic!("no envelope") };
    let field = |name: &str| match entries.iter().find(|(key, _)| *key == Value::Text(name.into())) {
        Some((_, Value::Bytes(bytes))) => bytes.clone(),
        other => panic!("{other:?}"),
    };
    let nonce = field("nonce");
    let opened =
        evm_core::crypto::deoxysii_open(key, nonce.as_slice().try_into().unwrap(), &field("data"), &[]).unwrap();
    let Value::Bytes(output) = only(&opened) else { panic!("no bytes") };
    (nonce, output)
}

/// A word from a number.
pub fn word(number: u64) -> [u8; 32] {
    U256::from(number).to_be_bytes()
}

pub fn oasis_precompile(high: u8, low: u8) -> Address {
    let mut address = Address::ZERO;
    address.0[0] = 1;
    address.0[18] = high;
    address.0[19] = low;
    address
}

/// Forwards its calldata to `target` by CALL (or the given call opcode) and returns success (32) ‖ return data.
pub fn forwarder(target: Address, opcode: u8) -> Vec<u8> {
    let with_value = matches!(opcode, 0xf1 | 0xf2);
    let mut code = hex!("365f5f37" /* calldatacopy all to 0 */).to_vec();
    code.extend(hex!("5f5f365f")); // out size, out offset, in size, in offset
    if with_value {
        code.push(0x5f);
    }
    code.push(0x73);
    code.extend(target.as_slice());
    code.extend([0x5a, opcode]);
    code.extend(
        hex!("5f52" /* mstore success */ "3d5f6020" "3e" /* returndatacopy(32, 0, size) */ "3d602001" "5f" "f3"),
    );
    code
}

/// Slot 0: returns it on empty calldata, else stores the first word of calldata in it.
pub const CELL: &[u8] = &hex!("36600c575f545f5260205ff35b5f355f5500");
