//! A round: a batch of transactions on the state of the parent gives the next state, and a record for each.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{
    context::result::{ExecutionResult, Output},
    primitives::hardfork::SpecId,
};

use super::{
    Engine, Rejection,
    check::admit,
    sdk::{self, OpenedCall, Parties},
};
use crate::{
    calldata::{Opened, open},
    config::{BLOCK_HASH_WINDOW, INITCODE_LIMIT_BYTES, MAX_RESULT_BYTES, STORAGE_BYTE_GAS},
    database::{Changes, StateDatabase},
    dev_transaction::Edit,
    envelope::seal_ok,
    environment::Environment,
    errors::ModuleError,
    failure::{EngineError, core, execution_failed, halt_reason, out_of_gas, reverted},
    fees::next_min_gas_price,
    genesis::GenesisAccount,
    layout::{FEES_KEY, MIN_GAS_PRICE_KEY, block_hash_key, decode_quantity},
    machine::{Machine, Message, Observer, Pricing, Run, Unwatched},
    merkle,
    modules::{Effect, Effects, Inbox, PENDING_KEY, process, rofl, written_bytes},
    results::{Event, Outcome, record, round_record},
    rng::{Mode, RootRng},
    sdk_transaction::SdkParts,
    tracing::render::Ended,
    transaction::{Transaction, gas_to_begin},
};
use state_core::{
    cbor::{self, Value},
    io::io_root,
    store::{At, Root, Staged, Store},
};

/// The next version, computed and not visible: persist it, or drop it.
pub struct PendingBlock {
    store: Arc<Store>,
    staged: Staged,
    /// Round, and version when persisted.
    pub round: u64,
    /// Positions in the given batch of what was executed.
    pub included: Vec<usize>,
    /// What may never be in this round, with its position. A transaction in neither list did not fit.
    pub rejected: Vec<(usize, Rejection)>,
    /// A record for each included transaction.
    pub results: Vec<Vec<u8>>,
    /// A record of the round itself, where a public chain's Ethereum state root changes in it.
    pub summary: Option<Vec<u8>>,
    /// Gas of all of them [gas].
    pub gas_used: u64,
    /// Root over included transactions and their records, that of the round behind those.
    pub io_root: Root,
    /// Messages to consensus, in order.
    pub messages: Vec<Vec<u8>>,
}

impl PendingBlock {
    /// Root of the state after the round.
    pub fn state_root(&self) -> Root {
        self.staged.root
    }

    /// Canonical changes, ciphertext only: a replica without keys applies them.
    pub fn diff(&self) -> &[u8] {
        &self.staged.diff
    }

    /// Makes it the latest version, durably.
    pub fn persist(&self) -> Result<(), EngineError> {
        Ok(self.store.persist(&self.staged, self.round)?)
    }
}

/// What a transaction owes.
#[derive(Clone, Copy)]
struct Charge {
    gas_used: u64,
    /// Unused gas is not given back: the envelope did not open, or the contract tried to destroy itself.
    keeps_fee: bool,
}

/// How a transaction ended.
struct Settled {
    charge: Charge,
    result: Result<Success, ModuleError>,
    encrypted: bool,
    /// What the sender is told of a failure; empty where the error tells it all.
    told: Vec<u8>,
}

#[derive(Default)]
struct Success {
    output: Vec<u8>,
    logs: Vec<alloy_primitives::Log>,
    contract_address: Option<Address>,
    events: Vec<Event>,
}

/// A round in the making: what [`Engine::begin`] gives, and what transactions are run in.
pub struct Round<'e, O = Unwatched> {
    engine: &'e Engine,
    environment: &'e Environment,
    parent: At,
    strict: bool,
    min_gas_price: u128,
    root_rng: RootRng,
    machine: Machine<'e, O>,
    tally: Tally<'e>,
}

