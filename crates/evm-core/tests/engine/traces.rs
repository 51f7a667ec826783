//! Traces of a public chain: what they show is what happened, and they cost no more than they may.

use std::time::Duration;

use super::support::{Account, CELL, CHAIN_ID, Chain, ETHER, GWEI, account, deployer, forwarder, word};
use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use evm_core::{
    config::ChainConfig,
    engine::Replayed,
    failure::EngineError,
    genesis::GenesisAccount,
    tracing::{Limits, Style},
};
use serde_json::{Value, json};

const HASH: B256 = B256::repeat_byte(0xbb);
/// Emits its caller's word as a log with one topic, then reverts with `Error(string)` of nothing if calldata is long.
const LOGGER: &[u8] = &hex!("5f355f52 6001 6020 5f a1 00");
/// Reverts with the word 7.
const REVERTS: &[u8] = &hex!("60075f5260205ffd");
/// Runs until gas is gone.
const LOOPS: &[u8] = &hex!("5b5f56");
/// Creates an empty contract with 5 units, then sends 3 to the zero address.
const PAYS: &[u8] = &hex!("5f5f6005f0 5f5f5f5f6003 5f 5af1 00");

fn public() -> Chain {
    Chain::with(ChainConfig { confidential: false, ..ChainConfig::new(CHAIN_ID) })
}

fn style(json: Value) -> Style {
    Style::parse(json.to_string().as_bytes()).unwrap()
}

fn geth(tracer: &str, config: Value) -> Style {
    style(json!({"geth": {"tracer": tracer, "tracerConfig": config}}))
}

fn replay(
    chain: &Chain,
    batch: &[Vec<u8>],
    wanted: Option<usize>,
    style: &Style,
) -> Result<Vec<Replayed>, EngineError> {
    let raws: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
    chain.engine.replay(&chain.environment(), HASH, &raws, &[], wanted, style, Limits::default())
}

fn trace(chain: &Chain, raw: &[u8], style: &Style) -> Value {
    let replayed = replay(chain, &[raw.to_vec()], Some(0), style).unwrap();
    serde_json::from_slice(&replayed[0].trace).unwrap()
}

fn code_of(error: EngineError) -> u32 {
    match error {
        EngineError::Call(failure) if failure.error.module == "trace" => failure.error.code,
        other => panic!("{other:?}"),
    }
}

fn hex_of(address: Address) -> String {
    format!("{address:?}").to_lowercase()
}

fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn pay(from: &Account, nonce: u64, to: Address, value: u128) -> Vec<u8> {
    from.sign(TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        gas_price: 100 * GWEI,
        gas_limit: 1_000_000,
        to: TxKind::Call(to),
        value: U256::from(value),
        input: Bytes::new(),
    })
}

#[test]
fn a_replay_gives_the_results_of_the_round() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    let batch = [account(2).call(0, cell, &word(7)), account(3).call(0, cell, &word(8))];
    let seen = replay(&chain, &batch, None, &geth("callTracer", Value::Null)).unwrap();
    let block = chain.propose(&batch, true).unwrap();
    assert_eq!(seen.iter().map(|one| one.result.clone()).collect::<Vec<_>>(), block.results);
    // Nothing of it is in the state.
    assert_eq!(chain.query(cell, &[]).unwrap(), word(0));
}

#[test]
fn call_tracer_shows_the_tree_with_the_gas_of_the_receipt() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    let through = chain.deploy(&forwarder(cell, 0xf1));
    let raw = account(2).call(0, through, &word(8));
    let seen = trace(&chain, &raw, &geth("callTracer", Value::Null));
    let receipt = chain.run(&[raw]).remove(0);
    assert_eq!((seen["type"].as_str(), seen["to"].as_str()), (Some("CALL"), Some(hex_of(through).as_str())));
    assert_eq!(seen["from"].as_str().unwrap(), hex_of(account(2).address));
    assert_eq!(quantity(&seen["gasUsed"]), receipt.gas_used);
    assert_eq!(quantity(&seen["gas"]), 1_000_000);
    let inner = &seen["calls"][0];
    assert_eq!(inner["to"].as_str().unwrap(), hex_of(cell));
    assert_eq!(inner["input"].as_str().unwrap(), format!("0x{}", hex::encode(word(8))));
    assert_eq!(seen["calls"].as_array().unwrap().len(), 1);
}

