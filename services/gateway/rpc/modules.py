"""`rpc_*` methods, and `rpc.discover`."""

import re
from collections.abc import Mapping
from functools import cached_property

from services.gateway.rpc.methods import Method, methods_of, rpc_method
from services.gateway.rpc.openrpc import describe
from services.gateway.rpc.shapes import Json


class RpcMethods:
    """Answers of the namespace, about all methods that are served."""

    def __init__(self, table: Mapping[str, Method]) -> None:
        """Take the others."""
        self._table = table
        namespaces = {re.split(r"[_.]", name)[0] for name in table} | {"rpc"}
        self._modules = dict.fromkeys(sorted(namespaces), "1.0")

    @rpc_method("rpc_modules")
    async def modules(self) -> dict[str, str]:
        """Namespaces that are served."""
        return self._modules

    @rpc_method("rpc.discover")
    async def discover(self) -> Json:
        """Every method that is served, with parameters and results, as an OpenRPC document."""
        return self._document

    @cached_property
    def _document(self) -> Json:
        return describe(dict(self._table) | methods_of(self))
