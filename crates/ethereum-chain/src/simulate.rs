//! `eth_simulateV1`: blocks that never were, built as a node would build them, with every root.
//!
//! Source: go-ethereum `internal/ethapi/simulate.go`; execution-apis, `eth_simulateV1`.

use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Eip658Value, Header, ReceiptEnvelope, Transaction,
    proofs::{calculate_receipt_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_primitives::{Address, Bloom, U256};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest};
use evm_core::tracing::{Placed, Transfers};
use revm::{
    context::{
        TxEnv,
        result::{ExecutionResult, InvalidTransaction},
    },
    context_interface::block::BlobExcessGasAndPrice,
    primitives::hardfork::SpecId,
};
use serde_json::{Value, json};

use crate::{
    call::{GAS_CAP, REVERT_CODE},
    chain::Chain,
    failure::{Failure, Result, SERVER_ERROR, invalid, refused, unreadable},
    header::{base_fee, excess_blob_gas},
    ledger::{Block, Envelope, block_environment, receipt, requests_hash},
    run::{Prepared, transaction_environment},
    shown::{self, Place, quantity},
    stage::{Stage, check_fees, moves_of},
    unsigned::Fields,
    wanted::{Payload, Wanted, fill_gaps},
    words::{halted, reverted},
};

/// Code of a call that halted.
const HALT_CODE: i64 = -32015;

/// A simulation that runs.
struct Simulator<'s, 'k> {
    chain: &'s Chain<'k>,
    payload: Payload,
    stage: Stage<'s>,
    next_log: usize,
    gas_left: u64,
    parent: Header,
}

/// A call with what came of it.
struct Called {
    envelope: Envelope,
    sender: Address,
    result: ExecutionResult,
    /// With transfers of ether among them.
    logs: Vec<Placed>,
}

impl Chain<'_> {
    /// Blocks that never were, after one that was; JSON to JSON.
    ///
    /// # Errors
    /// `Refused`, with the codes of the specification.
    pub fn simulate(&self, number: u64, payload: &[u8]) -> Result<Value> {
        let payload = Payload::read(payload)?;
        let base = self.block(number)?.block.header.clone();
        let wanted = fill_gaps(&base, &payload.block_state_calls)?;
        let mut simulator = Simulator {
            chain: self,
            payload,
            stage: self.stage(number)?,
            next_log: 0,
            gas_left: GAS_CAP,
            parent: base,
        };
        wanted.iter().map(|block| simulator.block(block)).collect()
    }
}