#[test]
fn call_tracer_has_logs_where_asked_and_only_the_top_where_asked() {
    let mut chain = public();
    let logger = chain.deploy(LOGGER);
    let through = chain.deploy(&forwarder(logger, 0xf1));
    let raw = account(2).call(0, through, &word(8));
    let with = trace(&chain, &raw, &geth("callTracer", json!({"withLog": true})));
    let log = &with["calls"][0]["logs"][0];
    assert_eq!(log["address"].as_str().unwrap(), hex_of(logger));
    assert_eq!(log["data"].as_str().unwrap(), format!("0x{}", hex::encode(word(8))));
    assert!(trace(&chain, &raw, &geth("callTracer", json!({})))["calls"][0].get("logs").is_none());
    assert!(trace(&chain, &raw, &geth("callTracer", json!({"onlyTopCall": true}))).get("calls").is_none());
}

#[test]
fn a_revert_and_a_lack_of_gas_read_as_in_geth() {
    let mut chain = public();
    let reverts = chain.deploy(REVERTS);
    let seen = trace(&chain, &account(2).call(0, reverts, &[]), &geth("callTracer", Value::Null));
    assert_eq!(seen["error"].as_str().unwrap(), "execution reverted");
    assert_eq!(seen["output"].as_str().unwrap(), format!("0x{}", hex::encode(word(7))));
    let loops = chain.deploy(LOOPS);
    let seen = trace(&chain, &account(2).call(0, loops, &[]), &geth("callTracer", Value::Null));
    assert_eq!(seen["error"].as_str().unwrap(), "out of gas");
    // Too little for its first step: included, charged, never run.
    let poor = account(2).send(0, TxKind::Call(loops), 0, 21_500, &[1; 40]);
    let seen = trace(&chain, &poor, &geth("callTracer", Value::Null));
    assert_eq!((seen["error"].as_str(), quantity(&seen["gasUsed"])), (Some("out of gas"), 21_500));
}

#[test]
fn prestate_is_the_state_before_the_fee_and_diff_the_state_after_it() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    chain.run(&[account(2).call(0, cell, &word(5))]);
    let sender = account(2);
    let before = chain.balance(sender.address);
    let raw = sender.call(1, cell, &word(6));
    let slot = format!("0x{}", hex::encode(word(0)));
    let at = |number| format!("0x{}", hex::encode(word(number)));

    let pre = trace(&chain, &raw, &geth("prestateTracer", Value::Null));
    let me = &pre[hex_of(sender.address)];
    assert_eq!(U256::from_str_radix(&me["balance"].as_str().unwrap()[2..], 16).unwrap(), before);
    assert_eq!(me["nonce"], json!(1));
    assert_eq!(pre[hex_of(cell)]["storage"][&slot], json!(at(5)));
    assert_eq!(pre[hex_of(cell)]["code"].as_str().unwrap(), format!("0x{}", hex::encode(CELL)));

    let diff = trace(&chain, &raw, &geth("prestateTracer", json!({"diffMode": true})));
    chain.run(&[raw]);
    let me = &diff["post"][hex_of(sender.address)];
    assert_eq!(U256::from_str_radix(&me["balance"].as_str().unwrap()[2..], 16).unwrap(), chain.balance(sender.address));
    assert_eq!(me["nonce"], json!(2));
    assert_eq!(diff["pre"][hex_of(cell)]["storage"][&slot], json!(at(5)));
    assert_eq!(diff["post"][hex_of(cell)]["storage"][&slot], json!(at(6)));
}

#[test]
fn a_failed_transaction_changes_only_its_sender() {
    let mut chain = public();
    let reverts = chain.deploy(REVERTS);
    let sender = account(2);
    let raw = sender.call(0, reverts, &[]);
    let diff = trace(&chain, &raw, &geth("prestateTracer", json!({"diffMode": true})));
    chain.run(&[raw]);
    let post = diff["post"].as_object().unwrap();
    assert_eq!(post.keys().collect::<Vec<_>>(), [&hex_of(sender.address)]);
    let balance = post[&hex_of(sender.address)]["balance"].as_str().unwrap();
    assert_eq!(U256::from_str_radix(&balance[2..], 16).unwrap(), chain.balance(sender.address));
}

