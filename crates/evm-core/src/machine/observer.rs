//! Who watches a machine: nobody, or one of revm's inspectors. A watched run ends as an unwatched one does.

use revm::{
    context::{Evm, FrameStack, result::ExecutionResult, result::HaltReason},
    handler::{EthFrame, EvmTr, Handler, instructions::EthInstructions},
    inspector::{Inspector, InspectorEvmTr, InspectorHandler},
    interpreter::interpreter::EthInterpreter,
};

use super::{Machine, handler::SapphireHandler};
use crate::{context::SapphireContext, failure::EngineError, precompiles::SapphirePrecompiles};

/// What of revm's EVM a machine is built from.
pub(super) type Inner<'e, O> = Evm<
    SapphireContext<'e>,
    O,
    EthInstructions<EthInterpreter, SapphireContext<'e>>,
    SapphirePrecompiles,
    EthFrame<EthInterpreter>,
>;

/// Nobody watches: the loop without hooks, as rounds and queries run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

/// Runs the loop that calls the observer, or the one that does not.
pub trait Observer<'e>: Sized {
    /// Runs the message that is set up.
    ///
    /// # Errors
    /// The state's or the host's, never the message's own failure.
    fn run(
        machine: &mut Machine<'e, Self>,
        handler: SapphireHandler<'e, Self>,
    ) -> Result<ExecutionResult<HaltReason>, EngineError>;
}

impl<'e> Observer<'e> for Unwatched {
    fn run(
        machine: &mut Machine<'e, Self>,
        mut handler: SapphireHandler<'e, Self>,
    ) -> Result<ExecutionResult<HaltReason>, EngineError> {
        Ok(handler.run(machine)?)
    }
}

impl<'e, O: Inspector<SapphireContext<'e>>> Observer<'e> for O {
    fn run(
        machine: &mut Machine<'e, Self>,
        mut handler: SapphireHandler<'e, Self>,
    ) -> Result<ExecutionResult<HaltReason>, EngineError> {
        Ok(handler.inspect_run(machine)?)
    }
}

type Parts<'m, 'e, O> = (
    &'m SapphireContext<'e>,
    &'m EthInstructions<EthInterpreter, SapphireContext<'e>>,
    &'m SapphirePrecompiles,
    &'m FrameStack<EthFrame<EthInterpreter>>,
    &'m O,
);
type PartsMut<'m, 'e, O> = (
    &'m mut SapphireContext<'e>,
    &'m mut EthInstructions<EthInterpreter, SapphireContext<'e>>,
    &'m mut SapphirePrecompiles,
    &'m mut FrameStack<EthFrame<EthInterpreter>>,
    &'m mut O,
);

impl<'e, O: Inspector<SapphireContext<'e>>> InspectorEvmTr for Machine<'e, O> {
    type Inspector = O;

    fn all_inspector(&self) -> Parts<'_, 'e, O> {
        let (context, instructions, precompiles, frames) = self.all();
        (context, instructions, precompiles, frames, &self.0.inspector)
    }

    fn all_mut_inspector(&mut self) -> PartsMut<'_, 'e, O> {
        self.0.all_mut_inspector()
    }
}
