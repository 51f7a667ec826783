"""Which names of this machine a request may use (`Host`). Pure."""

import ipaddress


class HostRule:
    """
    The rule for a list of names; `*` is any, and addresses always are.

    So that a web page cannot rebind a name of its own to this machine.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)

    def is_allowed(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Say whether the host of a request is ours."""
        if "*" in self._allowed:
            return True
        host = next((value for name, value in headers if name == b"host"), b"")
        name = host.decode("latin-1").lower()
        if not name.endswith("]"):
            name = name.rpartition(":")[0] or name
        return name in self._allowed or _is_ip_address(name.strip("[]"))


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
