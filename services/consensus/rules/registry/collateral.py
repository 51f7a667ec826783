"""
How new the evidence about a platform must be: no node shows older evidence than others have shown.

A quote travels with lists of revoked platforms and TCB levels. Each is signed, and so is the list
from before a platform was revoked: its dates alone let it pass for as long as they say, which for a
mock network is for ever (ADR 0004). So consensus remembers the newest numbers that it has seen of
each platform family, and asks for them of everybody after some epochs, in which nodes register anew
with what is new. Source: none in oasis-core, which bounds the age of TCB info alone.
"""

from dataclasses import replace

from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.state import State
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.attestation import CollateralEdition, CollateralFloor

GRACE_EPOCHS = 2
"""Epochs until newer numbers bind: one to register with them, and its election."""


class CollateralSuperseded(Rejected, module="registry", code=27):
    """Newer lists of revocations and TCB levels have been shown for such platforms."""


def verify_edition(state: State, edition: CollateralEdition) -> None:
    """Verify that evidence is as new as it must be, or raise `CollateralSuperseded`."""
    floor = state.load(CollateralFloor, state_keys.collateral_floor_key(edition.family))
    if floor is None:
        return
    required = floor.newest if _binds(state, floor) else floor.before
    if required is not None and _older_in(edition, required):
        raise CollateralSuperseded(
            f"family {edition.family}: {', '.join(_older_in(edition, required))} of the collateral "
            "was superseded"
        )


def note_edition(state: State, edition: CollateralEdition) -> None:
    """Remember evidence that a registered node has shown, where it is newer than any before."""
    key = state_keys.collateral_floor_key(edition.family)
    floor = state.load(CollateralFloor, key)
    if floor is None:
        # Nothing came before: the first to register decides for nobody yet.
        state.save(key, CollateralFloor(edition, load_epoch(state).epoch, None))
        return
    if not _older_in(floor.newest, edition):
        return
    newest = replace(
        edition,
        **{name: max(getattr(edition, name), getattr(floor.newest, name)) for name in _NUMBERS},
    )
    before = floor.newest if _binds(state, floor) else floor.before
    state.save(key, CollateralFloor(newest, load_epoch(state).epoch, before))


_NUMBERS = ("root_crl", "pck_crl", "tcb_evaluation", "qe_evaluation")


def _binds(state: State, floor: CollateralFloor) -> bool:
    return load_epoch(state).epoch >= floor.since + GRACE_EPOCHS


def _older_in(edition: CollateralEdition, than: CollateralEdition) -> list[str]:
    return [name for name in _NUMBERS if getattr(edition, name) < getattr(than, name)]
