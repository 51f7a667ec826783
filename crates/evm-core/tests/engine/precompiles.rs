//! Precompiles as contracts meet them: gas to the unit, failure kinds, and what the chain gives them.

use std::sync::{Arc, Mutex};

use super::support::*;
use alloy_primitives::{Address, TxKind, U256, hex};
use evm_core::{
    config::ChainConfig,
    engine::{Call, Engine},
    failure::{EngineError, HostError},
    layout::{OasisAddress, account_key, oasis_address},
    subcall::{Reply, Request, Subcalls},
    transaction::intrinsic_gas,
};
use state_core::cbor::{self, Value};

const OUT_OF_GAS: &str = "execution failed: out of gas";

fn abi(parts: &[Part<'_>]) -> Vec<u8> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Word(word) => head.extend(word),
            Part::Bytes(bytes) => {
                head.extend(word((32 * parts.len() + tail.len()) as u64));
                tail.extend(word(bytes.len() as u64));
                tail.extend(*bytes);
                tail.resize(tail.len().next_multiple_of(32), 0);
            }
        }
    }
    head.extend(tail);
    head
}

enum Part<'a> {
    Word([u8; 32]),
    Bytes(&'a [u8]),
}

fn failure(result: Result<Vec<u8>, EngineError>) -> String {
    match result {
        Err(EngineError::Call(failure)) => failure.error.message,
        other => panic!("{other:?}"),
    }
}

/// The call succeeds with exactly this gas in the precompile, and runs out with one less.
fn costs(chain: &Chain, address: Address, input: &[u8], gas: u64) -> Vec<u8> {
    let limit = intrinsic_gas(input, false) + gas;
    let call = |limit| chain.query_with(&Call { gas: limit, data: input, ..plain(address) });
    assert_eq!(failure(call(limit - 1)), OUT_OF_GAS);
    call(limit).unwrap()
}

#[test]
fn deoxys_seals_opens_and_reverts_on_a_wrong_tag() {
    let chain = Chain::new();
    let (seal, open) = (oasis_precompile(0, 3), oasis_precompile(0, 4));
    let key = *b"this must be the excelentest key";
    let nonce = *b"complete noncence, and too long.";
    let input =
        |text: &[u8]| abi(&[Part::Word(key), Part::Word(nonce), Part::Bytes(text), Part::Bytes(b"additional data")]);
    let plaintext = b"0123456789";
    let gas = |input: &[u8]| 100 + 10 * input.len().div_ceil(32) as u64;
    let sealed = costs(&chain, seal, &input(plaintext), gas(&input(plaintext)));
    assert_eq!(sealed, hex!("7280b5ec8f368507b57adeb46c3b96f8668ca13df653801b2b4d"));
    assert_eq!(costs(&chain, open, &input(&sealed), gas(&input(&sealed))), plaintext);
    let mut broken = sealed;
    broken[3] ^= 1;
    assert_eq!(failure(chain.query(open, &input(&broken))), "reverted: ");
    assert_eq!(failure(chain.query(open, &input(&broken)[..100])), "execution failed: malformed ABI input");
}

#[test]
fn x25519_takes_exact_lengths() {
    let chain = Chain::new();
    let (derive, public) = (oasis_precompile(0, 2), oasis_precompile(0, 8));
    let client_sk = hex!("c07b151fbc1e7a11dff926111188f8d872f62eba0396da97c0a24adb75161750");
    let client_pk = hex!("3046db3fa70ce605457dc47c48837ebd8bd0a26abfde5994d033e1ced68e2576");
    let input = [client_pk, client_sk].concat();
    assert_eq!(
        costs(&chain, derive, &input, 1_100),
        hex!("e69ac21066a8c2284e8fdc690e579af4513547b9b31dd144792c1904b45cf586")
    );
    let secret: Vec<u8> = (0..32).collect();
    assert_eq!(
        costs(&chain, public, &secret, 1_000),
        hex!("8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f")
    );
    assert_eq!(failure(chain.query(derive, &input[..63])), "execution failed: input length must be 64 bytes");
    assert_eq!(failure(chain.query(public, &input[..33])), "execution failed: input length must be 32 bytes");
}