#[test]
fn struct_logs_follow_their_options() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    let raw = account(2).call(0, cell, &word(7));
    let all = trace(&chain, &raw, &style(json!({"geth": {}})));
    let logs = all["structLogs"].as_array().unwrap();
    assert_eq!((logs.len(), all["failed"].as_bool()), (9, Some(false)));
    assert_eq!(all["gas"].as_u64().unwrap(), chain.run(std::slice::from_ref(&raw)).remove(0).gas_used);
    let store = logs.iter().find(|log| log["op"] == "SSTORE").unwrap();
    assert_eq!(store["storage"].as_object().unwrap().len(), 1);
    assert!(logs.iter().all(|log| log.get("memory").is_none() && log["depth"] == json!(1)));

    let mut chain = public();
    let cell = chain.deploy(CELL);
    let bare = style(json!({"geth": {"disableStack": true, "disableStorage": true, "enableMemory": true, "limit": 3}}));
    let few = trace(&chain, &account(2).call(0, cell, &word(7)), &bare);
    let logs = few["structLogs"].as_array().unwrap();
    assert_eq!(logs.len(), 3);
    assert!(logs.iter().all(|log| log.get("stack").is_none() && log.get("storage").is_none()));
}

#[test]
fn the_other_tracers_answer_in_their_own_forms() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    let through = chain.deploy(&forwarder(cell, 0xf1));
    let raw = account(2).call(0, through, &word(8));
    let selectors = trace(&chain, &raw, &geth("4byteTracer", Value::Null));
    assert_eq!(selectors, json!({"0x00000000-28": 2}));
    assert_eq!(trace(&chain, &raw, &geth("noopTracer", Value::Null)), json!({}));
    let both = trace(&chain, &raw, &geth("muxTracer", json!({"callTracer": {}, "4byteTracer": null})));
    assert_eq!(both["callTracer"]["to"].as_str().unwrap(), hex_of(through));
    assert_eq!(both["4byteTracer"], selectors);
    let flat = trace(&chain, &raw, &geth("flatCallTracer", Value::Null));
    for frames in [flat, trace(&chain, &raw, &style(json!("frames")))] {
        assert_eq!(frames.as_array().unwrap().len(), 2);
        assert_eq!(frames[1]["traceAddress"], json!([0]));
        assert_eq!(frames[0]["blockHash"].as_str().unwrap(), HASH.to_string());
        assert_eq!(frames[0]["blockNumber"].as_u64().unwrap(), chain.round + 1, "its round, not what contracts see");
    }
}

#[test]
fn parity_results_hold_what_was_asked_for() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    let raw = account(2).call(0, cell, &word(8));
    let all = trace(&chain, &raw, &style(json!({"parity": ["trace", "vmTrace", "stateDiff"]})));
    assert_eq!(all["trace"][0]["action"]["to"].as_str().unwrap(), hex_of(cell));
    assert_eq!(all["vmTrace"]["ops"].as_array().unwrap().len(), 9);
    let slot = format!("0x{}", hex::encode(word(0)));
    assert!(all["stateDiff"][hex_of(cell)]["storage"][&slot].to_string().contains(&hex::encode(word(8))));
    let bare = trace(&chain, &raw, &style(json!({"parity": []})));
    assert_eq!((&bare["vmTrace"], &bare["stateDiff"], &bare["trace"]), (&Value::Null, &Value::Null, &json!([])));
}

#[test]
fn internal_operations_are_transfers_and_creations_below_the_top() {
    let mut chain = public();
    let pays = chain.deploy(PAYS);
    let seen = trace(&chain, &pay(&account(2), 0, pays, 10), &style(json!("operations")));
    let kinds: Vec<_> = seen.as_array().unwrap().iter().map(|one| one["type"].as_u64().unwrap()).collect();
    assert_eq!(kinds, [2, 0]);
    assert_eq!(quantity(&seen[1]["value"]), 3);
}

#[test]
fn earlier_transactions_of_the_round_count_and_are_not_shown() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    let batch = [account(2).call(0, cell, &word(7)), account(3).call(0, cell, &word(9))];
    let seen = replay(&chain, &batch, Some(1), &geth("prestateTracer", Value::Null)).unwrap();
    assert_eq!(seen.len(), 1);
    let pre: Value = serde_json::from_slice(&seen[0].trace).unwrap();
    let storage = &pre[hex_of(cell)]["storage"];
    assert!(storage.to_string().contains(&hex::encode(word(7))), "{storage}");
}