impl Simulator<'_, '_> {
    fn block(&mut self, wanted: &Wanted) -> Result<Value> {
        let mut header = self.header(&wanted.block())?;
        let rules = self.stage.rules.clone();
        self.stage.env = block_environment(&rules, &header);
        self.stage.moves = moves_of(&rules);
        self.next_log = 0;
        self.price_blobs(&wanted.block())?;
        if let Some(overrides) = &wanted.state_overrides {
            self.stage.pretend(overrides)?;
        }
        let env = self.stage.env.clone();
        self.stage.working.begin(&rules, &env, header.parent_hash, header.parent_beacon_block_root)?;
        let (mut called, mut receipts, mut gas_used): (Vec<Called>, Vec<ReceiptEnvelope>, u64) = Default::default();
        for call in &wanted.calls {
            let (envelope, sender) = self.envelope(call, header.gas_limit - gas_used)?;
            let ran = self.run(&envelope, sender)?;
            gas_used += ran.result.tx_gas_used();
            receipts.push(self.receipt(&ran, gas_used)?);
            called.push(ran);
        }
        header.gas_used = gas_used;
        header.requests_hash = self.stage.working.end(&rules, &env)?.as_deref().map(requests_hash);
        let transactions: Vec<Envelope> = called.iter().map(|one| one.envelope.clone()).collect();
        if rules.since(SpecId::CANCUN) {
            header.blob_gas_used = Some(transactions.iter().filter_map(Transaction::blob_gas_used).sum());
        }
        header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |all, receipt| all | *receipt.logs_bloom());
        header.transactions_root = calculate_transaction_root(&transactions);
        header.receipts_root = calculate_receipt_root(&receipts);
        let withdrawals = rules.since(SpecId::SHANGHAI).then(|| wanted.withdrawals.clone());
        header.withdrawals_root = withdrawals.as_ref().map(|list| calculate_withdrawals_root(list));
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
        let mut block = Block { header, body };
        self.stage.working.reward(&rules, &block)?;
        block.header.state_root = self.stage.working.root()?;
        self.enter(&block.header)?;
        Ok(self.show(&block, &called))
    }

    /// What is known of a block before it runs.
    fn header(&mut self, overrides: &BlockOverrides) -> Result<Header> {
        let parent = &self.parent;
        let mut header = Header {
            parent_hash: parent.hash_slow(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            transactions_root: EMPTY_ROOT_HASH,
            number: overrides.number.unwrap_or_default().saturating_to(),
            timestamp: overrides.time.unwrap_or_default(),
            gas_limit: overrides.gas_limit.unwrap_or(parent.gas_limit),
            beneficiary: overrides.coinbase.unwrap_or(parent.beneficiary),
            mix_hash: overrides.random.unwrap_or_default(),
            ..Default::default()
        };
        let rules = self.chain.rules(&header)?;
        let of_work = if rules.since(SpecId::MERGE) { U256::ZERO } else { parent.difficulty };
        header.difficulty = overrides.difficulty.unwrap_or(of_work);
        if rules.since(SpecId::LONDON) {
            let usual = if self.payload.validation { base_fee(&rules, parent) } else { Some(0) };
            let named = overrides.base_fee.map(|fee| u64::try_from(fee).map_err(unreadable)).transpose()?;
            header.base_fee_per_gas = named.or(usual);
        }
        if rules.since(SpecId::CANCUN) {
            header.parent_beacon_block_root = Some(overrides.beacon_root.unwrap_or_default());
            header.excess_blob_gas = excess_blob_gas(&rules, parent);
        }
        self.stage.rules = rules;
        Ok(header)
    }

    fn price_blobs(&mut self, overrides: &BlockOverrides) -> Result<()> {
        if let (Some(price), Some(known)) = (overrides.blob_base_fee, &mut self.stage.env.blob_excess_gas_and_price) {
            let blob_gasprice = u128::try_from(price).map_err(unreadable)?;
            *known = BlobExcessGasAndPrice { excess_blob_gas: known.excess_blob_gas, blob_gasprice };
        }
        Ok(())
    }

    /// Makes a block the parent of the next.
    fn enter(&mut self, header: &Header) -> Result<()> {
        self.stage.working.database()?.pretend_hash(header.number, header.hash_slow());
        self.parent = header.clone();
        Ok(())
    }

    /// A call as an unsigned transaction, with what it leaves out.
    fn envelope(&mut self, call: &TransactionRequest, block_gas_left: u64) -> Result<(Envelope, Address)> {
        check_fees(call)?;
        let sender = call.from.unwrap_or_default();
        let nonce = match call.nonce {
            Some(nonce) => nonce,
            None => self.stage.working.database()?.nonce_and_balance(sender)?.0,
        };
        let gas = call.gas.unwrap_or(block_gas_left);
        if gas > block_gas_left {
            let why = format!("block gas limit reached: remaining: {block_gas_left}, required: {gas}");
            return Err(refused(-38015, why));
        }
        let chain_id = self.stage.rules.cfg.chain_id;
        if let Some(other) = call.chain_id.filter(|named| *named != chain_id) {
            return Err(refused(
                SERVER_ERROR,
                format!("chainId does not match node's (have={other}, want={chain_id})"),
            ));
        }
        let fields = Fields { call, chain_id, nonce, gas: gas.min(self.gas_left) };
        Ok((fields.envelope(self.stage.rules.since(SpecId::LONDON))?, sender))
    }

    fn run(&mut self, envelope: &Envelope, sender: Address) -> Result<Called> {
        let message = transaction_environment(envelope, sender);
        let (mut cfg, env) = (self.stage.rules.cfg.clone(), self.stage.env.clone());
        cfg.disable_eip3607 = true;
        cfg.tx_gas_limit_cap = Some(u64::MAX);
        cfg.disable_nonce_check = true;
        let pays_nothing = message.gas_price == 0 && message.gas_priority_fee.unwrap_or_default() == 0;
        cfg.disable_base_fee = !self.payload.validation && pays_nothing;
        let mut prepared = (cfg, env, message);
        if self.payload.validation {
            self.check_nonce(&prepared.2)?.map_err(|reason| refuse(&reason, &prepared))?;
        }
        prepared.2.nonce = 0; // revm refuses the greatest, even where it looks at no nonce
        let wraps = self.wraps_nonce(sender)?;
        let mut placed = (Vec::new(), self.next_log);
        let transfers = Transfers::new(self.payload.trace_transfers, self.next_log);
        let ran = self.stage.working.transact(&prepared, self.stage.moves.moved(), transfers, |machine, _, _| {
            placed = machine.observer().take();
            Ok(())
        })?;
        let result = ran.map_err(|reason| refuse(&reason, &prepared))?;
        if wraps {
            self.set_nonce(sender, 0)?;
        }
        self.gas_left = self.gas_left.saturating_sub(result.tx_gas_used());
        let logs;
        (logs, self.next_log) = placed;
        Ok(Called { envelope: envelope.clone(), sender, result, logs })
    }

    /// Nonces are looked at before fees, as by go-ethereum.
    fn check_nonce(&mut self, message: &TxEnv) -> Result<std::result::Result<(), InvalidTransaction>> {
        let (state, _) = self.stage.working.database()?.nonce_and_balance(message.caller)?;
        let tx = message.nonce;
        Ok(match () {
            () if tx < state => Err(InvalidTransaction::NonceTooLow { tx, state }),
            () if tx > state => Err(InvalidTransaction::NonceTooHigh { tx, state }),
            () if tx == u64::MAX => Err(InvalidTransaction::NonceOverflowInTransaction),
            () => Ok(()),
        })
    }

    /// Where nonces are not looked at, the greatest is followed by zero: revm has no such way, so that the account
    /// goes through the call with one less.
    fn wraps_nonce(&mut self, sender: Address) -> Result<bool> {
        let (nonce, _) = self.stage.working.database()?.nonce_and_balance(sender)?;
        if nonce == u64::MAX {
            self.set_nonce(sender, u64::MAX - 1)?;
        }
        Ok(nonce == u64::MAX)
    }

    fn set_nonce(&mut self, address: Address, nonce: u64) -> Result<()> {
        let database = self.stage.working.database()?;
        let (_, balance) = database.nonce_and_balance(address)?;
        Ok(database.set_nonce_and_balance(address, nonce, balance)?)
    }

    fn receipt(&mut self, called: &Called, gas_used: u64) -> Result<ReceiptEnvelope> {
        let result = called.result.clone();
        let status = if self.stage.rules.since(SpecId::BYZANTIUM) {
            Eip658Value::Eip658(result.is_success())
        } else {
            Eip658Value::PostState(self.stage.working.root()?)
        };
        receipt(alloy_consensus::Typed2718::ty(&called.envelope), status, gas_used, result)
    }

    fn show(&self, block: &Block, called: &[Called]) -> Value {
        let hash = block.header.hash_slow();
        let place = |index| Place { hash, header: &block.header, index };
        let transactions = called.iter().enumerate().map(|(index, one)| {
            if self.payload.return_full_transactions {
                shown::transaction(&one.envelope, one.sender, Some(place(index)))
            } else {
                json!(one.envelope.tx_hash())
            }
        });
        let mut shown = shown::block(block, hash, transactions.collect());
        let calls = called.iter().enumerate().map(|(index, one)| show_call(one, place(index)));
        shown.insert("calls".into(), calls.collect());
        shown.into()
    }
}

