//! The inspector behind every style: the recorder of `revm-inspectors`, and a budget before it.

use alloy_primitives::{Address, Log, U256};
use revm::{
    bytecode::opcode,
    context_interface::ContextError,
    handler::FrameResult,
    inspector::Inspector,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, Interpreter,
        interpreter_types::{InputsTr, Jumps, LoopControl, MemoryTr},
    },
};
use revm_inspectors::{
    access_list::AccessListInspector,
    otterscan::InternalOperationsInspector,
    tracing::{
        DebugInspector, DebugInspectorError, TraceLimitBehavior, TraceLimits, TracingInspector, TracingInspectorConfig,
    },
};

use super::{Budget, Placed, Style, Transfers, budget::NEEDS_MEMORY, too_large, unreadable};
use crate::{context::SapphireContext, failure::EngineError};

/// Who records a transaction.
pub(super) enum Recorder {
    /// Nobody: a transaction before the one that is asked for.
    Nobody,
    Geth(Box<DebugInspector>),
    Parity(Box<TracingInspector>),
    Operations(InternalOperationsInspector),
    AccessList(AccessListInspector),
    Transfers(Transfers),
}

/// Which costs of a step the recorder has.
#[derive(Clone, Copy, Default)]
struct Recorded {
    steps: bool,
    stack: bool,
    memory: bool,
    storage: bool,
    /// Steps after which it records no more.
    limit: Option<u64>,
}

/// Watches a machine for a style, within a budget.
pub struct Onlooker {
    pub(super) recorder: Recorder,
    recorded: Recorded,
    steps: u64,
    budget: Budget,
    /// Index of the next log in its block.
    next_log: usize,
}

impl Onlooker {
    /// An onlooker that records nothing until it is told to.
    pub fn new(budget: Budget) -> Self {
        Self { recorder: Recorder::Nobody, recorded: Recorded::default(), steps: 0, budget, next_log: 0 }
    }

    /// Records the next transaction.
    pub fn watch(&mut self, style: &Style) -> Result<(), EngineError> {
        self.steps = 0;
        self.recorded = Recorded::default();
        self.recorder = match style {
            Style::Geth(options) => {
                let debug = DebugInspector::new((**options).clone()).map_err(unsupported)?;
                if let DebugInspector::Erc7562Tracer(..) = debug {
                    return Err(unsupported(DebugInspectorError::UnsupportedTracer));
                }
                if let DebugInspector::Default(..) = debug {
                    let config = &options.config;
                    self.recorded = Recorded {
                        steps: true,
                        stack: config.is_stack_enabled(),
                        memory: config.is_memory_enabled(),
                        storage: config.is_storage_enabled(),
                        limit: config.limit.filter(|limit| *limit != 0),
                    };
                }
                Recorder::Geth(Box::new(debug))
            }
            Style::Parity(types) => {
                let config = TracingInspectorConfig::from_parity_config(types);
                let steps = config.record_steps;
                self.recorded = Recorded { steps, stack: steps, ..Recorded::default() };
                // It records what a step changes of memory: that is known only to the recorder.
                let limits = TraceLimits::default()
                    .set_max_recorded_bytes(Some(self.budget.bytes_left()))
                    .set_behavior(TraceLimitBehavior::Halt);
                Recorder::Parity(Box::new(TracingInspector::new(config).with_limits(limits)))
            }
            Style::Frames => {
                Recorder::Parity(Box::new(TracingInspector::new(TracingInspectorConfig::default_parity())))
            }
            Style::Operations => Recorder::Operations(InternalOperationsInspector::default()),
            Style::Storage(_) => {
                return Err(unreadable("storage is that before a transaction of a round, and no trace"));
            }
            Style::AccessList(given) => Recorder::AccessList(AccessListInspector::new(given.clone())),
            Style::Outcome(with_transfers) => Recorder::Transfers(Transfers::new(*with_transfers, self.next_log)),
        };
        Ok(())
    }

    /// Begins a block: the next log is its first.
    pub fn begin_block(&mut self) {
        self.next_log = 0;
    }

    /// Logs of a call of whose style nothing but the outcome is; each with its index in the block.
    pub fn take_logs(&mut self) -> Vec<Placed> {
        let Recorder::Transfers(recorder) = &mut self.recorder else { return Vec::new() };
        let logs;
        (logs, self.next_log) = recorder.take();
        logs
    }

    /// Records no more.
    pub fn look_away(&mut self) {
        self.recorder = Recorder::Nobody;
        self.recorded = Recorded::default();
    }

    /// Says why the trace had to end, if it had to.
    pub fn verdict(&self) -> Result<(), EngineError> {
        match &self.recorder {
            Recorder::Parity(recorder) if recorder.limit_exceeded() => Err(too_large(NEEDS_MEMORY)),
            _ => self.budget.verdict(),
        }
    }