#[test]
fn what_is_no_round_or_no_tracer_is_refused_by_its_code() {
    let chain = public();
    let raw = account(2).call(0, Address::ZERO, &[]);
    let wrong_nonce = account(2).call(9, Address::ZERO, &[]);
    let call = geth("callTracer", Value::Null);
    assert_eq!(code_of(replay(&chain, &[wrong_nonce], None, &call).err().unwrap()), 4);
    assert_eq!(code_of(replay(&chain, &[vec![1, 2]], None, &call).err().unwrap()), 4);
    assert_eq!(code_of(replay(&chain, std::slice::from_ref(&raw), Some(1), &call).err().unwrap()), 4);
    for name in ["noSuchTracer", "{step: function() {}}", "erc7562Tracer"] {
        assert_eq!(
            code_of(replay(&chain, std::slice::from_ref(&raw), None, &geth(name, Value::Null)).err().unwrap()),
            2,
            "{name}"
        );
    }
    for text in ["", "{}", "[]", "\"nothing\"", "{\"geth\": 3}", "{\"parity\": [\"x\"]}", "{\"geth\": {\"limit\": -1}}"]
    {
        assert_eq!(code_of(Style::parse(text.as_bytes()).err().unwrap()), 2, "{text}");
    }
}

#[test]
fn a_trace_ends_at_its_limits_and_not_at_the_gas() {
    let mut chain = public();
    let loops = chain.deploy(LOOPS);
    let raw = account(2).send(0, TxKind::Call(loops), 0, 15_000_000, &[]);
    let environment = chain.environment();
    let with = |limits, style: &Style| chain.engine.replay(&environment, HASH, &[&raw], &[], None, style, limits);
    let steps = style(json!({"geth": {}}));
    let small = Limits { recorded_bytes: 1 << 20, ..Limits::default() };
    assert_eq!(code_of(with(small, &steps).err().unwrap()), 3);
    let short = Limits { answer_bytes: 100, ..Limits::default() };
    assert_eq!(code_of(with(short, &geth("callTracer", Value::Null)).err().unwrap()), 3);
    let quick = Limits { timeout: Some(Duration::ZERO), ..Limits::default() };
    assert_eq!(code_of(with(quick, &geth("callTracer", Value::Null)).err().unwrap()), 3);
    let asked = style(json!({"geth": {"timeout": "0s"}}));
    assert_eq!(code_of(with(Limits::default(), &asked).err().unwrap()), 3);
    // A few of its steps are no problem, and a call's frame does not count them.
    let few = style(json!({"geth": {"limit": 10}}));
    assert_eq!(with(small, &few).unwrap().len(), 1);
    assert_eq!(with(small, &geth("callTracer", Value::Null)).unwrap().len(), 1);
}

#[test]
fn memory_that_each_step_shows_again_is_counted_each_time() {
    let mut chain = public();
    // Each step shows the whole memory again: 64 KiB of it are too much after some hundred steps.
    let deep = chain.deploy(&hex!("5f61ffe0525b600556"));
    let memory = style(json!({"geth": {"enableMemory": true, "disableStack": true}}));
    let raw = account(2).send(0, TxKind::Call(deep), 0, 15_000_000, &[]);
    let environment = chain.environment();
    let seen = chain.engine.replay(&environment, HASH, &[&raw], &[], None, &memory, Limits::default());
    assert_eq!(code_of(seen.err().unwrap()), 3);
}

fn simulate(chain: &Chain, request: &Value) -> Result<Value, EngineError> {
    let text = request.to_string();
    let answer = chain.engine.simulate_blocks(&chain.environment(), chain.round, text.as_bytes(), Limits::default())?;
    let blocks: Value = serde_json::from_slice(&answer).unwrap();
    Ok(blocks.as_array().unwrap().iter().map(|block| block["calls"].clone()).collect())
}

#[test]
fn simulated_calls_build_on_each_other_and_leave_nothing() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    let me = account(2).address;
    let write = json!({"from": me, "to": cell, "data": format!("0x{}", hex::encode(word(7)))});
    let read = json!({"from": me, "to": cell});
    let request = json!({"style": {"outcome": false}, "blocks": [{"calls": [read, write]}, {"calls": [read]}]});
    let seen = simulate(&chain, &request).unwrap();
    assert_eq!(seen[0][0]["output"].as_str().unwrap(), format!("0x{}", hex::encode(word(0))));
    assert_eq!(seen[1][0]["output"].as_str().unwrap(), format!("0x{}", hex::encode(word(7))));
    assert_eq!(chain.query(cell, &[]).unwrap(), word(0));
}

