//! `eth_simulateV1` on a ParaTime: what is looked at before a call runs, what it pays, and precompiles that move.

use super::support::{CELL, CHAIN_ID, Chain, ETHER, GWEI, account, deployer, oasis_precompile, word};
use alloy_primitives::{Address, U256, hex};
use evm_core::{config::ChainConfig, failure::EngineError, tracing::Limits};
use serde_json::{Value, json};

/// Returns BASEFEE, GASPRICE, BALANCE(ORIGIN) and GASLIMIT.
const LOOKS: &[u8] = &hex!("485f52 3a602052 3231604052 45606052 60805ff3");
/// Logs once, then hands its value on to a contract that reverts, and logs again.
const LOGS_AROUND: &str = "5f5fa0 5f5f5f5f6001 73RRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRR 5af1 5f5fa0 00";
/// Logs, then reverts.
const LOGS_AND_REVERTS: &[u8] = &hex!("5f5fa0 5f5ffd");
const DESTROYS: &[u8] = &hex!("33ff");
const SHA256: &str = "0x0000000000000000000000000000000000000002";
const ELSEWHERE: &str = "0x0000000000000000000000000000000000123456";
const POOR: Address = Address::repeat_byte(0xc0);
const PRICE: u128 = 100 * GWEI;

fn public() -> Chain {
    Chain::with(ChainConfig { confidential: false, ..ChainConfig::new(CHAIN_ID) })
}

fn run(chain: &Chain, checks: &str, blocks: &Value) -> Result<Value, EngineError> {
    let request = json!({"style": {"outcome": true}, "checks": checks, "blocks": blocks}).to_string();
    let answer = chain.engine.simulate_blocks(&chain.environment(), chain.round, request.as_bytes(), Limits::default());
    Ok(serde_json::from_slice(&answer?).unwrap())
}

/// The code of `eth_simulateV1`, and the words.
fn refusal(outcome: Result<Value, EngineError>) -> (u32, String) {
    match outcome {
        Err(EngineError::Call(failure)) if failure.error.module == "simulation" => {
            (failure.error.code, failure.error.message)
        }
        other => panic!("{other:?}"),
    }
}

fn one(call: &Value) -> Value {
    json!([{"calls": [call]}])
}

fn rich(nonce: u64, calls: Value) -> Value {
    json!([{"state": {POOR.to_string(): {"balance": U256::from(ETHER), "nonce": format!("{nonce:#x}")}}, "calls": calls}])
}

fn words(output: &Value) -> Vec<U256> {
    let bytes = hex::decode(output.as_str().unwrap()).unwrap();
    bytes.chunks(32).map(U256::from_be_slice).collect()
}

#[test]
fn without_validation_only_gas_and_funds_count() {
    let chain = public();
    let to = account(3).address;
    let refuse = |call: Value| refusal(run(&chain, "funds", &one(&call)));
    let (code, why) = refuse(json!({"from": POOR, "to": to, "value": "0x3e8"}));
    assert_eq!(code, 38014);
    assert_eq!(
        why,
        "err: insufficient funds for gas * price + value: address 0xC0C0C0c0C0c0C0c0C0C0C0C0C0C0C0c0C0c0c0C0 \
         have 0 want 1000 (supplied gas 15000000)"
            .replace("0xC0C0C0c0C0c0C0c0C0C0C0C0C0C0C0c0C0c0c0C0", &POOR.to_string())
    );
    assert_eq!(refuse(json!({"from": POOR, "to": to, "maxFeePerGas": "0x1"})).0, 38014, "what it names it pays");
    assert_eq!(refuse(json!({"from": POOR, "to": to, "gas": "0x0"})).0, 38013);
    assert_eq!(refuse(json!({"from": POOR, "to": to, "gas": "0xffffffffffffffff"})).0, 38015);
    let long = format!("0x{}", "00".repeat(0x20001));
    assert_eq!(refuse(json!({"from": POOR, "data": long})).0, 38025);
    assert_eq!(refuse(json!({"to": to, "maxPriorityFeePerGas": "0x1"})).0, 32602, "a tip over the most");
    assert_eq!(refuse(json!({"to": to, "gasPrice": "0x0", "maxFeePerGas": "0x0"})).0, 32000);
    assert_eq!(refuse(json!({"to": to, "chainId": "0x1"})).0, 32000);
    let ran = run(&chain, "funds", &one(&json!({"from": POOR, "to": to, "nonce": "0x64"}))).unwrap();
    assert_eq!(ran[0]["calls"][0]["status"], true, "any nonce will do");
    assert_eq!(ran[0]["calls"][0]["nonce"], 100);
    assert_eq!(ran[0]["block"]["baseFeePerGas"], "0x0");
}

