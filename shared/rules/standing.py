"""
Whether an enclave stands in the registry: its proof that what it sees of the chain is not old.

The RAK is drawn when the enclave starts. A state that holds it was therefore made after the start,
so whoever shows an old chain to an enclave that has just started cannot show it there. Nothing is
released, and no key asked for, before.
"""

from collections.abc import Mapping

from shared.encoding.record import decode_record
from shared.rules import state_keys
from shared.types.attestation import CapabilityTee
from shared.types.registry import NodeDescriptor


def find_capability(
    values: Mapping[bytes, bytes | None], runtime_id: bytes, rak: bytes
) -> CapabilityTee | None:
    """
    Find what the proven registry says of an enclave.

    Parameters
    ----------
    values : `Mapping`
        Proven consensus state; the descriptors of nodes among it are looked at.
    runtime_id : `bytes`
        The runtime that the enclave serves.
    rak : `bytes`
        The enclave's key of this start.

    Returns
    -------
    capability : `CapabilityTee` or None
        As it is registered; None where no descriptor in `values` has this key.
    """
    for key, value in values.items():
        if value is None or not key.startswith(state_keys.NODES):
            continue
        for served in decode_record(NodeDescriptor, value).runtimes:
            if served.id == runtime_id and served.tee is not None and served.tee.rak == rak:
                return served.tee
    return None