impl Engine {
    /// Executes a batch on the state of the parent round, unwatched.
    ///
    /// Not strict (a scheduler): leaves out what is invalid or does not fit. Strict (a worker): such a
    /// transaction is an error, because an honest scheduler does not propose it. `genesis` is what
    /// accounts have before the first round.
    pub fn execute(
        &self,
        environment: &Environment,
        raw: &[&[u8]],
        genesis: &[GenesisAccount],
        strict: bool,
    ) -> Result<PendingBlock, EngineError> {
        self.execute_after(environment, raw, genesis, Inbox::default(), strict)
    }

    /// Executes a batch like [`execute`](Self::execute), after what consensus has to say.
    pub fn execute_after(
        &self,
        environment: &Environment,
        raw: &[&[u8]],
        genesis: &[GenesisAccount],
        inbox: Inbox,
        strict: bool,
    ) -> Result<PendingBlock, EngineError> {
        let mut round = self.begin(environment, genesis, strict, Unwatched)?;
        round.receive(inbox)?;
        for (raw, decoded) in raw.iter().zip(self.decode(raw)) {
            round.run_decoded(raw, decoded, |_, _| Ok(()))?;
        }
        round.finish()
    }

    /// Begins a round; an observer, one of revm's inspectors, sees each step of what runs in it.
    pub fn begin<'e, O: Observer<'e>>(
        &'e self,
        environment: &'e Environment,
        genesis: &[GenesisAccount],
        strict: bool,
        observer: O,
    ) -> Result<Round<'e, O>, EngineError> {
        let parent = environment.parent().ok_or_else(|| EngineError::Config("round 0 is the empty state".into()))?;
        let mut database = self.database(environment, parent)?;
        for account in genesis {
            database.endow(account)?;
        }
        let min_gas_price = self.min_gas_price_at(database.snapshot())?;
        let root_rng = RootRng::new(&environment.rng_key, Mode::Execute);
        let rng = root_rng.fork(&B256::ZERO.0);
        let subcalls = self.subcalls.as_deref();
        let mut machine =
            Machine::new(&self.config, environment, min_gas_price, Pricing::Exact, subcalls, rng, database, observer);
        machine.set_attested(self.attested());
        let tally = Tally::default();
        Ok(Round { engine: self, environment, parent, strict, min_gas_price, root_rng, machine, tally })
    }
}

