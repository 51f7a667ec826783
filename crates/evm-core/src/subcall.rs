//! Sub-calls from contracts to runtime modules: those served here, and the extension point for the rest.

use crate::{
    failure::{CORE, HostError},
    layout::OasisAddress,
};

/// core: the method wants more gas than is left.
const OUT_OF_GAS: u64 = 12;

/// Answer of a module to a sub-call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 0 on success, else the module's error code.
    pub status: u64,
    /// CBOR result on success, else the module's name.
    pub data: Vec<u8>,
    /// Gas the module used [gas].
    pub gas_used: u64,
}

/// What a contract asks of a module.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `module.Method`.
    pub method: &'a str,
    /// CBOR body.
    pub body: &'a [u8],
    /// Oasis address of the calling contract.
    pub caller: &'a OasisAddress,
    /// The call must not change anything: static calls, queries and estimates.
    pub read_only: bool,
    /// Most gas the module may use [gas].
    pub gas: u64,
}

impl Request<'_> {
    /// The refusal where a method wants more gas than is left.
    pub(crate) fn charge(&self, gas: u64) -> Option<Reply> {
        (self.gas < gas).then(|| Reply { status: OUT_OF_GAS, data: CORE.as_bytes().to_vec(), gas_used: 0 })
    }
}

/// Modules outside the core, by method name.
pub trait Subcalls: Send + Sync {
    /// The answer, or None when no module has the method.
    fn call(&self, request: &Request<'_>) -> Result<Option<Reply>, HostError>;
}