#[test]
fn sha2_family_costs_115_and_13_a_word() {
    let chain = Chain::new();
    for (low, empty) in [
        (1, hex!("c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a").to_vec()),
        (
            2,
            hex!(
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
            )
            .to_vec(),
        ),
        (
            4,
            hex!(
                "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da"
                "274edebfe76f65fbd51ad2f14898b95b"
            )
            .to_vec(),
        ),
    ] {
        assert_eq!(costs(&chain, oasis_precompile(1, low), &[], 115), empty);
        costs(&chain, oasis_precompile(1, low), &[7; 33], 115 + 2 * 13);
    }
}

#[test]
fn signatures_cost_what_the_table_says() {
    let chain = Chain::new();
    let (keypair, sign, verify) = (oasis_precompile(0, 5), oasis_precompile(0, 6), oasis_precompile(0, 7));
    // algorithm, hash bytes (0: a context), key pair, sign, verify, per word
    for (id, hash, keypair_gas, sign_gas, verify_gas, per_word) in [
        (0, 0, 1_000, 1_500, 2_000, 8),
        (1, 0, 1_000, 1_500, 2_000, 8),
        (2, 64, 1_000, 1_500, 2_000, 0),
        (3, 0, 1_500, 3_000, 3_000, 8),
        (4, 32, 1_500, 3_000, 3_000, 0),
        (5, 32, 1_500, 3_000, 3_000, 0),
        (6, 0, 1_000, 1_500, 2_000, 8),
        (7, 32, 4_000, 9_000, 7_900, 0),
        (8, 48, 18_000, 43_200, 37_920, 0),
    ] {
        let seed = if id == 8 { b"012345670123456701234567012345670123456701234567".as_slice() } else { &[7; 32] };
        let input = abi(&[Part::Word(word(id)), Part::Bytes(seed)]);
        let pair = costs(&chain, keypair, &input, keypair_gas);
        let field = |position: usize| {
            let at = |position: usize| usize::try_from(U256::from_be_slice(&pair[position..position + 32])).unwrap();
            let offset = at(32 * position);
            &pair[offset + 32..offset + 32 + at(offset)]
        };
        let (public, private) = (field(0), field(1));
        let hashed = vec![9; hash];
        // Pure Ed25519 has no context; prehashed algorithms take the hash in its place and no message.
        let context: &[u8] = if hash > 0 {
            &hashed
        } else if id == 1 {
            b""
        } else {
            b"a context"
        };
        let message: &[u8] = if hash > 0 { b"" } else { b"a message" };
        let input = abi(&[Part::Word(word(id)), Part::Bytes(private), Part::Bytes(context), Part::Bytes(message)]);
        let words = |input: &[u8]| per_word * input.len().div_ceil(32) as u64;
        let signature = costs(&chain, sign, &input, sign_gas + words(&input));
        let verification = |signature: &[u8]| {
            abi(&[
                Part::Word(word(id)),
                Part::Bytes(public),
                Part::Bytes(context),
                Part::Bytes(message),
                Part::Bytes(signature),
            ])
        };
        let input = verification(&signature);
        assert_eq!(costs(&chain, verify, &input, verify_gas + words(&input)), word(1), "algorithm {id}");
        let mut broken = signature.clone();
        *broken.last_mut().unwrap() ^= 1;
        assert_eq!(chain.query(verify, &verification(&broken)).unwrap(), word(0), "algorithm {id}");
        assert_eq!(chain.query(verify, &verification(&[])).unwrap(), word(0), "algorithm {id}");
    }
    let unknown = abi(&[Part::Word(word(9)), Part::Bytes(&[7; 32])]);
    assert_eq!(failure(chain.query(keypair, &unknown)), "execution failed: unknown signature type");
    let unreadable =
        abi(&[Part::Word(word(0)), Part::Bytes(&[1; 5]), Part::Bytes(b""), Part::Bytes(b""), Part::Bytes(&[0; 64])]);
    assert!(failure(chain.query(verify, &unreadable)).starts_with("execution failed: "));
}