impl<'e, O: Observer<'e>> Round<'e, O> {
    /// Does what follows from what consensus has to say; to be called before the first transaction.
    pub fn receive(&mut self, inbox: Inbox) -> Result<(), EngineError> {
        process(self.machine.database(), inbox)
    }

    /// Runs one raw transaction, the next of the batch; says whether it is in the round.
    pub fn run(&mut self, raw: &'e [u8]) -> Result<bool, EngineError> {
        self.run_shown(raw, |_, _| Ok(()))
    }

    /// Runs one raw transaction like [`run`](Self::run), and shows how it ended before its changes are taken over.
    pub(super) fn run_shown(
        &mut self,
        raw: &'e [u8],
        look: impl FnOnce(&mut Machine<'e, O>, &Ended<'_>) -> Result<(), EngineError>,
    ) -> Result<bool, EngineError> {
        let decoded = self.engine.decode(&[raw]).pop();
        self.run_decoded(raw, decoded.unwrap_or_else(|| Err(core(1, "malformed transaction"))), look)
    }

    /// Results of the transactions so far.
    pub(super) fn results(&self) -> &[Vec<u8>] {
        &self.tally.results
    }

    /// The state as the transactions so far left it.
    pub(super) fn database(&mut self) -> &StateDatabase<'e> {
        self.machine.database()
    }

    /// Who watches.
    pub fn observer(&mut self) -> &mut O {
        self.machine.observer()
    }

    fn run_decoded(
        &mut self,
        raw: &'e [u8],
        decoded: Result<Arc<Transaction>, ModuleError>,
        look: impl FnOnce(&mut Machine<'e, O>, &Ended<'_>) -> Result<(), EngineError>,
    ) -> Result<bool, EngineError> {
        let index = self.tally.seen;
        self.tally.seen += 1;
        let transaction = match decoded {
            Ok(transaction) => transaction,
            Err(error) => return self.refuse(index, None, error),
        };
        let parties = match &transaction.sdk {
            None => Parties { payer: transaction.sender, cosigners: Vec::new() },
            Some(parts) => match sdk::meet(parts, self.environment, self.machine.database())? {
                Ok(parties) => parties,
                Err(error) => return self.refuse(index, Some(transaction.hash), error),
            },
        };
        let (nonce, _) = self.machine.database().nonce_and_balance(transaction.sender)?;
        let (_, balance) = self.machine.database().nonce_and_balance(parties.payer)?;
        let admitted = match transaction.nonce.cmp(&nonce) {
            std::cmp::Ordering::Less => Err(core(4, "invalid nonce")),
            std::cmp::Ordering::Greater => Err(core(26, "future nonce")),
            std::cmp::Ordering::Equal => admit(&self.engine.config, &transaction, balance, self.min_gas_price),
        };
        let (price, fee) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return self.refuse(index, Some(transaction.hash), error),
        };
        let batch_gas_limit = self.engine.config.batch_gas_limit;
        if transaction.gas_limit > batch_gas_limit - self.tally.gas_used {
            if self.strict {
                let error = out_of_gas(batch_gas_limit, self.tally.gas_used + transaction.gas_limit);
                return Err(EngineError::InvalidBatch { index, error });
            }
            return Ok(false);
        }
        self.machine.set_rng(self.root_rng.fork(&transaction.hash.0));
        let settled = match &transaction.edit {
            Some(edit) => (self.run_edit(&transaction, edit, look)?, 0),
            None => self.run_transaction(&transaction, &parties, price, fee, look)?,
        };
        self.tally.settle(index, raw, &transaction, settled);
        Ok(true)
    }

    fn refuse(&mut self, index: usize, hash: Option<B256>, error: ModuleError) -> Result<bool, EngineError> {
        if self.strict {
            return Err(EngineError::InvalidBatch { index, error });
        }
        self.tally.rejected.push((index, Rejection { hash, error }));
        Ok(false)
    }

    /// Changes the state as its owner says, for nothing.
    fn run_edit(
        &mut self,
        transaction: &Transaction,
        edit: &Edit,
        look: impl FnOnce(&mut Machine<'e, O>, &Ended<'_>) -> Result<(), EngineError>,
    ) -> Result<Settled, EngineError> {
        let before = self.machine.database().nonce_and_balance(transaction.sender)?;
        self.machine.database().set_nonce_and_balance(transaction.sender, before.0 + 1, before.1)?;
        self.machine.prepare(&message(transaction, 0, 0, &Opened { data: transaction.input.to_vec(), key: None }));
        let ended = Ended {
            run: None,
            gas_used: 0,
            is_dropped: false,
            sender: transaction.sender,
            before,
            fee: U256::ZERO,
            fee_taken: U256::ZERO,
        };
        look(&mut self.machine, &ended)?;
        let result = self.apply_edit(edit)?.map(|()| Success::default());
        let charge = Charge { gas_used: 0, keeps_fee: false };
        Ok(Settled { charge, result, encrypted: false, told: Vec::new() })
    }

    fn apply_edit(&mut self, edit: &Edit) -> Result<Result<(), ModuleError>, EngineError> {
        let database = self.machine.database();
        match edit {
            Edit::Balance(address, balance) => {
                let (nonce, _) = database.nonce_and_balance(*address)?;
                database.set_nonce_and_balance(*address, nonce, *balance)?;
            }
            Edit::Nonce(address, nonce) => {
                let (held, balance) = database.nonce_and_balance(*address)?;
                if *nonce < held {
                    return Ok(Err(core(4, "invalid nonce")));
                }
                database.set_nonce_and_balance(*address, *nonce, balance)?;
            }
            Edit::Code(address, code) => database.set_code(*address, code)?,
            Edit::Storage(address, slot, value) => database.set_slot(*address, *slot, *value)?,
            Edit::MinGasPrice(price) => self.tally.next_price = Some(*price),
            Edit::Names(_) if self.engine.config.confidential => return Ok(Err(core(10, "there are no tries here"))),
            Edit::Names(addresses) => database.name(addresses)?,
        }
        Ok(Ok(()))
    }

    /// Charges, runs and refunds one admitted transaction; also gives the fee it paid.
    fn run_transaction(
        &mut self,
        transaction: &Transaction,
        parties: &Parties,
        price: u128,
        fee: u128,
        look: impl FnOnce(&mut Machine<'e, O>, &Ended<'_>) -> Result<(), EngineError>,
    ) -> Result<(Settled, u128), EngineError> {
        let (nonce, balance) = self.machine.database().nonce_and_balance(transaction.sender)?;
        // A creation takes its address from the nonce before it is bumped, and revm bumps it itself.
        let first_nonce = if transaction.to.is_some() { nonce + 1 } else { nonce };
        self.machine.database().set_nonce_and_balance(transaction.sender, first_nonce, balance)?;
        for cosigner in &parties.cosigners {
            let (nonce, balance) = self.machine.database().nonce_and_balance(*cosigner)?;
            self.machine.database().set_nonce_and_balance(*cosigner, nonce + 1, balance)?;
        }
        let (payer_nonce, payer_balance) = self.machine.database().nonce_and_balance(parties.payer)?;
        self.machine.database().set_nonce_and_balance(parties.payer, payer_nonce, payer_balance - U256::from(fee))?;

        let refund_of = |charge: Charge| {
            let unused = if charge.keeps_fee { 0 } else { u128::from(transaction.gas_limit - charge.gas_used) };
            unused * price
        };
        let settled = self.run_evm(transaction, price, |machine, run, charge, is_dropped| {
            let ended = Ended {
                run: run.map(|run| (&run.result, &run.state)),
                gas_used: charge.gas_used,
                is_dropped,
                sender: transaction.sender,
                before: (nonce, balance),
                fee: U256::from(fee - refund_of(charge)),
                fee_taken: U256::from(fee),
            };
            look(machine, &ended)
        })?;

        let refund = refund_of(settled.charge);
        let (held, balance) = self.machine.database().nonce_and_balance(transaction.sender)?;
        // With code of its own it may have used more of them (EIP-7702).
        self.machine.database().set_nonce_and_balance(transaction.sender, held.max(nonce + 1), balance)?;
        let (payer_nonce, payer_balance) = self.machine.database().nonce_and_balance(parties.payer)?;
        self.machine.database().set_nonce_and_balance(
            parties.payer,
            payer_nonce,
            payer_balance + U256::from(refund),
        )?;
        Ok((settled, fee - refund))
    }

    fn run_evm(
        &mut self,
        transaction: &Transaction,
        price: u128,
        look: impl FnOnce(&mut Machine<'e, O>, Option<&Run>, Charge, bool) -> Result<(), EngineError>,
    ) -> Result<Settled, EngineError> {
        let prepaid_gas = transaction.prepaid_gas(&self.engine.config);
        let index = self.tally.included.len();
        if let Some(parts) = &transaction.sdk {
            return self.run_sdk(transaction, parts, price, prepaid_gas, look);
        }
        self.machine.set_origin(sdk::origin(transaction, index, None));
        let opened = match open(&self.engine.config, self.environment, &transaction.input) {
            Ok(opened) => opened,
            Err(error) => {
                let charge = Charge { gas_used: prepaid_gas, keeps_fee: true };
                return Ok(Settled { charge, result: Err(error), encrypted: true, told: Vec::new() });
            }
        };
        let encrypted = opened.key.is_some();
        let message = message(transaction, price, prepaid_gas, &opened);
        if let Some(reason) = refuses_to_start(&message) {
            let charge = Charge { gas_used: message.gas_limit, keeps_fee: false };
            self.machine.prepare(&message);
            look(&mut self.machine, None, charge, true)?;
            return Ok(Settled { charge, result: Err(execution_failed(reason)), encrypted, told: Vec::new() });
        }
        let run = self.machine.run(&message)?;
        let (charge, failure) = self.judge(&message, &run);
        look(&mut self.machine, Some(&run), charge, failure.is_some())?;
        let result = match failure {
            None => Ok(self.take_over(&opened, run)?),
            Some(error) => {
                self.machine.database().discard();
                self.machine.database().apply(run.delegated)?;
                Err(error)
            }
        };
        Ok(Settled { charge, result, encrypted, told: Vec::new() })
    }

    /// Runs a call of the SDK's format; what its sender is told is a result of that format, whatever became of it.
    fn run_sdk(
        &mut self,
        transaction: &Transaction,
        parts: &SdkParts,
        price: u128,
        prepaid_gas: u64,
        look: impl FnOnce(&mut Machine<'e, O>, Option<&Run>, Charge, bool) -> Result<(), EngineError>,
    ) -> Result<Settled, EngineError> {
        let index = self.tally.included.len();
        let nonce = result_nonce(self.environment.parent_round, index)?;
        let opened = match OpenedCall::open(parts, self.environment) {
            Ok(opened) => opened,
            Err(error) => {
                let charge = Charge { gas_used: prepaid_gas, keeps_fee: true };
                let told = cbor::encode(&sdk::fail(&error));
                return Ok(Settled { charge, result: Err(error), encrypted: true, told });
            }
        };
        self.machine.set_origin(sdk::origin(transaction, index, Some(&opened)));
        let encrypted = opened.is_encrypted();
        let settled = |charge, error: ModuleError| {
            let told = opened.seal(sdk::fail(&error), &nonce);
            Settled { charge, result: Err(error), encrypted, told }
        };
        let message = match opened.message(transaction, parts, price, prepaid_gas) {
            Ok(message) => message,
            Err(error) => return Ok(settled(Charge { gas_used: prepaid_gas, keeps_fee: false }, error)),
        };
        if let Some(reason) = refuses_to_start(&message) {
            let charge = Charge { gas_used: message.gas_limit, keeps_fee: false };
            self.machine.prepare(&message);
            look(&mut self.machine, None, charge, true)?;
            return Ok(settled(charge, execution_failed(reason)));
        }
        if message.to.is_some() {
            // As for a call of Ethereum: the nonce is used before anything runs.
            let (nonce, balance) = self.machine.database().nonce_and_balance(message.caller)?;
            self.machine.database().set_nonce_and_balance(message.caller, nonce + 1, balance)?;
        }
        let run = self.machine.run(&message)?;
        let (charge, mut failure) = self.judge(&message, &run);
        let mut value = Value::Null;
        if failure.is_none() {
            match opened.read_output(run.result.output().map_or(&[], |output| output.as_ref())) {
                Ok(read) => value = read,
                Err(error) => failure = Some(error),
            }
        }
        look(&mut self.machine, Some(&run), charge, failure.is_some())?;
        if let Some(error) = failure {
            self.machine.database().discard();
            return Ok(settled(charge, error));
        }
        if let ExecutionResult::Success { output: Output::Create(_, Some(address)), .. } = &run.result {
            value = Value::Bytes(address.to_vec());
        }
        let output = opened.seal(sdk::ok(value), &nonce);
        let plain = Opened { data: Vec::new(), key: None };
        let success = Success { output, ..self.take_over(&plain, run)? };
        Ok(Settled { charge, result: Ok(success), encrypted, told: Vec::new() })
    }

    /// Decides what a run costs, and whether it counts.
    fn judge(&self, message: &Message, run: &Run) -> (Charge, Option<ModuleError>) {
        let charge = Charge { gas_used: gas_used(&run.result), keeps_fee: false };
        match &run.result {
            ExecutionResult::Success { .. } => {}
            ExecutionResult::Revert { output, .. } => return (charge, Some(reverted(&clamp(output)).error)),
            ExecutionResult::Halt { reason, .. } => {
                return (charge, Some(execution_failed(&halt_reason(reason, None))));
            }
        }
        // Since EIP-6780 a contract can only be destroyed where it was made, which leaves nothing behind.
        let may_destroy = self.engine.config.fork.is_enabled_in(SpecId::CANCUN);
        if !may_destroy && run.state.values().any(|account| account.is_selfdestructed()) {
            let charge = Charge { keeps_fee: true, ..charge };
            return (charge, Some(execution_failed("SELFDESTRUCT not supported")));
        }
        let bytes = StateDatabase::pending_bytes(&run.state, self.engine.config.confidential);
        let storage_gas = STORAGE_BYTE_GAS * (bytes + written_bytes(&run.effects));
        if storage_gas > message.gas_limit {
            return (charge, Some(out_of_gas(message.gas_limit, storage_gas)));
        }
        (Charge { gas_used: charge.gas_used.max(storage_gas), ..charge }, None)
    }

    /// Takes over the changes of a run that counts; what it leaves behind.
    fn take_over(&mut self, opened: &Opened, run: Run) -> Result<Success, EngineError> {
        let (logs, output) = match run.result {
            ExecutionResult::Success { logs, output, .. } => (logs, output),
            // Judged before: only successes count.
            other => (Vec::new(), Output::Call(other.into_output().unwrap_or_default())),
        };
        self.machine.database().apply(run.state)?;
        let events = events_of(&run.effects);
        self.machine.database().apply_effects(run.effects);
        Ok(match output {
            // The address is no secret: whoever sees the transaction can compute it.
            Output::Create(_, address) => Success {
                output: address.map(|address| address.to_vec()).unwrap_or_default(),
                logs,
                contract_address: address,
                events,
            },
            Output::Call(output) => {
                let output = clamp(&output);
                let output = match &opened.key {
                    Some(key) => {
                        seal_ok(key, &result_nonce(self.environment.parent_round, self.tally.included.len())?, &output)
                    }
                    None => output,
                };
                Success { output, logs, contract_address: None, events }
            }
        })
    }

    /// Ends the round: seals its changes and stages them.
    pub fn finish(self) -> Result<PendingBlock, EngineError> {
        let Self { engine, environment, parent, min_gas_price, machine, tally, .. } = self;
        let mut database = machine.into_database();
        rofl::expire(&mut database, environment.epoch)?;
        let messages = keep_pending(&mut database);
        let fees = decode_quantity(database.snapshot().get(FEES_KEY)?)?.unwrap_or(0).saturating_add(tally.fees);
        let snapshot = Arc::clone(database.snapshot());
        let keeps_tries = !engine.config.confidential && (database.begins_tries() || merkle::is_kept(&snapshot)?);
        let written = keeps_tries.then(|| database.written()).transpose()?;
        let mut changes = database.into_changes(environment.round)?;
        let ethereum_root = match written {
            Some(written) => Some(merkle::update(&snapshot, &written, &mut changes)?),
            None => None,
        };
        record_block_hash(&mut changes, environment);
        let next_price =
            tally.next_price.unwrap_or_else(|| next_min_gas_price(&engine.config, min_gas_price, tally.gas_used));
        changes.insert(MIN_GAS_PRICE_KEY.to_vec(), Some(next_price.to_be_bytes().to_vec()));
        changes.insert(FEES_KEY.to_vec(), Some(fees.to_be_bytes().to_vec()));
        let staged = engine.store.stage(parent, &changes)?;
        let summary = match ethereum_root {
            Some(root) if merkle::root(&snapshot)? != Some(root) => Some(round_record(&root)),
            _ => None,
        };
        let records: Vec<&Vec<u8>> = tally.results.iter().chain(&summary).collect();
        Ok(PendingBlock {
            store: Arc::clone(&engine.store),
            staged,
            round: environment.round,
            io_root: io_root(&tally.transactions, &records)?,
            summary,
            included: tally.included,
            rejected: tally.rejected,
            results: tally.results,
            gas_used: tally.gas_used,
            messages,
        })
    }
}

/// Keeps what the messages of the round are about until consensus has answered; gives the messages.
fn keep_pending(database: &mut StateDatabase<'_>) -> Vec<Vec<u8>> {
    if database.outgoing().is_empty() {
        return Vec::new();
    }
    let pending = database.outgoing().iter().map(|one| one.pending.clone()).collect();
    let messages = database.outgoing().iter().map(|one| one.message.clone()).collect();
    database.write_record(PENDING_KEY.to_vec(), Some(cbor::encode(&Value::Array(pending))));
    messages
}

/// What the round has so far.
#[derive(Default)]
struct Tally<'e> {
    /// Transactions of the batch so far, whatever became of them.
    seen: usize,
    transactions: Vec<&'e [u8]>,
    included: Vec<usize>,
    rejected: Vec<(usize, Rejection)>,
    results: Vec<Vec<u8>>,
    gas_used: u64,
    fees: u128,
    /// Least price of the next round, where it was edited.
    next_price: Option<u128>,
}