#[test]
fn overrides_of_state_and_block_are_what_contracts_see() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    chain.run(&[account(2).call(0, cell, &word(5))]);
    let read = json!({"to": cell});
    let output = |state: Value, block: Value, call: &Value| {
        let request = json!({
            "style": {"outcome": false}, "blocks": [{"state": state, "block": block, "calls": [call]}]
        });
        simulate(&chain, &request).unwrap()[0][0]["output"].as_str().unwrap().to_owned()
    };
    let (slot, other) = (hex::encode_prefixed(word(0)), hex::encode_prefixed(word(1)));
    let nine = hex::encode_prefixed(word(9));
    let read_slot = |state: Value| output(json!({cell.to_string(): state}), json!({}), &read);
    assert_eq!(read_slot(json!({})), hex::encode_prefixed(word(5)));
    assert_eq!(read_slot(json!({"stateDiff": {slot.clone(): nine}})), nine);
    assert_eq!(read_slot(json!({"stateDiff": {other.clone(): nine}})), hex::encode_prefixed(word(5)));
    assert_eq!(read_slot(json!({"state": {other: nine}})), hex::encode_prefixed(word(0)), "all else is gone");
    // NUMBER, TIMESTAMP, COINBASE, PREVRANDAO, BASEFEE, GASLIMIT, BLOCKHASH(NUMBER - 1), each in a word.
    let looks = "435f52 42602052 41604052 44606052 48608052 4560a052 600143034060c052 60e05ff3".replace(' ', "");
    let block = json!({
        "number": "0x1234", "time": "0x77", "coinbase": Address::repeat_byte(1), "random": B256::repeat_byte(2),
        "baseFee": "0x5", "gasLimit": "0x99", "blockHash": {"4659": B256::repeat_byte(3)},
    });
    let seen = output(json!({cell.to_string(): {"code": format!("0x{looks}")}}), block, &read);
    let words: Vec<&str> = (0..7).map(|at| &seen[2 + 64 * at..66 + 64 * at]).collect();
    for (at, number) in [(0, 0x1234), (1, 0x77), (4, 5), (5, 0x99)] {
        assert_eq!(words[at], hex::encode(word(number)), "word {at}");
    }
    assert_eq!(words[2], hex::encode(Address::repeat_byte(1).into_word()));
    assert_eq!((words[3], words[6]), (hex::encode([2; 32]).as_str(), hex::encode([3; 32]).as_str()));
    // A balance from nowhere, and a nonce that says where a contract comes to lie.
    let rich = Address::repeat_byte(0x42);
    let state = json!({rich.to_string(): {"balance": U256::from(ETHER), "nonce": "0x7"}});
    let create = json!({"from": rich, "value": U256::from(ETHER), "data": hex::encode_prefixed(deployer(CELL))});
    let request = json!({"style": geth_json("callTracer"), "blocks": [{"state": state, "calls": [create]}]});
    let seen = simulate(&chain, &request).unwrap();
    assert_eq!(seen[0][0]["trace"]["to"].as_str().unwrap(), hex_of(rich.create(7)));
}

fn geth_json(tracer: &str) -> Value {
    json!({"geth": {"tracer": tracer}})
}

#[test]
fn access_lists_have_what_is_touched_beside_sender_and_target() {
    let mut chain = public();
    let cell = chain.deploy(CELL);
    let through = chain.deploy(&forwarder(cell, 0xf1));
    let call = json!({"from": account(2).address, "to": through, "data": hex::encode_prefixed(word(7))});
    let seen = simulate(&chain, &json!({"style": {"accessList": []}, "blocks": [{"calls": [call]}]})).unwrap();
    let expected = json!([{"address": hex_of(cell), "storageKeys": [hex::encode_prefixed(word(0))]}]);
    assert_eq!(seen[0][0]["trace"], expected);
}

