"""`rpc_*` methods."""

from collections.abc import Iterable

from services.gateway.rpc.methods import rpc_method


class RpcMethods:
    """Answers of the namespace."""

    def __init__(self, method_names: Iterable[str]) -> None:
        namespaces = {name.partition("_")[0] for name in method_names} | {"rpc"}
        self._modules = dict.fromkeys(sorted(namespaces), "1.0")

    @rpc_method("rpc_modules")
    async def modules(self) -> dict[str, str]:
        """Namespaces that are served."""
        return self._modules