#[test]
fn random_bytes_repeat_in_a_replay_and_nowhere_else() {
    let mut chain = Chain::new();
    let random = oasis_precompile(0, 1);
    let input = |count: u64, personalization: &[u8]| abi(&[Part::Word(word(count)), Part::Bytes(personalization)]);
    let bytes = costs(&chain, random, &input(4, b"beef"), 10_300);
    assert_eq!(bytes.len(), 4);
    assert_eq!(costs(&chain, random, &input(2_000, b""), 10_000 + 240 * 32).len(), 1024, "capped");
    let ask = || chain.query(random, &input(32, b"")).unwrap();
    assert_ne!(ask(), ask(), "a query does not foretell the next block");

    let relay = chain.deploy(&forwarder(random, 0xf1));
    let batch = [
        account(2).call(0, relay, &input(32, b"")),
        account(2).call(1, relay, &input(32, b"")),
        account(3).call(0, relay, &input(32, b"other")),
    ];
    let outputs = |block: &evm_core::engine::PendingBlock| {
        block.results.iter().map(|record| Record::read(record).output).collect::<Vec<_>>()
    };
    let (first, replay) = (chain.propose(&batch, true).unwrap(), chain.propose(&batch, true).unwrap());
    assert_eq!(outputs(&first), outputs(&replay));
    let mut distinct = outputs(&first);
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 3);
    assert!(distinct.iter().all(|output| output.len() == 64 && output[..32] == word(1)));
}

/// Burns gas by a loop of as many rounds as the first calldata word says, then pads to 20,000 and stops.
fn padded() -> Vec<u8> {
    let mut code = Vec::new();
    code.extend(hex!("5f35")); //                0: n
    code.extend(hex!("5b")); //                  2: loop
    code.extend(hex!("80156010" "57")); //       3: if n == 0 goto 0x10
    code.extend(hex!("60019003")); //            8: n - 1
    code.extend(hex!("600256")); //              c: goto loop
    code.extend(hex!("00")); //                  f
    code.extend(hex!("5b614e205f52")); //       10: mstore(0, 20000)
    code.extend(hex!("5f5f60205f5f")); //       16: call arguments
    code.push(0x73);
    code.extend(oasis_precompile(0, 10).as_slice());
    code.extend(hex!("5af100"));
    code
}

#[test]
fn padding_makes_every_branch_cost_the_same() {
    let mut chain = Chain::new();
    let contract = chain.deploy(&padded());
    let calldata = |rounds: u8| {
        let mut word = [1; 32];
        word[..31].fill(0);
        word[31] = rounds;
        word
    };
    let records = chain.run(&[
        account(2).call(0, contract, &calldata(1)),
        account(3).call(0, contract, &calldata(200)),
        account(4).call(0, contract, &calldata(20)),
    ]);
    assert!(records.iter().all(|record| record.error.is_none()));
    let gas: Vec<_> = records.iter().map(|record| record.gas_used).collect();
    assert_eq!((gas[0], gas[1]), (gas[2], gas[2]));
}

#[test]
fn gas_used_is_that_of_the_calling_frame() {
    let mut chain = Chain::new();
    let meter = oasis_precompile(0, 9);
    let relay = chain.deploy(&forwarder(meter, 0xf1));
    let gas = |output: &[u8]| u64::try_from(U256::from_be_slice(&output[32..])).unwrap();
    let direct = gas(&chain.query(relay, &[]).unwrap());
    // CALLDATASIZE 2, PUSH0 2+2, CALLDATACOPY 3, PUSH0 2+2, CALLDATASIZE 2, PUSH0 2+2, PUSH20 3, GAS 2,
    // CALL 100 (precompiles are warm), and the meter's own 10.
    assert_eq!(direct, 2 + 4 + 3 + 4 + 2 + 4 + 3 + 2 + 100 + 10);
    // One frame further out the inner frame has used just the same.
    let outer = chain.deploy(&forwarder(relay, 0xf1));
    assert_eq!(gas(&chain.query(outer, &[]).unwrap()[32..]), direct);
    // With no frame at all it is the transaction's own cost.
    assert_eq!(U256::from_be_slice(&chain.query(meter, &[]).unwrap()), U256::from(21_010));
}

