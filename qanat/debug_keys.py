"""Where a running network's debug key is: in its data directory, or in a container's volume."""

from pathlib import Path

from qanat.compose import read_container_file
from qanat.compose_file import project_of
from qanat.layout import DataLayout
from qanat.observe import Running
from qanat.provision.debug_key import BadDebugKey, load_debug_key, read_debug_key
from shared.crypto.signing import Signer


def choose_debug_key(
    layout: DataLayout, running: Running | None, file: Path | None
) -> Signer | None:
    """
    Give the key that a command asks with: the file that is named, or what `find_debug_key` finds.

    Parameters
    ----------
    layout : `DataLayout`
        Of the network's data directory.
    running : `Running`, optional
        None where the command asks another network's gateway, or none runs: then the key is that
        of the data directory.
    file : `Path`, optional
        What `--debug-key` says.

    Raises
    ------
    BadDebugKey
        A file that is named is not there, or a file holds no key.
    """
    if file is None:
        return find_debug_key(layout, running)
    found = load_debug_key(file)
    if found is None:
        raise BadDebugKey(f"{file}: there is no such file")
    return found


def find_debug_key(layout: DataLayout, running: Running | None) -> Signer | None:
    """Give the key of the network that runs, else that of the data; None where there is none."""
    if running is None or running.launcher_pid is not None:
        return load_debug_key(layout.debug_key)
    node = running.network.consensus.nodes[0]
    path = layout.kept_debug_key(node).relative_to(layout.root)
    content = read_container_file(project_of(running.network), node, str(path))
    return None if content is None else read_debug_key(content)
