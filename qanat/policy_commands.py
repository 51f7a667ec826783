"""`qanat policy`: which enclaves get the keys of which ParaTime."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from qanat.network import DEFAULT_PORT_BASE
from qanat.options import (
    DEFAULT_NETWORK,
    DataOption,
    JsonOption,
    NetworkOption,
    PortOption,
    data_layout,
    find_network,
    out,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from qanat.layout import DataLayout
    from qanat.observe import Running
    from qanat.policy import Change
    from shared.types.attestation import EnclaveIdentity
    from shared.types.keymanager import Policy

policy_app = typer.Typer(
    no_args_is_help=True, help="Which enclaves get keys: see it; its owner changes it."
)
ParaTimeArgument = Annotated[str, typer.Argument(help="Name of the ParaTime.")]
EnclaveArgument = Annotated[
    str, typer.Argument(metavar="MRENCLAVE", help="Measurement of its enclave, 64 hex digits.")
]
SignerOption = Annotated[
    str | None,
    typer.Option("--mrsigner", help="By default the signer of this network's enclaves."),
]


class _NotMeasurement(typer.BadParameter):
    def __init__(self) -> None:
        super().__init__("a measurement has 32 bytes, in hex")


@policy_app.command("show")
def policy_show(
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Show the policy in force of each key manager."""
    from qanat.policy import fetch_policy

    running = find_network(network, data, port_base)
    policies = {one.name: fetch_policy(running, one.name) for one in running.network.key_manager}
    shown = [row for name, policy in policies.items() for row in _rows(running, name, policy)]
    if as_json:
        print(json.dumps(shown))
        return
    table = Table("key manager", "serial", "paratime", "mrenclave", box=None)
    for row in shown:
        table.add_row(
            *map(str, (row["key_manager"], row["serial"])), row["paratime"], row["mrenclave"]
        )
    out.print(table)


@policy_app.command("allow")
def policy_allow(
    paratime: ParaTimeArgument,
    mrenclave: EnclaveArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    mrsigner: SignerOption = None,
) -> None:
    """Give an enclave the keys of a ParaTime; returns when the key managers do so."""
    from qanat.policy import allow

    _change(allow, paratime, (mrenclave, mrsigner), network, data, port_base)


@policy_app.command("revoke")
def policy_revoke(
    paratime: ParaTimeArgument,
    mrenclave: EnclaveArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    mrsigner: SignerOption = None,
) -> None:
    """
    Give an enclave no more keys of a ParaTime; returns when the key managers obey.

    It keeps what it already has: keys of contracts and epochs that it fetched before.
    """
    from qanat.policy import revoke

    _change(revoke, paratime, (mrenclave, mrsigner), network, data, port_base)


def _change(
    make: "Callable[[bytes, EnclaveIdentity], Change]",
    paratime: str,
    measured: tuple[str, str | None],
    network: Path,
    data: Path | None,
    port_base: int,
) -> None:
    from qanat.policy import NoPolicy, change_policy, fetch_policy
    from shared.types.attestation import EnclaveIdentity

    running = find_network(network, data, port_base)
    layout: DataLayout = data_layout(network, data)
    served = running.network.find_paratime(paratime)
    if served.key_manager is None:
        raise NoPolicy(f"{paratime} is public: it has no key manager")
    mrenclave, mrsigner = measured
    signer = (
        fetch_policy(running, served.key_manager).enclaves[0].enclave.mr_signer
        if mrsigner is None
        else _measurement(mrsigner)
    )
    enclave = EnclaveIdentity(_measurement(mrenclave), signer)
    after = change_policy(
        running, layout, served.key_manager, make(bytes.fromhex(served.id), enclave)
    )
    out.print(f"the key managers follow policy {after.serial}")


def _measurement(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise _NotMeasurement from None
    if len(found) != 32:
        raise _NotMeasurement
    return found


def _rows(running: "Running", key_manager: str, policy: "Policy") -> list[dict[str, Any]]:
    names = {bytes.fromhex(one.id): one.name for one in running.network.paratime}
    return [
        {
            "key_manager": key_manager,
            "serial": policy.serial,
            "paratime": names.get(runtime_id, runtime_id.hex()),
            "mrenclave": identity.mr_enclave.hex(),
            "mrsigner": identity.mr_signer.hex(),
        }
        for entry in policy.enclaves
        for runtime_id, identities in sorted(entry.may_query.items())
        for identity in identities
    ]