#[test]
fn with_validation_nonces_and_prices_count_too() {
    let chain = public();
    let to = account(3).address;
    let offer = format!("{PRICE:#x}");
    let try_with = |nonce: u64, more: Value| {
        let mut call = json!({"from": POOR, "to": to, "gas": "0x5208", "maxFeePerGas": offer});
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run(&chain, "all", &rich(nonce, json!([call])))
    };
    assert_eq!(refusal(try_with(5, json!({"nonce": "0x4"}))).0, 38010);
    assert_eq!(refusal(try_with(5, json!({"nonce": "0x6"}))).0, 38011);
    assert_eq!(refusal(try_with(u64::MAX, json!({}))).0, 32603);
    let (code, why) = refusal(try_with(5, json!({"maxFeePerGas": "0x1"})));
    assert_eq!((code, why.contains("less than block base fee")), (38012, true));
    let ran = try_with(5, json!({})).unwrap();
    assert_eq!((&ran[0]["calls"][0]["status"], &ran[0]["calls"][0]["nonce"]), (&json!(true), &json!(5)));
    assert_eq!(ran[0]["block"]["baseFeePerGas"], offer);
}

#[test]
fn a_call_pays_what_it_offers_and_gets_back_what_it_does_not_use() {
    let mut chain = public();
    let looks = chain.deploy(LOOKS);
    let look = |offer: Value| {
        let mut call = json!({"from": POOR, "to": looks, "gas": "0x186a0"});
        call.as_object_mut().unwrap().extend(offer.as_object().unwrap().clone());
        let after = json!({"to": looks, "from": POOR});
        let mut blocks = rich(0, json!([call]));
        blocks.as_array_mut().unwrap().push(json!({"calls": [after]}));
        run(&chain, "funds", &blocks).unwrap()
    };
    let free = look(json!({}));
    assert_eq!(words(&free[0]["calls"][0]["output"])[..3], [U256::ZERO, U256::ZERO, U256::from(ETHER)]);
    let paid = look(json!({"maxFeePerGas": "0x7", "maxPriorityFeePerGas": "0x3"}));
    let ran = &paid[0]["calls"][0];
    assert_eq!(words(&ran["output"])[1..3], [U256::from(3), U256::from(ETHER - 3 * 100_000)]);
    let used = ran["gasUsed"].as_u64().unwrap();
    assert_eq!(words(&paid[1]["calls"][0]["output"])[2], U256::from(ETHER - 3 * u128::from(used)));
    let legacy = look(json!({"gasPrice": "0x9"}));
    assert_eq!(words(&legacy[0]["calls"][0]["output"])[1], U256::from(9));
}

#[test]
fn the_least_price_moves_with_the_gas_of_simulated_blocks() {
    let mut chain = public();
    let loops = chain.deploy(&hex!("5b5f56"));
    let offer = json!({"from": account(2).address, "to": loops, "gas": format!("{:#x}", 15_000_000), "maxFeePerGas": format!("{:#x}", 2 * PRICE)});
    let ran = run(&chain, "all", &json!([{"calls": [offer]}, {}, {"block": {"baseFeePerGas": "0x5"}}])).unwrap();
    let fee = |at: usize| U256::from_str_radix(&ran[at]["block"]["baseFeePerGas"].as_str().unwrap()[2..], 16).unwrap();
    assert_eq!((fee(0), fee(1), fee(2)), (U256::from(PRICE), U256::from(PRICE / 8 * 9), U256::from(5)));
}

