"""Where a running network's debug key is: in its data directory, or in a container's volume."""

from qanat.compose import read_container_file
from qanat.compose_file import project_of
from qanat.layout import DataLayout
from qanat.observe import Running
from qanat.provision.debug_key import load_debug_key, read_debug_key
from shared.crypto.signing import Signer


def find_debug_key(layout: DataLayout, running: Running | None) -> Signer | None:
    """Give the key of the network that runs, else that of the data; None where there is none."""
    if running is None or running.launcher_pid is not None:
        return load_debug_key(layout.debug_key)
    node = running.network.consensus.nodes[0]
    path = layout.kept_debug_key(node).relative_to(layout.root)
    content = read_container_file(project_of(running.network), node, str(path))
    return None if content is None else read_debug_key(content)