#[test]
fn error_takes_the_forwarded_gas_and_revert_gives_it_back() {
    let mut chain = Chain::new();
    let spent = |chain: &mut Chain, target: Address, input: &[u8]| {
        let relay = chain.deploy(&forwarder(target, 0xf1));
        let nonce = chain.engine.account(&account(2).address, chain.round).unwrap().0;
        let record = chain.run(&[account(2).call(nonce, relay, input)]).remove(0);
        assert_eq!((record.error, &record.output[..]), (None, word(0).as_slice()), "the call failed, empty");
        record.gas_used
    };
    let wrong_tag = abi(&[Part::Word([1; 32]), Part::Word([2; 32]), Part::Bytes(&[0; 20]), Part::Bytes(b"")]);
    assert!(spent(&mut chain, oasis_precompile(0, 4), &wrong_tag) < 40_000);
    assert!(spent(&mut chain, oasis_precompile(0, 4), b"no abi") > 900_000);
    assert!(spent(&mut chain, oasis_precompile(0, 8), &[1; 31]) > 900_000);
}

#[test]
fn only_eight_ethereum_precompiles_exist() {
    let chain = Chain::new();
    let at = |number: u8| Address::left_padding_from(&[number]);
    assert_eq!(costs(&chain, at(4), b"copy", 18), b"copy");
    assert_eq!(costs(&chain, at(2), b"", 60).len(), 32);
    assert_eq!(costs(&chain, at(3), b"", 600).len(), 32);
    // ecrecover: vector of the wire facts; junk before v gives nothing.
    let hash = hex!("38d18acb67d25c8bb9942764b62f18e17054f66a817bd4295423adf9ed98873e");
    let s = hex!("789d1dd423d25f0772d2748d60f7e4b81bb14d086eba8e8e8efb6dcff8a4ae02");
    let mut input = [hash, word(0x1b), hash, s].concat();
    let signer = [[0; 12].as_slice(), &hex!("ceaccac640adf55b2028469bd36ba501f28b699d")].concat();
    assert_eq!(costs(&chain, at(1), &input, 3_000), signer);
    input[40] = 1;
    assert_eq!(chain.query(at(1), &input).unwrap(), b"");
    // blake2f and KZG are plain accounts here.
    assert_eq!(chain.query(at(9), &[1; 213]).unwrap(), b"");
    assert_eq!(chain.query(at(10), &[1; 192]).unwrap(), b"");
    assert_eq!(chain.query(oasis_precompile(0, 11), b"").unwrap(), b"");
}

#[test]
fn public_chain_has_only_the_general_set() {
    let chain = Chain::with(ChainConfig { confidential: false, ..ChainConfig::new(CHAIN_ID) });
    assert_eq!(chain.query(oasis_precompile(0, 8), &[1; 32]).unwrap(), b"");
    assert_eq!(chain.query(oasis_precompile(1, 1), b"").unwrap().len(), 32);
}

// -- sub-calls -----------------------------------------------------------------------------------------------------

fn subcall(method: &str, body: &Value) -> Vec<u8> {
    abi(&[Part::Bytes(method.as_bytes()), Part::Bytes(&cbor::encode(body))])
}

/// Status and data of an answer.
fn reply(output: &[u8]) -> (u64, Vec<u8>) {
    let number = |at: usize| u64::try_from(U256::from_be_slice(&output[at..at + 32])).unwrap();
    assert_eq!(number(32), 64);
    (number(0), output[96..96 + usize::try_from(number(64)).unwrap()].to_vec())
}

const SUBCALL: fn() -> Address = || oasis_precompile(1, 3);

fn transfer(to: &OasisAddress, amount: &[u8]) -> Vec<u8> {
    let amount = Value::Array(vec![Value::Bytes(amount.to_vec()), Value::Bytes(Vec::new())]);
    let body = vec![(Value::Text("to".into()), Value::Bytes(to.to_vec())), (Value::Text("amount".into()), amount)];
    subcall("accounts.Transfer", &Value::Map(body))
}

