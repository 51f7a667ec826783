//! Transactions of type 4 (EIP-7702) on a public chain: accounts that take on a contract's code; and calls that pretend.

use std::sync::Arc;

use super::support::{self, Account, ETHER, GWEI, Record, account, environment, plain, word};
use alloy_consensus::TxEip7702;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, Bytes, U256, hex};
use evm_core::{
    config::{ChainConfig, PUBLIC_FORK},
    engine::{Call, Engine, Pretence},
    failure::EngineError,
    genesis::GenesisAccount,
};
use serde_json::{Value, json};
use state_core::store::Store;

const CHAIN: u64 = 0xa514;
/// With calldata, stores `msg.sender` in slot 0; without, returns slot 0 ‖ `msg.sender`.
const KEEPER: &[u8] = &hex!("36 6010 57 5f54 5f52 33 6020 52 6040 5f f3 5b 33 5f 55 00");
/// Stores 1 in slot 0 and reverts.
const REVERTER: &[u8] = &hex!("6001 5f 55 5f 5f fd");
/// Creates an empty contract and stops.
const MAKER: &[u8] = &hex!("5f 5f 5f f0 00");

struct Public {
    engine: Engine,
    round: u64,
}

impl Public {
    /// Where accounts 1 and 2 have money, and these addresses have code.
    fn new(codes: &[(Address, &[u8])]) -> Self {
        let mut genesis: Vec<_> =
            [1, 2].map(|one| GenesisAccount::funded(account(one).address, U256::from(1_000 * ETHER))).into();
        genesis.extend(codes.iter().map(|(address, code)| GenesisAccount {
            address: *address,
            code: Bytes::copy_from_slice(code),
            ..GenesisAccount::default()
        }));
        let config =
            ChainConfig { confidential: false, fork: PUBLIC_FORK, charges_for_size: false, ..ChainConfig::new(CHAIN) };
        let engine = support::engine(config, Arc::new(Store::memory().unwrap()));
        engine.execute(&environment(1), &[], &genesis, true).unwrap().persist().unwrap();
        Self { engine, round: 1 }
    }

    fn run(&mut self, raw: &[u8]) -> Record {
        self.round += 1;
        let block = self.engine.execute(&environment(self.round), &[raw], &[], true).unwrap();
        block.persist().unwrap();
        Record::read(&block.results[0])
    }

    fn nonce(&self, who: &Account) -> u64 {
        self.engine.account(&who.address, self.round).unwrap().0
    }

    fn code(&self, who: &Account) -> Vec<u8> {
        self.engine.code(&who.address, self.round).unwrap()
    }

    fn call(&self, call: &Call<'_>) -> Result<Vec<u8>, EngineError> {
        self.engine.call(&environment(self.round + 1), self.round, call)
    }

    fn estimate(&self, call: &Call<'_>) -> u64 {
        self.engine.estimate_gas(&environment(self.round + 1), self.round, call).unwrap()
    }
}

fn authorize(who: &Account, chain_id: u64, nonce: u64, code_of: Address) -> SignedAuthorization {
    let authorization = Authorization { chain_id: U256::from(chain_id), address: code_of, nonce };
    let signature = who.sign_hash(authorization.signature_hash());
    authorization.into_signed(signature)
}

fn set_code(from: &Account, nonce: u64, to: Address, data: &[u8], list: Vec<SignedAuthorization>) -> Vec<u8> {
    from.sign(TxEip7702 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 300_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: 0,
        to,
        value: U256::ZERO,
        access_list: Default::default(),
        authorization_list: list,
        input: Bytes::copy_from_slice(data),
    })
}

fn contract(number: u8) -> Address {
    Address::repeat_byte(number)
}

fn designator(address: Address) -> Vec<u8> {
    [&hex!("ef0100")[..], address.as_slice()].concat()
}

#[test]
fn an_account_takes_on_code_and_keeps_it_until_it_gives_it_up() {
    let keeper = contract(0xcc);
    let mut chain = Public::new(&[(keeper, KEEPER)]);
    let (payer, owner) = (account(1), account(7));
    let raw = set_code(&payer, 0, owner.address, &[1], vec![authorize(&owner, CHAIN, 0, keeper)]);
    let record = chain.run(&raw);
    assert_eq!(record.error, None);
    assert_eq!(chain.code(&owner), designator(keeper));
    assert_eq!((chain.nonce(&payer), chain.nonce(&owner)), (1, 1));
    let stored = chain.engine.storage(&owner.address, &word(0), chain.round).unwrap();
    assert_eq!(Address::from_slice(&stored[12..]), payer.address, "it ran in the account's own storage");
    assert_eq!(chain.engine.storage(&keeper, &word(0), chain.round).unwrap(), word(0));

    // Another machine that never saw the transaction reads the same from the tree.
    let config = chain.engine.config().clone();
    let other = support::engine(config, Arc::clone(chain.engine.store()));
    let answer = other.call(&environment(3), 2, &plain(owner.address)).unwrap();
    assert_eq!(answer.len(), 64);

    let none = vec![authorize(&owner, CHAIN, 1, Address::ZERO)];
    assert_eq!(chain.run(&set_code(&payer, 1, payer.address, &[], none)).error, None);
    assert_eq!(chain.code(&owner), [0; 0]);
    assert_eq!(chain.nonce(&owner), 2);
}