impl<'e> Tally<'e> {
    fn settle(&mut self, index: usize, raw: &'e [u8], transaction: &Transaction, (settled, paid): (Settled, u128)) {
        let gas_used = settled.charge.gas_used;
        self.gas_used += gas_used;
        self.fees = self.fees.saturating_add(paid);
        let (success, error) = match settled.result {
            Ok(success) => (success, None),
            Err(error) => (Success { output: settled.told, ..Success::default() }, Some(error)),
        };
        let outcome = Outcome {
            gas_used,
            cumulative_gas_used: self.gas_used,
            effective_gas_price: paid / u128::from(gas_used.max(1)),
            logs: success.logs,
            contract_address: success.contract_address,
            output: success.output,
            events: success.events,
            error,
            encrypted: settled.encrypted,
        };
        self.results.push(record(transaction, &outcome));
        self.included.push(index);
        self.transactions.push(raw);
    }
}

/// Why a message is not run at all.
fn refuses_to_start(message: &Message) -> Option<&'static str> {
    if message.to.is_none() && message.data.len() > INITCODE_LIMIT_BYTES {
        Some("create contract limit")
    } else if message.prepaid_gas + message.intrinsic_gas > message.gas_limit {
        Some("out of gas")
    } else {
        None
    }
}

fn events_of(effects: &Effects) -> Vec<Event> {
    let event = |effect: &Effect| match effect {
        Effect::Event { kind, value } => Some((*kind, value.clone())),
        Effect::Write { .. } | Effect::Message(_) => None,
    };
    effects.iter().filter_map(event).collect()
}

