//! Errors that several modules share. An error of one module alone lives in that module.

use thiserror::Error;

/// A failure as the runtime reports it to the client: module name, code, message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{module}: {message}")]
pub struct ModuleError {
    /// `core`, `evm`, ...
    pub module: &'static str,
    /// Code within the module.
    pub code: u32,
    /// Text after `<module>: `.
    pub message: String,
}