#[test]
fn gas_is_that_of_the_eip() {
    let mut chain = Public::new(&[]);
    let (payer, fresh, funded) = (account(1), account(7), account(2));
    let of_fresh = vec![authorize(&fresh, 0, 0, contract(0xcc))];
    assert_eq!(chain.run(&set_code(&payer, 0, contract(9), &[], of_fresh)).gas_used, 46_000);
    // 12,500 of an account that was there are refunded, but no more than a fifth of all.
    let of_funded = vec![authorize(&funded, CHAIN, 0, contract(0xcc))];
    assert_eq!(chain.run(&set_code(&payer, 1, contract(9), &[], of_funded)).gas_used, 46_000 - 46_000 / 5);
}

#[test]
fn who_took_on_code_keeps_it_where_the_call_reverts() {
    let (keeper, reverter) = (contract(0xcc), contract(0xdd));
    let mut chain = Public::new(&[(keeper, KEEPER), (reverter, REVERTER)]);
    let (payer, owner) = (account(1), account(2));
    let raw = set_code(&payer, 0, reverter, &[], vec![authorize(&owner, CHAIN, 0, keeper)]);
    assert_eq!(chain.run(&raw).status, 0);
    assert_eq!(chain.code(&owner), designator(keeper));
    assert_eq!((chain.nonce(&payer), chain.nonce(&owner)), (1, 1));
    assert_eq!(chain.engine.account(&owner.address, chain.round).unwrap().1, U256::from(1_000 * ETHER));
    assert_eq!(chain.engine.storage(&reverter, &word(0), chain.round).unwrap(), word(0));
}

#[test]
fn a_sender_that_delegates_itself_uses_two_nonces_and_more_where_its_code_creates() {
    let maker = contract(0xcc);
    let mut chain = Public::new(&[(maker, MAKER)]);
    let me = account(1);
    let raw = set_code(&me, 0, me.address, &[], vec![authorize(&me, CHAIN, 1, maker)]);
    assert_eq!(chain.run(&raw).error, None);
    assert_eq!(chain.nonce(&me), 3, "the transaction's, the authorization's, the creation's");
    let raw = set_code(&me, 3, contract(0xee), &[], vec![authorize(&me, CHAIN, 4, Address::ZERO)]);
    assert_eq!(chain.run(&raw).error, None, "an account with code still sends");
    assert_eq!((chain.nonce(&me), chain.code(&me)), (5, vec![]));
}

#[test]
fn an_authorization_that_does_not_hold_is_passed_over() {
    let mut chain = Public::new(&[]);
    let (payer, owner) = (account(1), account(2));
    let forged = SignedAuthorization::new_unchecked(
        Authorization { chain_id: U256::from(CHAIN), address: contract(1), nonce: 0 },
        0,
        U256::MAX,
        U256::ONE,
    );
    let list = vec![
        authorize(&owner, CHAIN + 1, 0, contract(1)),
        authorize(&owner, CHAIN, 1, contract(2)),
        forged,
        authorize(&owner, CHAIN, 0, contract(3)),
        authorize(&owner, CHAIN, 1, contract(4)),
    ];
    assert_eq!(chain.run(&set_code(&payer, 0, contract(9), &[], list)).error, None);
    assert_eq!(chain.code(&owner), designator(contract(4)), "the last that holds counts");
    assert_eq!(chain.nonce(&owner), 2);
}

#[test]
fn the_record_names_authorizations_and_other_records_do_not_change() {
    let mut chain = Public::new(&[]);
    let (payer, owner) = (account(1), account(2));
    let signed = authorize(&owner, CHAIN, 0, contract(3));
    let record = chain.run(&set_code(&payer, 0, contract(9), &[], vec![signed.clone()]));
    assert_eq!(record.map["type"], state_core::cbor::Value::Unsigned(4));
    let state_core::cbor::Value::Array(list) = &record.map["authorizations"] else { panic!("no list") };
    let state_core::cbor::Value::Array(fields) = &list[0] else { panic!("no fields") };
    assert_eq!(fields[1], state_core::cbor::Value::Bytes(contract(3).to_vec()));
    assert_eq!(fields[4], state_core::cbor::Value::Bytes(signed.r().to_be_bytes_trimmed_vec()));
    let legacy = payer.sign(alloy_consensus::TxLegacy {
        chain_id: Some(CHAIN),
        nonce: 1,
        gas_price: 100 * GWEI,
        gas_limit: 50_000,
        to: contract(9).into(),
        ..Default::default()
    });
    assert!(!chain.run(&legacy).map.contains_key("authorizations"));
}