#[test]
fn a_block_has_no_more_gas_than_it_says_and_hands_its_limit_on() {
    let mut chain = public();
    let looks = chain.deploy(LOOKS);
    let call = json!({"to": looks, "gas": "0xc350"});
    let filled = json!([{"block": {"gasLimit": "0x11170"}, "calls": [call, call]}]);
    assert_eq!(refusal(run(&chain, "funds", &filled)).0, 38015);
    let blocks = json!([{"block": {"gasLimit": "0x11170", "feeRecipient": POOR}}, {"calls": [{"to": looks}]}]);
    let ran = run(&chain, "funds", &blocks).unwrap();
    assert_eq!(words(&ran[1]["calls"][0]["output"])[3], U256::from(0x11170));
    assert_eq!((&ran[1]["block"]["gasLimit"], &ran[1]["calls"][0]["gasLimit"]), (&json!("0x11170"), &json!(0x11170)));
    assert_eq!(ran[1]["block"]["miner"], json!(POOR));
}

#[test]
fn the_whole_simulation_has_a_cap_of_gas() {
    let config = ChainConfig { confidential: false, batch_gas_limit: 1_000_000, ..ChainConfig::new(CHAIN_ID) };
    let chain = Chain::with(config);
    let block = json!({"state": {POOR.to_string(): {"code": "0x5b5f56"}}, "calls": [{"to": POOR}]});
    let blocks = vec![block; 5];
    assert_eq!(refusal(run(&chain, "funds", &json!(blocks))).0, 38026);
}

#[test]
fn the_greatest_nonce_is_followed_by_zero_where_none_is_looked_at() {
    let chain = public();
    let call = json!({"from": POOR, "to": POOR});
    let ran = run(&chain, "funds", &rich(u64::MAX, json!([call, call, {"from": POOR, "data": "0x"}]))).unwrap();
    let nonces: Vec<_> = (0..3).map(|at| ran[0]["calls"][at]["nonce"].as_u64().unwrap()).collect();
    assert_eq!(nonces, [u64::MAX, 0, 1]);
    assert_eq!(ran[0]["calls"][2]["status"], true);
}

#[test]
fn withdrawals_are_there_after_the_block() {
    let chain = public();
    let given = json!({"index": "0x0", "validatorIndex": "0x0", "address": POOR, "amount": "0x2"});
    let pay = json!({"calls": [{"from": POOR, "to": account(3).address, "value": format!("{:#x}", 2 * GWEI)}]});
    assert_eq!(refusal(run(&chain, "funds", &json!([pay]))).0, 38014);
    let ran = run(&chain, "funds", &json!([{"withdrawals": [given]}, pay])).unwrap();
    assert_eq!(ran[1]["calls"][0]["status"], true);
}

#[test]
fn transfers_of_frames_that_fail_are_no_logs_but_take_their_index() {
    let mut chain = public();
    let fails = chain.deploy(LOGS_AND_REVERTS);
    let around = hex::decode(LOGS_AROUND.replace(&"R".repeat(40), &hex::encode(fails)).replace(' ', "")).unwrap();
    let around = chain.deploy(&around);
    let call = json!({"from": account(2).address, "to": around, "value": "0x1"});
    let ran = run(&chain, "funds", &json!([{"calls": [call, call]}])).unwrap();
    let places = |at: usize| -> Vec<u64> {
        let logs = ran[0]["calls"][at]["logs"].as_array().unwrap();
        logs.iter().map(|log| log["index"].as_u64().unwrap()).collect()
    };
    assert_eq!((places(0), places(1)), (vec![0, 1, 4], vec![5, 6, 9]));
}