fn message(transaction: &Transaction, price: u128, prepaid_gas: u64, opened: &Opened) -> Message {
    let data = Bytes::copy_from_slice(&opened.data);
    Message {
        caller: transaction.sender,
        to: transaction.to,
        value: transaction.value,
        intrinsic_gas: gas_to_begin(&data, transaction.to.is_none(), transaction.authorizations.len()),
        data,
        gas_limit: transaction.gas_limit,
        gas_price: price,
        prepaid_gas,
        authorizations: transaction.authorizations.clone(),
    }
}

/// Gas a run used, its refund taken off [gas].
pub(super) fn gas_used(result: &ExecutionResult) -> u64 {
    let gas = result.gas();
    gas.total_gas_spent() - gas.inner_refunded()
}

fn clamp(output: &[u8]) -> Vec<u8> {
    output[..output.len().min(MAX_RESULT_BYTES)].to_vec()
}

/// Nonce under which the result of a transaction is sealed: header round (8) ‖ index (4) ‖ 000000.
fn result_nonce(round: u64, index: usize) -> Result<[u8; 15], EngineError> {
    let index = u32::try_from(index).map_err(|_| EngineError::Config("more than 2^32 transactions".into()))?;
    let mut nonce = [0; 15];
    nonce[..8].copy_from_slice(&round.to_be_bytes());
    nonce[8..12].copy_from_slice(&index.to_be_bytes());
    Ok(nonce)
}

/// Moves the window of round hashes: the grandparent comes in, what is 256 older goes.
fn record_block_hash(changes: &mut Changes, environment: &Environment) {
    let Some(number) = environment.parent_round.checked_sub(1) else { return };
    changes.insert(block_hash_key(number), Some(environment.grandparent_hash.to_vec()));
    if let Some(expired) = number.checked_sub(BLOCK_HASH_WINDOW) {
        changes.insert(block_hash_key(expired), None);
    }
}