#[test]
fn transfers_are_logs_where_asked() {
    let mut chain = public();
    let pays = chain.deploy(PAYS);
    let call = json!({"from": account(2).address, "to": pays, "value": "0xa"});
    let count = |with: bool| {
        let request = json!({"style": {"outcome": with}, "blocks": [{"calls": [call]}]});
        simulate(&chain, &request).unwrap()[0][0]["logs"].as_array().unwrap().len()
    };
    assert_eq!((count(false), count(true)), (0, 3));
}

#[test]
fn simulations_are_bounded() {
    let mut chain = public();
    let loops = chain.deploy(LOOPS);
    let refused = |request: Value| code_of(simulate(&chain, &request).unwrap_err());
    let calls = vec![json!({"to": loops}); 1_001];
    assert_eq!(refused(json!({"style": {"outcome": false}, "blocks": [{"calls": calls}]})), 3);
    let calls = vec![json!({"to": loops}); 5];
    assert_eq!(refused(json!({"style": {"outcome": false}, "blocks": [{"calls": calls}]})), 3, "gas of five batches");
    assert_eq!(refused(json!({"style": {"outcome": false}, "blocks": vec![json!({}); 257]})), 3);
    assert_eq!(refused(json!({"style": {"outcome": false}, "blocks": [], "more": 1})), 2);
    let both = json!({loops.to_string(): {"state": {}, "stateDiff": {}}});
    assert_eq!(refused(json!({"style": {"outcome": false}, "blocks": [{"state": both}]})), 2);
}

fn range(contract: Address, start: B256, limit: usize) -> Style {
    style(json!({"storage": {"address": contract, "start": start, "limit": limit}}))
}

#[test]
fn storage_is_that_before_a_transaction() {
    for confidential in [true, false] {
        let mut chain = Chain::with(ChainConfig { confidential, ..ChainConfig::new(CHAIN_ID) });
        let cell = chain.deploy(CELL);
        chain.run(&[account(2).call(0, cell, &word(7))]);
        let batch =
            [account(3).call(0, cell, &word(8)), account(4).call(0, cell, &word(0)), account(3).call(1, cell, &[])];
        let seen = replay(&chain, &batch, None, &range(cell, B256::ZERO, 10)).unwrap();
        let values: Vec<Value> = seen
            .iter()
            .map(|one| {
                let page: Value = serde_json::from_slice(&one.trace).unwrap();
                assert_eq!(page["nextKey"], Value::Null);
                page["storage"][keccak256(B256::ZERO).to_string()]["value"].clone()
            })
            .collect();
        // What is zero is not there.
        assert_eq!(values, [json!(B256::from(word(7))), json!(B256::from(word(8))), Value::Null], "{confidential}");
        let results = seen.into_iter().map(|one| one.result).collect::<Vec<_>>();
        assert_eq!(results, chain.propose(&batch, true).unwrap().results);
    }
}

#[test]
fn storage_is_shown_page_by_page_in_the_order_of_hashes() {
    let chain = public();
    let contract = Address::repeat_byte(0x77);
    let storage: Vec<(U256, U256)> = (1..=5).map(|n| (U256::from(n), U256::from(n * n))).collect();
    let genesis = [GenesisAccount {
        address: contract,
        balance: U256::ZERO,
        nonce: 1,
        code: Bytes::new(),
        storage: storage.clone(),
    }];
    let raw = pay(&account(2), 0, contract, 1);
    let (mut start, mut found, mut pages) = (Some(B256::ZERO), Vec::new(), 0);
    while let Some(from) = start {
        let style = range(contract, from, 2);
        let replayed =
            chain.engine.replay(&chain.environment(), HASH, &[&raw], &genesis, Some(0), &style, Limits::default());
        let page: Value = serde_json::from_slice(&replayed.unwrap()[0].trace).unwrap();
        for (hash, entry) in page["storage"].as_object().unwrap() {
            let (key, value): (B256, B256) = serde_json::from_value(json!([entry["key"], entry["value"]])).unwrap();
            assert_eq!(hash, &keccak256(key).to_string());
            found.push((hash.clone(), (U256::from_be_bytes(key.0), U256::from_be_bytes(value.0))));
        }
        start = serde_json::from_value(page["nextKey"].clone()).unwrap();
        pages += 1;
    }
    assert_eq!(pages, 3);
    assert!(found.is_sorted());
    let mut slots: Vec<(U256, U256)> = found.into_iter().map(|(_, slot)| slot).collect();
    slots.sort();
    assert_eq!(slots, storage);
}
