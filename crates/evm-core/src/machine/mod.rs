//! revm, set up as Sapphire's EVM: rules of the chain's fork, own precompiles, gas of the calling frame.
//!
//! All types of revm's handler stay in this module, so that a new major of revm changes few files.

mod collision;
mod handler;
mod instructions;
mod observer;

use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use revm::{
    Context, Journal,
    context::{
        BlockEnv, CfgEnv, FrameStack, JournalTr, LocalContext, TxEnv,
        result::{ExecutionResult, HaltReason},
    },
    context_interface::{block::BlobExcessGasAndPrice, either::Either, transaction::TransactionType},
    handler::{
        EthFrame, EvmTr, FrameInitOrResult, FrameResult, FrameTr, ItemOrResult, evm::ContextDbError,
        evm::FrameInitResult, instructions::EthInstructions,
    },
    interpreter::{CallInputs, FrameInput, interpreter::EthInterpreter, interpreter_action::FrameInit},
    state::EvmState,
};

pub use self::observer::{Observer, Unwatched};
use self::{handler::SapphireHandler, observer::Inner};
use crate::{
    attested::AttestedHost,
    config::{CODE_LIMIT_BYTES, ChainConfig, INITCODE_LIMIT_BYTES},
    context::{Extras, Origin, SapphireContext},
    database::StateDatabase,
    environment::Environment,
    failure::EngineError,
    modules::Effects,
    precompiles::{Moves, SapphirePrecompiles},
    rng::TransactionRng,
    subcall::Subcalls,
};

/// Gas given on top by a call that sends value [gas].
const CALL_STIPEND: u64 = 2_300;
/// At most a fifth of the gas used is refunded (EIP-3529).
pub(crate) const REFUND_QUOTIENT: u64 = 5;

/// One call or creation, ready to run: signature, nonce and fee are somebody else's business.
#[derive(Clone, Debug)]
pub struct Message {
    /// Sender, both `msg.sender` of the first frame and `tx.origin`.
    pub caller: Address,
    /// Contract or account called; None creates a contract.
    pub to: Option<Address>,
    /// Value sent [base units].
    pub value: U256,
    /// Plain calldata or init code.
    pub data: Bytes,
    /// Whole gas limit [gas].
    pub gas_limit: u64,
    /// Price that `GASPRICE` shows [base units/gas].
    pub gas_price: u128,
    /// Gas already owed outside the EVM: size and signature [gas].
    pub prepaid_gas: u64,
    /// Gas of the EVM's own transaction costs [gas].
    pub intrinsic_gas: u64,
    /// Accounts that take on code before it runs (EIP-7702).
    pub authorizations: Vec<SignedAuthorization>,
}

/// How gas of storage writes is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// As executed.
    Exact,
    /// Every `SSTORE` sets a fresh slot and nothing is refunded: an upper bound for estimates.
    Estimate,
}

/// Result of one message. The state changes are not in the database yet.
pub struct Run {
    /// Outcome and gas, prepaid gas included.
    pub result: ExecutionResult<HaltReason>,
    /// What changed.
    pub state: EvmState,
    /// Whether more than one frame ran.
    pub nested: bool,
    /// What its sub-calls did to modules, without what reverted.
    pub(crate) effects: Effects,
    /// Accounts that took on code before it ran: they keep it, whatever became of it.
    pub(crate) delegated: EvmState,
}

/// The EVM of one round or query, and who watches it.
pub struct Machine<'e, O = Unwatched>(Inner<'e, O>);