#[test]
fn a_type_4_without_authorizations_is_malformed_and_confidential_chains_have_none() {
    let chain = Public::new(&[]);
    let refused = |engine: &Engine, raw: &[u8]| engine.check(&[raw], 1).unwrap().remove(0).unwrap_err().error;
    let empty = set_code(&account(1), 0, contract(9), &[], vec![]);
    let error = refused(&chain.engine, &empty);
    assert_eq!((error.code, error.message.contains("empty")), (1, true), "{error}");

    let mut confidential = support::Chain::new();
    confidential.deploy(KEEPER);
    let raw = account(1).sign(TxEip7702 {
        chain_id: support::CHAIN_ID,
        gas_limit: 300_000,
        max_fee_per_gas: 100 * GWEI,
        authorization_list: vec![authorize(&account(2), 0, 0, contract(3))],
        ..Default::default()
    });
    let error = refused(&confidential.engine, &raw);
    assert_eq!((error.code, error.message.as_str()), (1, "malformed transaction"));
}

fn pretend(text: &Value) -> Pretence {
    Pretence::parse(text.to_string().as_bytes()).unwrap()
}

#[test]
fn a_call_pretends_state_and_block_and_leaves_nothing() {
    let chain = Public::new(&[]);
    let nobody = account(9).address;
    // BALANCE of the caller ‖ slot 0 ‖ NUMBER.
    let code = "0x33315f525f546020524360405260605ff3";
    let slot = format!("0x{:064x}", 0);
    let pretence = pretend(&json!({
        "state": {
            contract(5).to_string(): {"code": code, "stateDiff": {slot: format!("0x{:064x}", 8)}},
            nobody.to_string(): {"balance": "0x7"},
        },
        "block": {"number": "0x77"},
    }));
    let call = Call { caller: nobody, pretence: Some(&pretence), ..plain(contract(5)) };
    let answer = chain.call(&call).unwrap();
    assert_eq!(answer, [word(7), word(8), word(0x77)].concat());
    assert_eq!(chain.call(&plain(contract(5))).unwrap(), [0; 0]);
    let poor = Call { caller: nobody, value: U256::ONE, ..plain(contract(5)) };
    assert!(chain.call(&poor).is_err());
    assert!(chain.call(&Call { pretence: Some(&pretence), ..poor.clone() }).is_ok());
    assert!(chain.estimate(&poor) > 2_000_000, "what fails is estimated high");
    assert!(chain.estimate(&Call { pretence: Some(&pretence), ..poor }) < 100_000);
}

#[test]
fn a_call_runs_after_authorizations_and_its_estimate_suffices() {
    let keeper = contract(0xcc);
    let mut chain = Public::new(&[(keeper, KEEPER)]);
    let (payer, owner) = (account(1), account(2));
    let signed = authorize(&owner, CHAIN, 0, keeper);
    let pretence = pretend(&json!({"authorizationList": [signed]}));
    let call = Call { caller: payer.address, pretence: Some(&pretence), ..plain(owner.address) };
    assert_eq!(chain.call(&call).unwrap().len(), 64);
    assert_eq!(chain.call(&Call { pretence: None, ..call.clone() }).unwrap(), [0; 0]);
    let needed = chain.estimate(&Call { data: &[1], ..call });
    let raw = payer.sign(TxEip7702 {
        chain_id: CHAIN,
        gas_limit: needed,
        max_fee_per_gas: 100 * GWEI,
        to: owner.address,
        authorization_list: vec![signed],
        input: vec![1].into(),
        ..Default::default()
    });
    let record = chain.run(&raw);
    assert_eq!(record.error, None);
    assert!(record.gas_used < needed && needed < 80_000, "{needed}");
}

#[test]
fn what_a_pretence_may_not_say_is_refused() {
    let chain = Public::new(&[]);
    let refused = |text: &Value| match Pretence::parse(text.to_string().as_bytes()) {
        Err(error) => error.to_string(),
        Ok(pretence) => chain.call(&Call { pretence: Some(&pretence), ..plain(contract(5)) }).unwrap_err().to_string(),
    };
    let of = |account: Value| json!({"state": {contract(5).to_string(): account}});
    for text in [
        of(json!({"balance": "much"})),
        of(json!({"movePrecompileToAddress": contract(6)})),
        of(json!({"state": {}, "stateDiff": {}})),
        json!({"block": {"beaconRoot": format!("0x{}", "00".repeat(32))}}),
        json!({"what": 1}),
        json!("all"),
    ] {
        let error = refused(&text);
        assert!(!error.is_empty(), "{text}");
    }
}
