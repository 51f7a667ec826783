"""Reading a network file."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from qanat.network.checks import find_faults
from qanat.network.records import Network, ParaTime
from shared.encoding.record import MalformedRecord
from shared.encoding.values import from_wire
from shared.errors import Rejected


class BadNetworkFile(Rejected, module="network", code=1):
    """The file does not describe a network."""


def load_network(path: Path) -> Network:
    """Read a network file, or raise `BadNetworkFile` that says everything that is wrong."""
    try:
        untrusted: dict[str, Any] = tomllib.loads(path.read_text())
        network: Network = from_wire(Network, untrusted)
    except FileNotFoundError:
        raise BadNetworkFile(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadNetworkFile(f"{path}: {error}") from error
    except MalformedRecord as error:
        raise BadNetworkFile(f"{path}: {error.message}{_hint(untrusted)}") from error
    faults = find_faults(network)
    if faults:
        raise BadNetworkFile(f"{path}: {'; '.join(faults)}")
    paratimes = tuple(_with_whole_path(paratime, path.parent) for paratime in network.paratime)
    return replace(network, paratime=paratimes)


def with_genesis(network: Network, file: Path) -> Network:
    """
    Have the only EVM of a network begin with the accounts of a file.

    Raises
    ------
    BadNetworkFile
        The network has no EVM, or several, or the EVM begins with another file.
    """
    evms = [paratime for paratime in network.paratime if paratime.is_evm]
    if len(evms) != 1 or evms[0].genesis is not None:
        raise BadNetworkFile(
            f"{network.name}: --genesis is for a network with one EVM that has none; say `genesis` "
            "in the network file"
        )
    begun = replace(evms[0], genesis=str(file.resolve()))
    paratimes = tuple(begun if one is evms[0] else one for one in network.paratime)
    return replace(network, paratime=paratimes)


def with_profile(network: Network, profile: str) -> Network:
    """Have every gateway answer by a profile, which also says how a new chain charges gas."""
    return replace(
        network,
        paratime=tuple(
            replace(one, gateway=replace(one.gateway, profile=profile)) for one in network.paratime
        ),
    )


def _with_whole_path(paratime: ParaTime, folder: Path) -> ParaTime:
    if paratime.genesis is None:
        return paratime
    return replace(paratime, genesis=str((folder / paratime.genesis).resolve()))


def _hint(untrusted: dict[str, Any]) -> str:
    """Say how a file of the first form, with one ParaTime, is written now."""
    if "nodes" in untrusted or any(
        isinstance(untrusted.get(name), dict) for name in ("paratime", "key_manager")
    ):
        return ". ParaTimes and key managers are lists now, [[paratime]]: see docs/networks.md"
    return ""
