"""
How new the evidence about a platform must be: nobody shows older evidence than others have shown.

A quote travels with lists of revoked platforms and TCB levels. Each is signed, and so is the list
from before a platform was revoked: its dates alone let it pass for as long as they say, which for a
mock network is for ever (ADR 0004). So consensus remembers the newest numbers that it has seen of
each platform family, and asks for them of everybody after some epochs, in which nodes register anew
with what is new; enclaves ask the same of each other. Source: none in oasis-core, which bounds the
age of TCB info alone.
"""

from shared.errors import Rejected
from shared.types.attestation import CollateralEdition, CollateralFloor

GRACE_EPOCHS = 2
"""Epochs until newer numbers bind: one to register with them, and its election."""
NUMBERS = ("root_crl", "pck_crl", "tcb_evaluation", "qe_evaluation")


class CollateralSuperseded(Rejected, module="registry", code=27):
    """Newer lists of revocations and TCB levels have been shown for such platforms."""


def is_binding(floor: CollateralFloor, epoch: int) -> bool:
    """Say whether the newest numbers are asked for in an epoch."""
    return epoch >= floor.since + GRACE_EPOCHS


def required_edition(floor: CollateralFloor | None, epoch: int) -> CollateralEdition | None:
    """Give the least that is asked for in an epoch; None where nothing is."""
    if floor is None:
        return None
    return floor.newest if is_binding(floor, epoch) else floor.before


def verify_edition(edition: CollateralEdition, required: CollateralEdition | None) -> None:
    """Verify that evidence is as new as it must be, or raise `CollateralSuperseded`."""
    older = () if required is None else older_in(edition, required)
    if older:
        raise CollateralSuperseded(
            f"family {edition.family}: {', '.join(older)} of the collateral was superseded"
        )


def older_in(edition: CollateralEdition, than: CollateralEdition) -> tuple[str, ...]:
    """Name the numbers in which one edition is older than another."""
    return tuple(name for name in NUMBERS if getattr(edition, name) < getattr(than, name))
