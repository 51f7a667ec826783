"""What consensus remembers of the evidence about platforms; see `shared.tee.collateral`."""

from dataclasses import replace

from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.state import State
from shared.rules import state_keys
from shared.tee import collateral
from shared.tee.collateral import NUMBERS, older_in, required_edition
from shared.types.attestation import CollateralEdition, CollateralFloor


def verify_edition(state: State, edition: CollateralEdition) -> None:
    """Verify that evidence is as new as it must be, or raise `CollateralSuperseded`."""
    floor = state.load(CollateralFloor, state_keys.collateral_floor_key(edition.family))
    collateral.verify_edition(edition, required_edition(floor, load_epoch(state).epoch))


def note_edition(state: State, edition: CollateralEdition) -> None:
    """Remember evidence that a registered node has shown, where it is newer than any before."""
    key = state_keys.collateral_floor_key(edition.family)
    epoch = load_epoch(state).epoch
    floor = state.load(CollateralFloor, key)
    if floor is None:
        # Nothing came before: the first to register decides for nobody yet.
        state.save(key, CollateralFloor(edition, epoch, None))
        return
    if not older_in(floor.newest, edition):
        return
    newest = replace(
        edition,
        **{name: max(getattr(edition, name), getattr(floor.newest, name)) for name in NUMBERS},
    )
    state.save(key, CollateralFloor(newest, epoch, required_edition(floor, epoch)))