impl<'e, O> Machine<'e, O> {
    /// A machine over a database under the parent round's header.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        config: &ChainConfig,
        environment: &'e Environment,
        min_gas_price: u128,
        pricing: Pricing,
        subcalls: Option<&'e dyn Subcalls>,
        rng: TransactionRng,
        database: StateDatabase<'e>,
        observer: O,
    ) -> Self {
        let mut cfg = CfgEnv::new_with_spec(config.fork);
        cfg.chain_id = config.chain_id;
        cfg.limit_contract_code_size = Some(CODE_LIMIT_BYTES);
        cfg.limit_contract_initcode_size = Some(INITCODE_LIMIT_BYTES);
        cfg.disable_fee_charge = true;
        let block = BlockEnv {
            number: U256::from(environment.parent_round),
            beneficiary: Address::ZERO,
            timestamp: U256::from(environment.parent_timestamp),
            gas_limit: config.batch_gas_limit,
            basefee: u64::try_from(min_gas_price).unwrap_or(u64::MAX),
            difficulty: U256::ZERO,
            prevrandao: Some(B256::ZERO),
            // No blobs are ever sold here, so that their price stands at its least.
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, cfg.blob_base_fee_update_fraction())),
            ..Default::default()
        };
        let mut journaled_state = Journal::new(database);
        journaled_state.set_spec_id(config.fork);
        let context = Context {
            block,
            tx: TxEnv::default(),
            cfg,
            journaled_state,
            chain: Extras {
                environment,
                subcalls,
                attested: None,
                origin: Origin::default(),
                rng,
                caller_gas_used: 0,
                prepaid_gas: 0,
                nested: false,
                host_error: None,
                effects: Effects::new(),
                delegated: EvmState::default(),
            },
            local: LocalContext::default(),
            error: Ok(()),
        };
        let instructions = instructions::table(config.fork, pricing);
        let precompiles = SapphirePrecompiles::new(config.fork, config.confidential);
        Self(Inner::new_with_inspector(context, observer, instructions, precompiles))
    }

    /// The database, between two messages.
    pub fn database(&mut self) -> &mut StateDatabase<'e> {
        self.0.ctx.journaled_state.db_mut()
    }

    /// What contracts see of the block.
    pub(crate) fn block(&mut self) -> &mut BlockEnv {
        &mut self.0.ctx.block
    }

    /// Moves of precompiles, none yet.
    pub(crate) fn moves(&self) -> Moves {
        Moves::new(self.0.precompiles.native().clone())
    }

    /// Puts precompiles elsewhere.
    pub(crate) fn relocate(&mut self, moves: &Moves) {
        self.0.precompiles.relocate(moves.moved());
    }

    /// Lets messages reach what the module `rofl` needs of the enclave.
    pub fn set_attested(&mut self, attested: Option<&'e dyn AttestedHost>) {
        self.0.ctx.chain.attested = attested;
    }

    /// Says what sends the next message.
    pub fn set_origin(&mut self, origin: Origin) {
        self.0.ctx.chain.origin = origin;
    }

    /// Gives the random bytes of the next message another stream.
    pub fn set_rng(&mut self, rng: TransactionRng) {
        self.0.ctx.chain.rng = rng;
    }

    /// Who watches.
    pub fn observer(&mut self) -> &mut O {
        &mut self.0.inspector
    }

    /// Ends the machine and gives its database back.
    pub fn into_database(self) -> StateDatabase<'e> {
        self.0.ctx.journaled_state.database
    }

    /// Shows a message to whoever asks the context, as if it were about to run.
    pub(crate) fn prepare(&mut self, message: &Message) {
        let authorizes = !message.authorizations.is_empty();
        self.0.ctx.tx = TxEnv {
            tx_type: if authorizes { TransactionType::Eip7702 } else { TransactionType::Legacy } as u8,
            caller: message.caller,
            gas_limit: message.gas_limit,
            gas_price: message.gas_price,
            kind: message.to.map_or(TxKind::Create, TxKind::Call),
            value: message.value,
            data: message.data.clone(),
            nonce: 0,
            chain_id: None,
            authorization_list: message.authorizations.iter().cloned().map(Either::Left).collect(),
            ..Default::default()
        };
    }

    /// Who watches, and what the EVM works on.
    pub fn observed(&mut self) -> (&mut O, &mut SapphireContext<'e>) {
        (&mut self.0.inspector, &mut self.0.ctx)
    }

    /// Runs one message. Fails only if the state or the host does; the message's own failure is a result.
    pub fn run(&mut self, message: &Message) -> Result<Run, EngineError>
    where
        O: Observer<'e>,
    {
        self.prepare(message);
        self.0.ctx.chain.nested = false;
        let outcome = O::run(self, SapphireHandler::new(message.prepaid_gas, message.intrinsic_gas));
        let effects = std::mem::take(&mut self.0.ctx.chain.effects);
        let delegated = std::mem::take(&mut self.0.ctx.chain.delegated);
        // Also after an error: accounts it loaded must not be warm for the next message.
        let state = self.0.ctx.journaled_state.finalize();
        self.0.ctx.error = Ok(());
        if let Some(error) = self.0.ctx.chain.host_error.take() {
            return Err(error.into());
        }
        Ok(Run { result: outcome?, state, nested: self.0.ctx.chain.nested, effects, delegated })
    }

    /// Upstream passes precompiles what the calling frame has used so far. At the top there is no frame
    /// yet: only the transaction's own cost has been used.
    fn meter_caller(&mut self, call: &CallInputs, depth: usize) {
        if !self.0.precompiles.is_gas_meter(&call.bytecode_address) {
            return;
        }
        self.0.ctx.chain.caller_gas_used = if depth == 0 {
            self.0.ctx.tx.gas_limit - call.gas_limit - self.0.ctx.chain.prepaid_gas
        } else {
            let gas = &self.0.frame_stack.get().interpreter.gas;
            let stipend = if call.value.transfer().is_some_and(|value| !value.is_zero()) { CALL_STIPEND } else { 0 };
            let forwarded = call.gas_limit.saturating_sub(stipend);
            let used = gas.limit().saturating_sub(gas.remaining()).saturating_sub(forwarded);
            let refunded = u64::try_from(gas.refunded()).unwrap_or(0);
            used - refunded.min(used / REFUND_QUOTIENT)
        };
    }
}

impl<'e, O> EvmTr for Machine<'e, O> {
    type Context = SapphireContext<'e>;
    type Instructions = EthInstructions<EthInterpreter, SapphireContext<'e>>;
    type Precompiles = SapphirePrecompiles;
    type Frame = EthFrame<EthInterpreter>;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>) {
        self.0.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Self::Frame>) {
        self.0.all_mut()
    }

    fn frame_init(
        &mut self,
        frame_input: FrameInit,
    ) -> Result<FrameInitResult<'_, Self::Frame>, ContextDbError<Self::Context>> {
        if frame_input.depth > 0 {
            self.0.ctx.chain.nested = true;
        }
        match &frame_input.frame_input {
            FrameInput::Call(call) => self.meter_caller(call, frame_input.depth),
            FrameInput::Create(create) => {
                if let Some(outcome) = collision::meets_storage(&mut self.0.ctx, create, frame_input.depth)? {
                    return Ok(ItemOrResult::Result(FrameResult::Create(outcome)));
                }
            }
            FrameInput::Empty => {}
        }
        self.0.frame_init(frame_input)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Self::Frame>, ContextDbError<Self::Context>> {
        self.0.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: <Self::Frame as FrameTr>::FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<Self::Context>> {
        self.0.frame_return_result(result)
    }
}
