"""Calls and estimates, as records ask for them."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import evm_native

from runtimes.evm.core_errors import errors_of_the_core
from shared.types.evm import EvmCall

T = TypeVar("T")

NOBODYS_WEI = 1 << 127
"""What nobody has where his calls are tried out with money: half of all that an account may."""
NOBODY = bytes(20)
MONEY_FOR_NOBODY = b'{"state":{"0x%b":{"balance":"%b"}}}' % (
    NOBODY.hex().encode(),
    hex(NOBODYS_WEI).encode(),
)


def call(
    engine: evm_native.Engine, environment: evm_native.BlockEnv, wanted: EvmCall, version: int
) -> bytes:
    """Run a call on the state of a round; its output, sealed where the call was."""
    return _put(engine.call, environment, wanted, version)


def call_with_money(
    engine: evm_native.Engine, environment: evm_native.BlockEnv, wanted: EvmCall, version: int
) -> bytes:
    """Run a call after the zero address, which makes those that nobody signed, has money for it."""
    return call(engine, environment, replace(wanted, pretence=MONEY_FOR_NOBODY), version)


def estimate_gas(
    engine: evm_native.Engine, environment: evm_native.BlockEnv, wanted: EvmCall, version: int
) -> int:
    """Estimate the gas of a call as a transaction; a revert is no error [gas]."""
    return _put(engine.estimate_gas, environment, wanted, version)


def estimate_gas_as_sender(
    engine: evm_native.Engine, environment: evm_native.BlockEnv, wanted: EvmCall, version: int
) -> int:
    """
    Estimate with the sender that the call claims, by an engine that believes it [gas].

    Nobody, the zero address, has money for it, as in `call_with_money`.
    """
    if wanted.caller == NOBODY and wanted.value and not wanted.pretence:
        wanted = replace(wanted, pretence=MONEY_FOR_NOBODY)
    call(engine, environment, wanted, version)
    return estimate_gas(engine, environment, wanted, version)


def _put(
    question: Callable[..., T], environment: evm_native.BlockEnv, wanted: EvmCall, version: int
) -> T:
    with errors_of_the_core:
        return question(
            environment,
            version=version,
            caller=wanted.caller,
            to=wanted.to,
            gas=wanted.gas,
            gas_price=wanted.gas_price,
            value=wanted.value,
            data=wanted.data,
            pretence=wanted.pretence or None,
        )
