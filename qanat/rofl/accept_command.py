"""`qanat rofl accept`: an app's admin accepts the code that its workers run now."""

import json
from typing import Annotated, Any

import typer

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
from qanat.rofl.app_commands import LOCAL_GATEWAY, AccountOption, GatewayOption, KeyFileOption
from shared.crypto.address import MalformedAddress
from shared.rules.app_ids import decode_app_id, encode_app_id


def accept(
    apps: Annotated[
        list[str] | None, typer.Argument(help="`rofl1…`; all on the workers by default.")
    ] = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = None,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Accept the code that workers run now, as the admin of apps that were measured with other code.

    A network that was loaded from a dump of another version runs other workers, and the chain lets
    none of the apps' instances register before. What is accepted is the bundle that lies on the
    workers: compare its hash with that of your own. Secrets and keys of the apps stay.
    """
    from qanat.rofl.accepting import accept as accept_app
    from qanat.rofl.accepting import choose, find_carried, measure
    from qanat.rofl.project import Signer
    from services.worker.rules.bundle import bundle_hash

    try:
        wanted = [decode_app_id(one) for one in apps or ()]
    except MalformedAddress as error:
        raise typer.BadParameter(error.message, param_hint="APPS") from None
    layout, running = data_layout(network, data), find_network(network, data, port_base)
    carried = choose(find_carried(layout, running.plans), wanted, layout.root)
    told: list[dict[str, Any]] = []
    for one in measure(carried, running, gateway):
        is_new = not one.is_accepted
        if is_new:
            accept_app(one, Signer(gateway, account, key_file))
        enclaves = [identity.mr_enclave.hex() for identity in one.now]
        app_id = encode_app_id(one.app.app_id)
        bundles = [bundle_hash(raw).hex() for raw in one.app.bundles]
        told.append(
            {"app_id": app_id, "name": one.app.name, "bundles": bundles}
            | {"mr_enclaves": enclaves, "is_new": is_new}
        )
    if as_json:
        print(json.dumps(told))
        return
    for facts in told:
        what = "accepts the workers' code now" if facts["is_new"] else "accepts it already"
        out.print(f"{facts['name']} ({facts['app_id']}) {what}", markup=False, soft_wrap=True)
        for bundle in facts["bundles"]:
            out.print(f"  bundle {bundle}", markup=False)
