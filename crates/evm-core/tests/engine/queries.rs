//! Queries and estimates: who the sender is, what fails how, and that nothing stays behind.

use super::support::*;
use alloy_primitives::{Address, TxKind, U256, hex, keccak256};
use evm_core::{
    config::{ChainConfig, Profile},
    engine::Call,
    failure::EngineError,
    signed_query::{Leash, Query, digest},
};
use state_core::cbor::{self, Value};

/// Returns msg.sender and tx.origin.
const WHO: &[u8] = &hex!("335f523260205260405ff3");
/// Returns the calldata.
const ECHO: &[u8] = &hex!("365f5f37365ff3");

fn refusal(result: Result<Vec<u8>, EngineError>) -> (String, Option<Vec<u8>>) {
    match result {
        Err(EngineError::Call(failure)) => {
            (format!("{} {}: {}", failure.error.module, failure.error.code, failure.error.message), failure.data)
        }
        other => panic!("{other:?}"),
    }
}

fn padded(address: Address) -> [u8; 32] {
    address.into_word().0
}

#[test]
fn unsigned_query_comes_from_nobody_whatever_it_claims() {
    let mut chain = Chain::new();
    let who = chain.deploy(WHO);
    assert_eq!(chain.query(who, &[]).unwrap(), [0; 64]);
    let (envelope, key) = encrypt(&[]);
    assert_eq!(open_result(&key, &chain.query(who, &envelope).unwrap()).1, [0; 64]);
    let paid = Call { value: U256::ONE, ..plain(who) };
    assert_eq!(refusal(chain.query_with(&paid)).0, "evm 2: execution failed: out of funds", "nobody has no money");
}

#[test]
fn dev_profile_and_public_chain_keep_the_claimed_sender() {
    for config in [
        ChainConfig { profile: Profile::Dev, ..ChainConfig::new(CHAIN_ID) },
        ChainConfig { confidential: false, ..ChainConfig::new(CHAIN_ID) },
    ] {
        let mut chain = Chain::with(config);
        let who = chain.deploy(WHO);
        let sender = padded(account(1).address);
        assert_eq!(chain.query(who, &[]).unwrap(), [sender, sender].concat());
    }
}

#[test]
fn what_a_client_sealed_twice_is_opened_twice_in_the_dev_profile_alone() {
    let (once, _) = encrypt(b"hello");
    let (twice, key) = encrypt(&once);
    for (profile, seen) in [(Profile::Dev, &b"hello"[..]), (Profile::Strict, &once[..])] {
        let mut chain = Chain::with(ChainConfig { profile, ..ChainConfig::new(CHAIN_ID) });
        let echo = chain.deploy(ECHO);
        assert_eq!(open_result(&key, &chain.query(echo, &twice).unwrap()).1, seen, "{profile:?}");
        let estimate = |data| {
            let call = Call { data, ..plain(echo) };
            chain.engine.estimate_gas(&chain.environment(), chain.round, &call).unwrap()
        };
        assert_eq!(estimate(&twice) - estimate(&once) < 1_000, profile == Profile::Dev);
    }
}

#[test]
fn results_are_sealed_exactly_when_the_call_was() {
    let mut chain = Chain::new();
    let echo = chain.deploy(ECHO);
    assert_eq!(chain.query(echo, b"hello").unwrap(), b"hello");
    let format_0 = cbor::encode(&Value::Map(vec![(Value::Text("body".into()), Value::Bytes(b"hi".to_vec()))]));
    assert_eq!(chain.query(echo, &format_0).unwrap(), b"hi", "an envelope in the clear gets a clear answer");
    let (envelope, key) = encrypt(b"hello");
    let (first, second) = (chain.query(echo, &envelope).unwrap(), chain.query(echo, &envelope).unwrap());
    assert_eq!(open_result(&key, &first).1, b"hello");
    assert_ne!(first, second, "query nonces are random");
    let (envelope, key) = encrypt(b"");
    assert_eq!(open_result(&key, &chain.query(Address::repeat_byte(5), &envelope).unwrap()).1, b"");
    assert_eq!(chain.query(Address::repeat_byte(5), &[]).unwrap(), b"");
}

#[test]
fn failures_are_never_sealed_and_revert_data_is_not_cut() {
    let mut chain = Chain::new();
    let reverting = chain.deploy(&hex!("6107d05ffd"));
    for data in [Vec::new(), encrypt(&[]).0] {
        let (text, revert) = refusal(chain.query(reverting, &data));
        assert!(text.starts_with("evm 8: reverted: AAAA"), "{text}");
        assert_eq!(revert, Some(vec![0; 2_000]));
    }
    let future = encrypt_for(&[], EPOCH + 1, &call_secret()).0;
    assert_eq!(refusal(chain.query(reverting, &future)).0, "core 18: invalid call format: epoch in the future");
    let past = encrypt_for(&[], EPOCH - 6, &call_secret()).0;
    assert_eq!(refusal(chain.query(reverting, &past)).0, "core 18: invalid call format: epoch too far in the past");
    assert_eq!(refusal(chain.query(reverting, &[0xf6])).0, "core 18: invalid call format: invalid inner data");
}