#[test]
fn core_methods_answer_at_the_top_level_too() {
    let chain = Chain::new();
    for (method, gas, result) in [
        ("core.CallDataPublicKey", 20, chain.environment().call_data_public_key),
        ("core.CurrentEpoch", 10, cbor::encode(&Value::Unsigned(EPOCH))),
    ] {
        let data = subcall(method, &Value::Null);
        let limit = intrinsic_gas(&data, false) + 10 + data.len().div_ceil(32) as u64 + gas;
        let at = |gas| reply(&chain.query_with(&Call { gas, data: &data, ..plain(SUBCALL()) }).unwrap());
        assert_eq!(at(limit), (0, result));
        assert_eq!(at(limit - 1), (12, b"core".to_vec()), "out of gas inside is a status");
    }
    let ask = |method: &str, body: &Value| reply(&chain.query(SUBCALL(), &subcall(method, body)).unwrap());
    assert_eq!(ask("core.CurrentEpoch", &Value::Unsigned(1)), (10, b"core".to_vec()));
    assert_eq!(ask("no.Such", &Value::Null), (3, b"core".to_vec()));
    assert_eq!(failure(chain.query(SUBCALL(), &subcall("evm.Call", &Value::Null))), "execution failed: subcall failed");
    let malformed = abi(&[Part::Bytes(b"core.CurrentEpoch"), Part::Bytes(&[0x1c])]);
    assert_eq!(failure(chain.query(SUBCALL(), &malformed)), "execution failed: body is malformed");
    let no_text = abi(&[Part::Bytes(&[0xff]), Part::Bytes(&[0xf6])]);
    assert_eq!(failure(chain.query(SUBCALL(), &no_text)), "execution failed: method is malformed");
}

#[test]
fn encrypted_query_for_the_public_key_is_answered_sealed() {
    let chain = Chain::new();
    let (envelope, key) = encrypt(&subcall("core.CallDataPublicKey", &Value::Null));
    let (_, output) = open_result(&key, &chain.query(SUBCALL(), &envelope).unwrap());
    assert_eq!(reply(&output), (0, chain.environment().call_data_public_key));
}