fn refuse(reason: &InvalidTransaction, (_, env, message): &Prepared) -> Failure {
    let (code, why) = invalid(reason, message, env.basefee);
    refused(code, format!("err: {why} (supplied gas {})", message.gas_limit))
}

fn show_call(called: &Called, place: Place<'_>) -> Value {
    let Called { result, logs, .. } = called;
    let hash = *called.envelope.tx_hash();
    let output = result.output().filter(|_| result.is_success()).cloned().unwrap_or_default();
    let logs = logs.iter().map(|(at, log)| shown::log(log, place, hash, *at));
    let mut shown = json!({
        "returnData": output,
        "logs": logs.collect::<Vec<_>>(),
        "gasUsed": quantity(result.tx_gas_used()),
        "maxUsedGas": quantity(result.gas().total_gas_spent().max(result.gas().floor_gas())),
        "status": quantity(u8::from(result.is_success())),
    });
    match result {
        ExecutionResult::Success { .. } => {}
        ExecutionResult::Revert { output, .. } => {
            shown["error"] = json!({"code": REVERT_CODE, "message": reverted(output), "data": output});
        }
        ExecutionResult::Halt { reason, .. } => {
            shown["error"] = json!({"code": HALT_CODE, "message": halted(reason)});
        }
    }
    shown
}
