//! A state and a block in which calls run, and what they may pretend of both.

use std::collections::BTreeMap;

use alloy_primitives::{Bytes, TxKind, U256};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use evm_core::{machine::Unwatched, precompiles::Moves};
use revm::{
    context::{
        BlockEnv, CfgEnv, TxEnv,
        either::Either,
        result::{ExecutionResult, InvalidTransaction},
    },
    context_interface::block::BlobExcessGasAndPrice,
    precompile::{PrecompileSpecId, Precompiles},
    primitives::hardfork::SpecId,
};

use crate::{
    chain::Chain,
    failure::{Result, SERVER_ERROR, invalid, refused, unreadable},
    ledger::{Working, block_environment},
    rules::Rules,
    run::Prepared,
};

/// A state and a block in which calls run.
pub struct Stage<'s> {
    /// The state.
    pub working: Working<'s>,
    /// Of the block.
    pub rules: Rules,
    /// The block as contracts see it.
    pub env: BlockEnv,
    /// Precompiles elsewhere.
    pub moves: Moves,
}

impl Chain<'_> {
    /// After a block, which calls see as their own.
    pub fn stage(&self, number: u64) -> Result<Stage<'_>> {
        let imported = self.block(number)?;
        let rules = imported.rules.clone();
        let env = block_environment(&rules, &imported.block.header);
        let moves = moves_of(&rules);
        Ok(Stage { working: self.state_after(number)?, rules, env, moves })
    }
}