    fn keeps_calls(&self) -> bool {
        // Of transfers and logs gas is the bound.
        !matches!(self.recorder, Recorder::Nobody | Recorder::Transfers(_))
    }

    fn count_step(&mut self, interpreter: &Interpreter) {
        self.budget.pass_step();
        let recorded = self.recorded;
        if !recorded.steps || recorded.limit.is_some_and(|limit| self.steps >= limit) {
            return;
        }
        self.steps += 1;
        let stack = if recorded.stack { interpreter.stack.len() } else { 0 };
        let memory = if recorded.memory { interpreter.memory.size() } else { 0 };
        self.budget.record_step(stack, memory);
        if recorded.storage
            && matches!(interpreter.bytecode.opcode(), opcode::SLOAD | opcode::SSTORE)
            && let Some(slot) = interpreter.stack.data().last()
        {
            self.budget.record_slot(interpreter.input.target_address(), *slot);
        }
    }

    fn end_if_exceeded(&self, interpreter: &mut Interpreter, context: &mut SapphireContext<'_>) {
        if self.budget.is_exceeded() {
            interrupt(context);
            interpreter.bytecode.action().take();
            interpreter.bytecode.reset_action();
            interpreter.halt_fatal();
        }
    }
}

/// Makes the machine give up, as if the state could not be read.
fn interrupt(context: &mut SapphireContext<'_>) {
    if context.error.is_ok() {
        context.error = Err(ContextError::Custom("the trace ends here".into()));
    }
}

fn unsupported(error: DebugInspectorError) -> EngineError {
    let names = "callTracer, prestateTracer, flatCallTracer, 4byteTracer, noopTracer and muxTracer";
    unreadable(match error {
        DebugInspectorError::JsTracerNotEnabled | DebugInspectorError::UnsupportedTracer => {
            format!("tracer not found: here are {names}, and the default one, which logs steps; none in JavaScript")
        }
        other => other.to_string(),
    })
}

macro_rules! forward {
    ($self:expr, $recorder:ident => $call:expr, $nobody:expr) => {
        match &mut $self.recorder {
            Recorder::Nobody => $nobody,
            Recorder::Geth($recorder) => $call,
            Recorder::Parity($recorder) => $call,
            Recorder::Operations($recorder) => $call,
            Recorder::AccessList($recorder) => $call,
            Recorder::Transfers($recorder) => $call,
        }
    };
}

impl<'e> Inspector<SapphireContext<'e>> for Onlooker {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut SapphireContext<'e>) {
        forward!(self, recorder => recorder.initialize_interp(interpreter, context), ());
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut SapphireContext<'e>) {
        self.count_step(interpreter);
        if self.budget.is_exceeded() {
            self.end_if_exceeded(interpreter, context);
            return;
        }
        forward!(self, recorder => recorder.step(interpreter, context), ());
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut SapphireContext<'e>) {
        if !self.budget.is_exceeded() {
            forward!(self, recorder => recorder.step_end(interpreter, context), ());
        }
    }

    fn log(&mut self, context: &mut SapphireContext<'e>, log: Log) {
        forward!(self, recorder => recorder.log(context, log), ());
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut SapphireContext<'e>, log: Log) {
        forward!(self, recorder => recorder.log_full(interpreter, context, log), ());
    }

    fn frame_start(&mut self, context: &mut SapphireContext<'e>, input: &mut FrameInput) -> Option<FrameResult> {
        forward!(self, recorder => recorder.frame_start(context, input), None)
    }

    fn frame_end(&mut self, context: &mut SapphireContext<'e>, input: &FrameInput, result: &mut FrameResult) {
        forward!(self, recorder => recorder.frame_end(context, input, result), ());
    }

    fn call(&mut self, context: &mut SapphireContext<'e>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        // A precompile has no step at which the clock could be looked at.
        self.budget.look_at_clock();
        if self.keeps_calls() {
            self.budget.record_call(inputs.input.len());
        }
        if self.budget.is_exceeded() {
            interrupt(context);
        }
        forward!(self, recorder => recorder.call(context, inputs), None)
    }

    fn call_end(&mut self, context: &mut SapphireContext<'e>, inputs: &CallInputs, outcome: &mut CallOutcome) {
        if self.keeps_calls() {
            self.budget.record_call(outcome.output().len());
        }
        forward!(self, recorder => recorder.call_end(context, inputs, outcome), ());
    }

    fn create(&mut self, context: &mut SapphireContext<'e>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        if self.keeps_calls() {
            self.budget.record_call(inputs.init_code().len());
        }
        forward!(self, recorder => recorder.create(context, inputs), None)
    }

    fn create_end(&mut self, context: &mut SapphireContext<'e>, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        if self.keeps_calls() {
            self.budget.record_call(outcome.output().len());
        }
        forward!(self, recorder => recorder.create_end(context, inputs, outcome), ());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        forward!(self, recorder => Inspector::<SapphireContext<'e>>::selfdestruct(&mut *recorder, contract, target, value), ());
    }
}