#[test]
fn gas_is_capped_by_the_batch_limit_and_price_must_fit() {
    let mut chain = Chain::new();
    let gas_left = chain.deploy(&hex!("5a5f5260205ff3"));
    let left = |gas| U256::from_be_slice(&chain.query_with(&Call { gas, ..plain(gas_left) }).unwrap());
    assert_eq!(left(30_000_000), U256::from(15_000_000 - 21_000 - 2));
    assert_eq!(left(100_000), U256::from(100_000 - 21_000 - 2));
    let short = Call { gas: 20_999, ..plain(gas_left) };
    assert_eq!(refusal(chain.query_with(&short)).0, "evm 2: execution failed: out of gas");
    let dear = Call { gas_price: U256::MAX, ..plain(gas_left) };
    assert_eq!(refusal(chain.query_with(&dear)).0, "evm 4: fee overflow");
}

#[test]
fn creation_query_gives_the_address_and_leaves_nothing() {
    let chain = Chain::new();
    let init_code = deployer(WHO);
    let create = Call { to: None, data: &init_code, ..plain(Address::ZERO) };
    assert_eq!(chain.query_with(&create).unwrap(), Address::ZERO.create(0).to_vec());
    let (envelope, key) = encrypt(&init_code);
    let sealed = chain.query_with(&Call { data: &envelope, ..create.clone() }).unwrap();
    assert_eq!(open_result(&key, &sealed).1, Address::ZERO.create(0).to_vec());
    assert_eq!(chain.engine.code(&Address::ZERO.create(0), chain.round).unwrap(), b"");
    let long = vec![0; 0x20001];
    let create = Call { to: None, data: &long, ..plain(Address::ZERO) };
    assert_eq!(refusal(chain.query_with(&create)).0, "evm 2: execution failed: create contract limit");
}

#[test]
fn queries_read_the_version_they_ask_for() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let deployed = chain.round;
    chain.run(&[account(2).call(0, cell, &word(1))]);
    chain.run(&[account(2).call(1, cell, &word(2))]);
    for (version, value) in [(deployed, 0), (deployed + 1, 1), (deployed + 2, 2)] {
        let answer = chain.engine.call(&environment(version + 1), version, &plain(cell)).unwrap();
        assert_eq!(answer, word(value));
    }
    assert!(matches!(chain.engine.call(&chain.environment(), 99, &plain(cell)), Err(EngineError::State(_))));
}

// -- signed queries ------------------------------------------------------------------------------------------------

struct Signed {
    chain: Chain,
    who: Address,
}

impl Signed {
    fn new() -> Self {
        let mut chain = Chain::new();
        let who = chain.deploy(WHO);
        for _ in 0..5 {
            chain.run(&[]);
        }
        Self { chain, who }
    }

    /// The newest block a client can base on: one below the latest, whose hash the state knows.
    fn leash(&self) -> Leash {
        let number = self.chain.round - 1;
        Leash { nonce: 1, block_number: number, block_hash: keccak256(number.to_be_bytes()).0, block_range: 15 }
    }

    fn pack(&self, signer: u8, leash: &Leash, call: &Value, calldata: &[u8]) -> Vec<u8> {
        let signer = account(signer);
        let query = Query {
            chain_id: CHAIN_ID,
            from: signer.address,
            to: self.who,
            gas_limit: 30_000_000,
            gas_price: U256::ONE,
            value: U256::ZERO,
            data: calldata,
        };
        let signature = signer.sign_hash(digest(&query, leash));
        let text = |name: &str| Value::Text(name.into());
        let leash = Value::Map(vec![
            (text("nonce"), Value::Unsigned(leash.nonce)),
            (text("block_number"), Value::Unsigned(leash.block_number)),
            (text("block_hash"), Value::Bytes(leash.block_hash.to_vec())),
            (text("block_range"), Value::Unsigned(leash.block_range)),
        ]);
        cbor::encode(&Value::Map(vec![
            (text("data"), call.clone()),
            (text("leash"), leash),
            (text("signature"), Value::Bytes(signature.as_bytes().to_vec())),
        ]))
    }

    fn ask(&self, signer: u8, leash: &Leash) -> Result<Vec<u8>, EngineError> {
        let call = Value::Map(vec![(Value::Text("body".into()), Value::Bytes(b"q".to_vec()))]);
        self.chain.query(self.who, &self.pack(signer, leash, &call, b"q"))
    }
}

