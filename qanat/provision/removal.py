"""Whose data directory it is, and its removal."""

import json
import shutil
from pathlib import Path

from qanat.layout import DataLayout
from shared.errors import Rejected

CONTAINER_MARKS = "*/enclave/*/containers"
"""Files in a data directory that say that an app keeps something in a container engine."""


class OtherNetwork(Rejected, module="network", code=3):
    """The data directory holds a network that was made from something else."""


def is_provisioned(layout: DataLayout) -> bool:
    """Say whether the directory holds a whole network: genesis is written last."""
    return layout.genesis.exists()


def verify_time_step(layout: DataLayout, asked_s: int) -> None:
    """Refuse another step between timestamps than a chain was made with. Raises `OtherNetwork`."""
    if not is_provisioned(layout):
        return
    summary = json.loads((layout.public / "network.json").read_text())
    made_s = summary.get("block_time_step_s", 0)
    if made_s != asked_s:
        raise OtherNetwork(
            f"{layout.root} holds a chain with a block time step of {made_s} s: add --wipe, or "
            "call anvil_setBlockTimestampInterval once it runs"
        )


def verify_is_new(layout: DataLayout) -> None:
    """Refuse another genesis for a chain that has begun. Raises `OtherNetwork`."""
    if is_provisioned(layout):
        raise OtherNetwork(
            f"{layout.root} holds a chain that has begun: add --wipe for another genesis, or call "
            "anvil_loadState once it runs"
        )


def remove_data(root: Path) -> None:
    """Remove a network's data, and its apps' volumes; refuses a directory that is not one."""
    layout = DataLayout(root)
    if not root.exists():
        return
    if not is_provisioned(layout) and any(root.iterdir()) and not layout.logs.exists():
        raise OtherNetwork(f"{root} is not the data directory of a network; nothing was removed")
    if any(root.glob(CONTAINER_MARKS)):
        from qanat.launcher.leftovers import forget_containers

        forget_containers(root)
    shutil.rmtree(root)
