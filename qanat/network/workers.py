"""A network file with workers added, for who asks for some on the command line."""

from pathlib import Path

from qanat.network.file import BadNetworkFile, load_network


def add_workers(network_file: Path, count: int, target: Path) -> Path:
    """
    Write a copy of a network file that has so many workers.

    Parameters
    ----------
    network_file : `Path`
        A file without workers.
    count : `int`
        How many; at least 1.
    target : `Path`
        Where the copy is written.

    Returns
    -------
    target : `Path`
        It is a whole network file: later commands need no more than its name.

    Raises
    ------
    BadNetworkFile
        The file names its workers itself, has no ParaTime in which apps can have keys, or names
        other files by their place beside it.
    """
    network = load_network(network_file)
    if network.worker is not None:
        raise BadNetworkFile(f"{network_file} names its workers itself")
    if any(paratime.genesis is not None for paratime in network.paratime):
        raise BadNetworkFile(f"{network_file} names a genesis file: write [worker] into it instead")
    found = next((one for one in network.paratime if one.is_evm and one.confidential), None)
    if found is None:
        raise BadNetworkFile(f"{network_file} has no confidential EVM, where apps could have keys")
    nodes = ", ".join(f'"worker-{number}"' for number in range(count))
    target.parent.mkdir(parents=True, exist_ok=True)
    section = f'\n[worker]\nparatime = "{found.name}"\nnodes = [{nodes}]\n'
    target.write_text(network_file.read_text().rstrip("\n") + "\n" + section)
    load_network(target)
    return target
