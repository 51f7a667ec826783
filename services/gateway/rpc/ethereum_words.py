"""
Why a call or a transaction fails, in go-ethereum's words, by which wallets and libraries tell.

ethers, viem and web3.py know errors by these texts. The profile `dev` answers with them, `strict`
with Sapphire's. Pure. Source: go-ethereum core/{error,state_transition}.go, core/txpool/{errors,
validation}.go, core/vm/errors.go @ 02b73d4.
"""

from typing import Final

from services.gateway.pooled import PooledTransaction
from services.gateway.rpc.errors import EthereumRejected
from services.gateway.rpc.shapes import show_checksummed
from shared.errors import RuntimeRejected

CALL_GAS: Final = 21_000
CREATE_GAS: Final = 53_000
ZERO_BYTE_GAS, BYTE_GAS = 4, 16
INIT_WORD_GAS: Final = 2
"""Of each word of init code (EIP-3860)."""
AUTHORIZATION_GAS: Final = 25_000
"""Of each authorization (EIP-7702)."""
EXECUTION_FAILED: Final = ("evm", 2)
OUT_OF_GAS: Final = "out of gas"
OUT_OF_FUNDS: Final = "out of funds"
CODE_TOO_LONG: Final = "create contract limit"
MAX_INIT_CODE_BYTES: Final = 131_072
"""Of both kinds of ParaTime. Source: `crates/evm-core/src/config.rs`."""
HALTS: Final = {
    OUT_OF_GAS: OUT_OF_GAS,
    "invalid jump": "invalid jump destination",
    "designated invalid": "invalid opcode: INVALID",
    "create collision": "contract address collision",
    CODE_TOO_LONG: "max code size exceeded",
    "call too deep": "max call depth exceeded",
    "nonce overflow": "nonce uint64 overflow",
    "stack overflow": "stack limit reached 1024 (1023)",
    OUT_OF_FUNDS: "insufficient funds for gas * price + value",
}
"""Ends of a run, as the runtime names them: its `execution failed: …`."""


def intrinsic_gas(data: bytes, *, creates: bool, authorizations: int = 0) -> int:
    """Gas without which no chain begins a transaction [gas]; one may ask for more."""
    zeros = data.count(0)
    gas = ZERO_BYTE_GAS * zeros + BYTE_GAS * (len(data) - zeros)
    gas += CREATE_GAS + INIT_WORD_GAS * (-(-len(data) // 32)) if creates else CALL_GAS
    return gas + AUTHORIZATION_GAS * authorizations


def why_halted(error: RuntimeRejected) -> str | None:
    """Give why a run ended without its result, as the runtime says it; None for other failures."""
    if (error.module, error.code) != EXECUTION_FAILED:
        return None
    return error.message.removeprefix("execution failed: ")


def halted(reason: str) -> EthereumRejected:
    """Name the end of a run."""
    return EthereumRejected(HALTS.get(reason, reason))


# -- calls -------------------------------------------------------------------------------------


def call_lacks_funds(caller: bytes, have: int, want: int) -> EthereumRejected:
    """Refuse a call whose sender has less than it spends [wei]."""
    return EthereumRejected(
        "insufficient funds for gas * price + value: "
        f"address {show_checksummed(caller)} have {have} want {want}"
    )


def call_lacks_gas(have: int, want: int) -> EthereumRejected:
    """Refuse a call with less gas than it takes to begin."""
    return EthereumRejected(
        f"err: intrinsic gas too low: have {have}, want {want} (supplied gas {have})"
    )


def new_code_too_long(init_code_bytes: int) -> EthereumRejected:
    """Refuse a creation, by init code that is too long or because of what it returns."""
    if init_code_bytes <= MAX_INIT_CODE_BYTES:
        return halted(CODE_TOO_LONG)
    return EthereumRejected(
        f"max initcode size exceeded: code size {init_code_bytes} limit {MAX_INIT_CODE_BYTES}"
    )


def over_allowance(allowance: int) -> EthereumRejected:
    """Refuse an estimate: the call needs more than it may, or than its sender can pay [gas]."""
    return EthereumRejected(f"gas required exceeds allowance ({allowance})")


# -- transactions ------------------------------------------------------------------------------


def nonce_too_low(following: int, nonce: int) -> EthereumRejected:
    """Refuse a transaction whose nonce is used up."""
    return EthereumRejected(f"nonce too low: next nonce {following}, tx nonce {nonce}")


def nonce_too_high(sender: bytes, nonce: int, following: int) -> EthereumRejected:
    """Refuse a transaction that is further ahead of its sender than a pool keeps."""
    who = show_checksummed(sender)
    return EthereumRejected(f"nonce too high: address {who}, tx: {nonce} state: {following}")


def lacks_funds(balance: int, cost: int) -> EthereumRejected:
    """Refuse a transaction whose sender has less than it can cost [wei]."""
    return EthereumRejected(
        "insufficient funds for gas * price + value: "
        f"balance {balance}, tx cost {cost}, overshot {cost - balance}"
    )


def lacks_gas(gas: int, least: int) -> EthereumRejected:
    """Refuse a transaction with less gas than it takes to begin."""
    return EthereumRejected(f"intrinsic gas too low: gas {gas}, minimum needed {least}")


def offers_too_little(sent: PooledTransaction, least: int) -> EthereumRejected:
    """Refuse a transaction that offers less than the least price [wei/gas]."""
    return EthereumRejected(
        f"max fee per gas less than block base fee: address {show_checksummed(sent.sender)}, "
        f"maxFeePerGas: {sent.max_fee}, baseFee: {least}"
    )


def tips_more_than_it_offers(sent: PooledTransaction) -> EthereumRejected:
    """Refuse a transaction whose tip is over what it offers in all."""
    return EthereumRejected(
        "max priority fee per gas higher than max fee per gas: "
        f"address {show_checksummed(sent.sender)}, maxPriorityFeePerGas: {sent.max_tip}, "
        f"maxFeePerGas: {sent.max_fee}"
    )


def for_another_chain(named: int, chain_id: int) -> EthereumRejected:
    """Refuse a transaction that is signed for another chain."""
    return EthereumRejected(f"invalid chain id for signer: have {named} want {chain_id}")