#[test]
fn transfer_moves_the_contracts_own_tokens_and_reverts_with_it() {
    let mut chain = Chain::new();
    let relay = chain.deploy(&forwarder(SUBCALL(), 0xf1));
    chain.run(&[account(2).send(0, TxKind::Call(relay), 1_000, 1_000_000, &[])]);
    let known = account(3).address;
    let before = chain.balance(known);
    // Leading zeros of the amount are accepted: Solidity's library sends 16 bytes.
    let mut amount = [0; 16];
    amount[15] = 40;
    let native = [0x00, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
    let records = chain.run(&[
        account(2).call(1, relay, &transfer(&oasis_address(&known), &amount)),
        account(2).call(2, relay, &transfer(&native, &[60])),
        account(2).call(3, relay, &transfer(&native, &[0xff; 4])),
    ]);
    let replies: Vec<_> = records.iter().map(|record| reply(&record.output[32..])).collect();
    assert_eq!(replies[0], (0, vec![0xf6]));
    assert_eq!(replies[1], (0, vec![0xf6]));
    assert_eq!(replies[2], (2, b"accounts".to_vec()), "more than it has");
    assert_eq!(chain.balance(known), before + U256::from(40));
    assert_eq!(chain.balance(relay), U256::from(900));
    let stored = chain.engine.store().snapshot(chain.round).unwrap().get(&account_key(&native)).unwrap().unwrap();
    assert_eq!(evm_core::layout::AccountRecord::decode(&stored).unwrap().balance, U256::from(60));

    // A contract that pays by sub-call and then reverts has paid nothing.
    let mut code = hex!("365f5f375f5f365f5f73").to_vec();
    code.extend(SUBCALL().as_slice());
    code.extend(hex!("5af1505f5ffd"));
    let reverting = chain.deploy(&code);
    chain.run(&[account(2).send(4, TxKind::Call(reverting), 1_000, 1_000_000, &transfer(&native, &[1]))]);
    assert_eq!(chain.balance(reverting), U256::ZERO);
    let stored = chain.engine.store().snapshot(chain.round).unwrap().get(&account_key(&native)).unwrap().unwrap();
    assert_eq!(evm_core::layout::AccountRecord::decode(&stored).unwrap().balance, U256::from(60));
}

#[test]
fn account_met_after_it_was_paid_by_its_oasis_address_keeps_both() {
    let mut chain = Chain::new();
    let stranger = Address::repeat_byte(0xab);
    // Pays by sub-call (calldata), then sends 5 to the stranger by its Ethereum address.
    let mut code = hex!("365f5f375f5f365f5f73").to_vec();
    code.extend(SUBCALL().as_slice());
    code.extend(hex!("5af1505f5f5f5f600573"));
    code.extend(stranger.as_slice());
    code.extend(hex!("5af100"));
    let payer = chain.deploy(&code);
    let input = transfer(&oasis_address(&stranger), &[30]);
    let record = chain.run(&[account(2).send(0, TxKind::Call(payer), 100, 1_000_000, &input)]).remove(0);
    assert_eq!(record.error, None);
    assert_eq!(chain.balance(stranger), U256::from(35));
    assert_eq!(chain.balance(payer), U256::from(65));
}

#[test]
fn static_and_delegate_calls_cannot_pay() {
    let mut chain = Chain::new();
    let input = transfer(&[0; 21], &[0]);
    let statically = chain.deploy(&forwarder(SUBCALL(), 0xfa));
    let output = chain.query(statically, &input).unwrap();
    assert_eq!(reply(&output[32..]), (25, b"core".to_vec()));
    let epoch = chain.query(statically, &subcall("core.CurrentEpoch", &Value::Null)).unwrap();
    assert_eq!(reply(&epoch[32..]).0, 0, "reading is fine");
    for opcode in [0xf4, 0xf2] {
        let delegated = chain.deploy(&forwarder(SUBCALL(), opcode));
        assert_eq!(chain.query(delegated, &input).unwrap(), word(0), "only a regular call shows who asks");
    }
}

/// Method, body, caller and whether it is read-only, of each call seen.
type Seen = Vec<(String, Vec<u8>, OasisAddress, bool)>;

struct Modules(Arc<Mutex<Seen>>);

impl Subcalls for Modules {
    fn call(&self, request: &Request<'_>) -> Result<Option<Reply>, HostError> {
        let seen = (request.method.to_owned(), request.body.to_vec(), *request.caller, request.read_only);
        self.0.lock().unwrap().push(seen);
        match request.method {
            "roflmarket.StakeThresholds" => Ok(Some(Reply { status: 0, data: vec![0xa0], gas_used: 10 })),
            "roflmarket.Greedy" => Ok(Some(Reply { status: 0, data: vec![], gas_used: u64::MAX })),
            "roflmarket.Broken" => Err(HostError("module broke".into())),
            _ => Ok(None),
        }
    }
}

#[test]
fn host_modules_are_asked_and_their_failure_voids_the_block() {
    let mut chain = Chain::new();
    let relay = chain.deploy(&forwarder(SUBCALL(), 0xf1));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let store = Arc::clone(chain.engine.store());
    let modules = Some(Box::new(Modules(Arc::clone(&seen))) as Box<dyn Subcalls>);
    chain.engine = Engine::new(ChainConfig::new(CHAIN_ID), store, Some(Box::new(TestKeys)), modules).unwrap();
    let ask = |method: &str| subcall(method, &Value::Null);
    let output = chain.query(relay, &ask("roflmarket.StakeThresholds")).unwrap();
    assert_eq!(reply(&output[32..]), (0, vec![0xa0]));
    assert_eq!(
        seen.lock().unwrap()[0],
        ("roflmarket.StakeThresholds".into(), vec![0xf6], oasis_address(&relay), false)
    );
    assert_eq!(reply(&chain.query(relay, &ask("roflmarket.Unknown")).unwrap()[32..]), (3, b"core".to_vec()));
    assert_eq!(chain.query(relay, &ask("roflmarket.Greedy")).unwrap(), word(0), "more gas than there was");
    let raw = account(2).call(0, relay, &ask("roflmarket.Broken"));
    assert_eq!(chain.propose(&[raw], true).err(), Some(EngineError::Host(HostError("module broke".into()))));
    assert_eq!(chain.run(&[account(2).call(0, relay, &ask("roflmarket.StakeThresholds"))])[0].error, None);
}