#[test]
fn precompiles_move_and_leave_their_place() {
    let chain = public();
    let hash = |to: &str| json!({"to": to, "data": "0x01"});
    let state = json!({SHA256: {"movePrecompileToAddress": ELSEWHERE}});
    let blocks = json!([
        {"calls": [hash(SHA256)]},
        {"state": state, "calls": [hash(ELSEWHERE), hash(SHA256)]},
        {"calls": [hash(SHA256), hash(ELSEWHERE)]},
    ]);
    let ran = run(&chain, "funds", &blocks).unwrap();
    let output = |block: usize, at: usize| ran[block]["calls"][at]["output"].clone();
    let known = output(0, 0);
    assert_eq!(known.as_str().unwrap().len(), 66);
    assert_eq!((output(1, 0), output(1, 1)), (known.clone(), json!("0x")));
    assert_eq!((output(2, 0), output(2, 1)), (known, json!("0x")), "the next block has them in their places");
}

#[test]
fn a_precompile_that_is_overridden_is_code_like_any_other() {
    let chain = public();
    let seven = json!({"code": "0x60075f5260205ff3", "movePrecompileToAddress": ELSEWHERE});
    let ran = run(&chain, "funds", &json!([{"state": {SHA256: seven}, "calls": [{"to": SHA256}]}])).unwrap();
    assert_eq!(ran[0]["calls"][0]["output"], hex::encode_prefixed(word(7)));
    let refuse = |state: Value| refusal(run(&chain, "funds", &json!([{"state": state}])));
    let (code, why) = refuse(json!({ELSEWHERE: {"movePrecompileToAddress": SHA256}}));
    assert_eq!((code, why.ends_with("is not a precompile")), (32000, true));
    let both = json!({SHA256: {"movePrecompileToAddress": ELSEWHERE}, ELSEWHERE: {"balance": "0x1"}});
    assert_eq!(refuse(both).0, 32000);
    assert_eq!(refuse(json!({SHA256: {"movePrecompileToAddress": SHA256}})).0, 32000);
}

#[test]
fn precompiles_of_oasis_move_with_what_they_know_of_their_caller() {
    let chain = Chain::new();
    let meter = oasis_precompile(0, 9).to_string();
    let state = json!({meter.clone(): {"movePrecompileToAddress": ELSEWHERE}});
    let blocks = json!([{"calls": [{"to": meter}]}, {"state": state, "calls": [{"to": ELSEWHERE}]}]);
    let ran = run(&chain, "funds", &blocks).unwrap();
    let used = |at: usize| words(&ran[at]["calls"][0]["output"])[0];
    assert_eq!((used(0), used(1)), (U256::from(21_010), U256::from(21_010)));
}

#[test]
fn what_sapphire_lacks_fails_as_in_a_round_and_keeps_the_fee() {
    let mut chain = Chain::new();
    let destroys = chain.deploy(DESTROYS);
    let call =
        json!({"from": POOR, "to": destroys, "gas": "0x186a0", "maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x1"});
    let pay = json!({"from": POOR, "to": destroys, "value": U256::from(ETHER - 100_000)});
    let ran = run(&chain, "funds", &rich(0, json!([call, pay]))).unwrap();
    assert_eq!(ran[0]["calls"][0]["halt"], "SELFDESTRUCT not supported");
    let more = json!({"from": POOR, "to": destroys, "value": U256::from(ETHER - 99_999)});
    assert_eq!(refusal(run(&chain, "funds", &rich(0, json!([call, more])))).0, 38014);
}

#[test]
fn a_sender_that_takes_on_code_itself_does_so_at_its_next_nonce() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    let create = json!({"from": account(2).address, "data": hex::encode_prefixed(deployer(CELL))});
    let ran = run(&chain, "funds", &json!([{"calls": [create, {"to": account(2).address.create(0)}]}])).unwrap();
    assert_eq!(ran[0]["calls"][1]["output"], hex::encode_prefixed(word(0)));
    assert_ne!(cell, account(2).address.create(0));
}
