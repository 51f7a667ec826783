//! Reverts and halts in go-ethereum's words.

use alloy_primitives::U256;
use revm::context::result::HaltReason;

/// A revert in go-ethereum's words: `execution reverted`, with the reason where it can be read.
///
/// Source: go-ethereum `accounts/abi/abi.go` (`UnpackRevert`).
pub fn reverted(output: &[u8]) -> String {
    reason(output).map_or_else(|| "execution reverted".into(), |reason| format!("execution reverted: {reason}"))
}

fn reason(output: &[u8]) -> Option<String> {
    const ERROR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
    const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];
    let (selector, body) = output.split_first_chunk::<4>()?;
    let small = |at: usize| usize::try_from(U256::from_be_slice(body.get(at..at.checked_add(32)?)?)).ok();
    if *selector == PANIC {
        let code = U256::from_be_slice(body.get(..32)?);
        let known = match u8::try_from(code).ok() {
            Some(0x00) => "generic panic",
            Some(0x01) => "assert(false)",
            Some(0x11) => "arithmetic underflow or overflow",
            Some(0x12) => "division or modulo by zero",
            Some(0x21) => "enum overflow",
            Some(0x22) => "invalid encoded storage byte array accessed",
            Some(0x31) => "out-of-bounds array access; popping on an empty array",
            Some(0x32) => "out-of-bounds access of an array or bytesN",
            Some(0x41) => "out of memory",
            Some(0x51) => "uninitialized function",
            _ => return Some(format!("unknown panic code: {code:#x}")),
        };
        return Some(known.into());
    }
    if *selector != ERROR {
        return None;
    }
    let start = small(0)?;
    let length = small(start)?;
    let text = start.checked_add(32)?;
    String::from_utf8(body.get(text..text.checked_add(length)?)?.to_vec()).ok()
}

/// Why the machine stopped, in go-ethereum's words. Source: go-ethereum `core/vm/errors.go`.
pub fn halted(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::OutOfFunds | HaltReason::OverflowPayment => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => "write protection",
        HaltReason::PrecompileError => "precompile failed",
        HaltReason::PrecompileErrorWithContext(text) => text,
    }
    .into()
}
