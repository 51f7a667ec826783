"""
All that a ParaTime's program imports. See `docs/paratimes.md`.

    from dataclasses import dataclass
    from runtimes.python.sdk import Context, Map, Module, ParaTime, call

    class Greeter(Module):
        name = "greeter"
        greetings = Map(bytes, str)

        @call(gas=500)
        def greet(self, ctx: Context, words: str) -> None:
            self.greetings.set(ctx, ctx.require_sender(), words)

    PARATIME = ParaTime(name="hello", modules=(Greeter(),), confidential=True)
"""

from runtimes.python.context import Address, Context
from runtimes.python.errors import Refused
from runtimes.python.metering import join, to_bytes
from runtimes.python.module import Module, ParaTime, call, event, query
from runtimes.python.state import Grouped, Map, Value
from shared.crypto.hashes import sha512_256
from shared.encoding.notes import AtMost, Size
from shared.encoding.record import Bytes21, Bytes32, Signed, Uint256

__all__ = [
    "Address",
    "AtMost",
    "Bytes21",
    "Bytes32",
    "Context",
    "Grouped",
    "Map",
    "Module",
    "ParaTime",
    "Refused",
    "Signed",
    "Size",
    "Uint256",
    "Value",
    "call",
    "event",
    "join",
    "query",
    "sha512_256",
    "to_bytes",
]
