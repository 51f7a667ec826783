//! A round that is watched step by step ends as the same round does when nobody looks.

use super::support::{CELL, Chain, account, encrypt, forwarder, word};
use alloy_primitives::{Address, hex};
use evm_core::context::SapphireContext;
use revm::{
    inspector::Inspector,
    interpreter::{CallInputs, CallOutcome, Interpreter, interpreter::EthInterpreter},
};

/// Counts what it sees.
#[derive(Default)]
struct Steps {
    steps: u64,
    calls: Vec<Address>,
}

impl<'e> Inspector<SapphireContext<'e>, EthInterpreter> for Steps {
    fn step(&mut self, _: &mut Interpreter<EthInterpreter>, _: &mut SapphireContext<'e>) {
        self.steps += 1;
    }

    fn call(&mut self, _: &mut SapphireContext<'e>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.calls.push(inputs.target_address);
        None
    }
}

#[test]
fn an_inspector_sees_every_step_and_changes_nothing() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let through = chain.deploy(&forwarder(cell, 0xf1));
    let reverting = chain.deploy(&hex!("5f5ffd"));
    let batch = [
        account(2).call(0, cell, &word(7)),
        account(2).call(1, through, &word(8)),
        account(2).call(2, reverting, &[]),
        account(3).call(0, cell, &encrypt(&word(9)).0),
        account(2).call(2, cell, &word(10)), // its nonce is used up
    ];
    let plain = chain.propose(&batch, false).unwrap();

    let environment = chain.environment();
    let mut round = chain.engine.begin(&environment, &[], false, Steps::default()).unwrap();
    let included: Vec<bool> = batch.iter().map(|raw| round.run(raw).unwrap()).collect();
    assert_eq!(included, [true, true, true, true, false]);
    let steps = std::mem::take(round.observer());
    let watched = round.finish().unwrap();

    assert_eq!(steps.calls, [cell, through, cell, reverting, cell]);
    // CELL stores a word in 9 instructions; the forwarder's own are 23, the reverting contract's 3.
    assert_eq!(steps.steps, 9 + (23 + 9) + 3 + 9);
    assert_eq!(watched.state_root(), plain.state_root());
    assert_eq!(watched.diff(), plain.diff());
    assert_eq!(watched.results, plain.results);
    assert_eq!(watched.io_root, plain.io_root);
    assert_eq!(watched.included, plain.included);
    assert_eq!(watched.rejected, plain.rejected);
    assert_eq!(watched.gas_used, plain.gas_used);
}

#[test]
fn what_an_observer_leaves_unfinished_leaves_no_trace() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let raw = account(2).call(0, cell, &word(7));
    let environment = chain.environment();
    let mut round = chain.engine.begin(&environment, &[], true, Steps::default()).unwrap();
    assert!(round.run(&raw).unwrap());
    drop(round);
    assert_eq!(chain.query(cell, &[]).unwrap(), word(0));
    chain.run(std::slice::from_ref(&raw));
    assert_eq!(chain.query(cell, &[]).unwrap(), word(7));
}