#[test]
fn signed_query_shows_its_signer() {
    let signed = Signed::new();
    let sender = padded(account(1).address);
    assert_eq!(signed.ask(1, &signed.leash()).unwrap(), [sender, sender].concat());
    // Encrypted inside: the digest is over the plaintext.
    let (envelope, key) = encrypt(b"q");
    let pack = signed.pack(1, &signed.leash(), &cbor::decode(&envelope).unwrap(), b"q");
    let output = open_result(&key, &signed.chain.query(signed.who, &pack).unwrap()).1;
    assert_eq!(output, [sender, sender].concat());
}

#[test]
fn signed_query_is_refused_in_upstreams_words() {
    let signed = Signed::new();
    let refused = |signer, change: fn(&mut Leash)| {
        let mut leash = signed.leash();
        change(&mut leash);
        let (text, _) = refusal(signed.ask(signer, &leash));
        text.strip_prefix("evm 10: invalid signed simulate call query: ").unwrap_or(&text).to_owned()
    };
    assert_eq!(refused(2, |_| ()), "signer != caller");
    assert_eq!(refused(1, |leash| leash.nonce = 0), "stale nonce");
    assert_eq!(refused(1, |leash| leash.block_number += 1), "base block not found");
    assert_eq!(refused(1, |leash| leash.block_hash[0] ^= 1), "unexpected base block");
    assert_eq!(refused(1, |leash| leash.block_range = 0), "current block out of range");
}

// -- estimates -----------------------------------------------------------------------------------------------------

fn estimate(chain: &Chain, to: Option<Address>, data: &[u8]) -> u64 {
    let call = Call { to, data, ..plain(Address::ZERO) };
    chain.engine.estimate_gas(&chain.environment(), chain.round, &call).unwrap()
}

#[test]
fn empty_call_is_estimated_as_upstream_does() {
    assert_eq!(estimate(&Chain::new(), Some(Address::ZERO), &[]), 0x5722);
}

#[test]
fn estimate_of_a_failure_is_two_million_more_and_never_an_error() {
    let mut chain = Chain::new();
    let reverting = chain.deploy(&hex!("5f5ffd"));
    let halting = chain.deploy(&hex!("fe"));
    let used = estimate(&chain, Some(reverting), &[]);
    assert!((2_022_306..2_022_400).contains(&used), "{used}");
    assert_eq!(estimate(&chain, Some(halting), &[]), 15_000_000, "a halt uses all there is");
    let (envelope, _) = encrypt(&encrypt(b"twice").0);
    assert!(estimate(&chain, Some(reverting), &envelope) > 2_000_000, "web3.py wraps twice");
    let foreign = encrypt_for(b"", EPOCH, &[9; 32]).0;
    assert!(estimate(&chain, Some(reverting), &foreign) > 2_000_000);
    let call = Call { value: U256::from(ETHER), ..plain(reverting) };
    assert!(chain.engine.estimate_gas(&chain.environment(), chain.round, &call).unwrap() > 2_000_000);
}

#[test]
fn estimate_prices_a_write_of_the_zero_sender_as_a_fresh_slot() {
    let mut chain = Chain::new();
    // Constructor: owner = msg.sender; deploys one STOP.
    let init_code = hex!("335f55" "60015ff3");
    let estimated = estimate(&chain, None, &init_code);
    let raw = account(2).send(0, TxKind::Create, 0, estimated, &init_code);
    let record = chain.run(&[raw]).remove(0);
    assert_eq!(record.error, None);
    assert!(record.gas_used <= estimated && estimated < record.gas_used + 1_000, "{estimated} {}", record.gas_used);
}

#[test]
fn estimate_covers_the_gas_that_nested_calls_hold_back() {
    let mut chain = Chain::new();
    // Innermost burns some 600,000 gas in a loop.
    let mut target = chain.deploy(&hex!("61520a" "5b" "60019003" "80600357" "00"));
    for _ in 0..8 {
        // Each level reverts if the one below failed.
        let mut code = hex!("5f5f5f5f5f73").to_vec();
        code.extend(target.as_slice());
        code.extend(hex!("5af1602257" "5f5ffd" "5b00"));
        target = chain.deploy(&code);
    }
    let estimated = estimate(&chain, Some(target), &[]);
    let record = chain.run(&[account(2).send(0, TxKind::Call(target), 0, estimated, &[])]).remove(0);
    assert_eq!(record.error, None, "estimated {estimated}");
    let exact = chain.run(&[account(2).send(1, TxKind::Call(target), 0, record.gas_used, &[])]).remove(0);
    assert!(exact.error.is_some(), "what it used is not what it needs");
    assert!(estimated < record.gas_used * 5 / 4);
}

#[test]
fn estimates_leave_no_trace() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let root = chain.engine.store().latest();
    estimate(&chain, Some(cell), &word(5));
    chain.query(cell, &word(5)).unwrap();
    assert_eq!(chain.engine.store().latest(), root);
    assert_eq!(chain.query(cell, &[]).unwrap(), word(0));
}