impl Stage<'_> {
    /// Pretends facts of the block.
    pub fn see(&mut self, overrides: &BlockOverrides) -> Result<()> {
        let BlockOverrides { number, difficulty, time, gas_limit, coinbase, random, base_fee, .. } = overrides;
        let block = &mut self.env;
        block.number = number.unwrap_or(block.number);
        block.difficulty = difficulty.unwrap_or(block.difficulty);
        block.timestamp = time.map_or(block.timestamp, U256::from);
        block.gas_limit = gas_limit.unwrap_or(block.gas_limit);
        block.beneficiary = coinbase.unwrap_or(block.beneficiary);
        block.prevrandao = random.or(block.prevrandao);
        if let Some(base_fee) = base_fee {
            block.basefee = u64::try_from(*base_fee).map_err(|_| unreadable("baseFeePerGas over 64 bits"))?;
        }
        if let Some(price) = overrides.blob_base_fee {
            let price = u128::try_from(price).map_err(|_| unreadable("blobBaseFee over 128 bits"))?;
            let excess = block.blob_excess_gas_and_price.map_or(0, |known| known.excess_blob_gas);
            block.blob_excess_gas_and_price =
                Some(BlobExcessGasAndPrice { excess_blob_gas: excess, blob_gasprice: price });
        }
        for (number, hash) in overrides.block_hash.iter().flatten() {
            self.working.database()?.pretend_hash(*number, *hash);
        }
        Ok(())
    }

    /// Pretends facts of accounts, in the order of their addresses.
    ///
    /// Source: go-ethereum `internal/ethapi/override` (`StateOverride.Apply`).
    pub fn pretend(&mut self, overrides: &StateOverride) -> Result<()> {
        for (address, account) in overrides.iter().collect::<BTreeMap<_, _>>() {
            let address = *address;
            self.moves.take(address, overrides).map_err(|why| refused(SERVER_ERROR, why))?;
            if account.state.is_some() && account.state_diff.is_some() {
                let why = format!("account {address} has both 'state' and 'stateDiff'");
                return Err(refused(SERVER_ERROR, why));
            }
            let database = self.working.database()?;
            let (nonce, balance) = database.nonce_and_balance(address)?;
            let (nonce, balance) = (account.nonce.unwrap_or(nonce), account.balance.unwrap_or(balance));
            database.set_nonce_and_balance(address, nonce, balance)?;
            if let Some(code) = &account.code {
                database.pretend_code(address, code.clone())?;
            }
            if account.state.is_some() {
                database.pretend_no_storage(address);
            }
            let slots = || account.state.iter().chain(&account.state_diff).flatten();
            for (slot, value) in slots() {
                database.set_slot(address, (*slot).into(), (*value).into())?;
            }
            self.working.accounts.note(address, slots().map(|(slot, _)| (*slot).into()));
        }
        Ok(())
    }

    /// A call as the machine takes it, with what it leaves out.
    ///
    /// Source: go-ethereum `internal/ethapi/transaction_args.go` (`CallDefaults`, `ToMessage`).
    pub fn message(&self, call: &TransactionRequest, gas: u64) -> Result<TxEnv> {
        check_fees(call)?;
        let price = call.gas_price.or(call.max_fee_per_gas).unwrap_or_default();
        let tip = call.max_priority_fee_per_gas.filter(|_| call.gas_price.is_none());
        let blobs = call.blob_versioned_hashes.clone().unwrap_or_default();
        let authorizations = call.authorization_list.clone().unwrap_or_default();
        let has_fees = call.max_fee_per_gas.is_some() || tip.is_some();
        let tx_type = match () {
            () if !authorizations.is_empty() => 4,
            () if !blobs.is_empty() => 3,
            () if has_fees && self.rules.since(SpecId::LONDON) => 2,
            () => u8::from(call.access_list.is_some()),
        };
        Ok(TxEnv {
            tx_type,
            caller: call.from.unwrap_or_default(),
            gas_limit: gas,
            gas_price: price,
            kind: call.to.unwrap_or(TxKind::Create),
            value: call.value.unwrap_or_default(),
            data: data_of(call)?,
            nonce: call.nonce.unwrap_or_default(),
            chain_id: Some(self.rules.cfg.chain_id),
            access_list: call.access_list.clone().unwrap_or_default(),
            gas_priority_fee: (tx_type >= 2).then(|| tip.unwrap_or_default()),
            blob_hashes: blobs,
            max_fee_per_blob_gas: call.max_fee_per_blob_gas.unwrap_or_default(),
            authorization_list: authorizations.into_iter().map(Either::Left).collect(),
        })
    }

    /// Rules and block of a call: who pays nothing is not asked for a fee, and no nonce is looked at.
    fn relaxed(&self, message: &TxEnv) -> (CfgEnv, BlockEnv) {
        let (mut cfg, mut env) = (self.rules.cfg.clone(), self.env.clone());
        cfg.disable_nonce_check = true;
        cfg.disable_eip3607 = true;
        cfg.disable_block_gas_limit = true;
        cfg.tx_gas_limit_cap = Some(u64::MAX);
        if message.gas_price == 0 && message.gas_priority_fee.unwrap_or_default() == 0 {
            cfg.disable_base_fee = true;
            env.basefee = 0;
        }
        if message.max_fee_per_blob_gas == 0
            && let Some(blobs) = &mut env.blob_excess_gas_and_price
        {
            blobs.blob_gasprice = 0;
        }
        (cfg, env)
    }

    /// Runs a call; the inner error says why it may not run.
    pub fn attempt(&mut self, message: TxEnv) -> Result<std::result::Result<ExecutionResult, InvalidTransaction>> {
        let (cfg, env) = self.relaxed(&message);
        self.working.transact(&(cfg, env, message), self.moves.moved(), Unwatched, |_, _, _| Ok(()))
    }

    /// Runs a call that must be able to.
    pub fn run(&mut self, message: TxEnv) -> Result<(ExecutionResult, TxEnv)> {
        match self.attempt(message.clone())? {
            Ok(result) => Ok((result, message)),
            Err(reason) => {
                let (_, why) = invalid(&reason, &message, self.env.basefee);
                Err(refused(SERVER_ERROR, format!("err: {why} (supplied gas {})", message.gas_limit)))
            }
        }
    }

    /// What a call is watched under; see [`Stage::attempt`].
    pub fn prepared(&self, message: TxEnv) -> Prepared {
        let (cfg, env) = self.relaxed(&message);
        (cfg, env, message)
    }
}

/// Moves of precompiles under the rules of a block, none yet.
pub fn moves_of(rules: &Rules) -> Moves {
    Moves::new(Precompiles::new(PrecompileSpecId::from_spec_id(rules.cfg.spec)).addresses().copied().collect())
}

/// Refuses two ways of naming a price.
pub fn check_fees(call: &TransactionRequest) -> Result<()> {
    if call.gas_price.is_some() && (call.max_fee_per_gas, call.max_priority_fee_per_gas) != (None, None) {
        let why = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(refused(SERVER_ERROR, why));
    }
    Ok(())
}

/// Calldata under either of its names.
pub fn data_of(call: &TransactionRequest) -> Result<Bytes> {
    let data = call.input.clone().try_into_unique_input().map_err(|_| {
        let why =
            "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction call data";
        refused(SERVER_ERROR, why)
    })?;
    Ok(data.unwrap_or_default())
}
