"""Parameters of the rules: part of the state, set by genesis."""

from dataclasses import dataclass

from services.consensus.rules.state import State
from shared.rules import state_keys
from shared.types.genesis import (
    BeaconParameters,
    ConsensusParameters,
    RegistryParameters,
    RoothashParameters,
    StakingParameters,
)
from shared.types.identity import PublicKey


@dataclass(frozen=True, slots=True)
class Parameters:
    """Value at `state_keys.PARAMETERS`."""

    consensus: ConsensusParameters
    beacon: BeaconParameters
    staking: StakingParameters
    registry: RegistryParameters
    roothash: RoothashParameters
    dev_control_key: PublicKey | None = None


def load_parameters(state: State) -> Parameters:
    """Give the parameters in force."""
    return state.load_required(Parameters, state_keys.PARAMETERS)
