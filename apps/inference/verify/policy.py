"""What a relying party accepts. A service shows everybody the same evidence."""

from dataclasses import dataclass, field

from shared.types.attestation import QuotePolicy

LONGEST_KEYSET_S = 30 * 86_400
"""A keyset that lives longer is refused [s]. Source: aci.md 3.1, "implausibly distant"."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What must hold beside the protocol. Unset fields are not asked for, but mocks are refused."""

    allow_mock: bool = False
    """Whether evidence is enough that whoever owns the machine can make."""
    root_ca: bytes | None = None
    """DER of the only root that counts; None takes the one that a mock service names itself."""
    measurements: frozenset[str] = frozenset()
    """MRTD in hex of code that counts; empty for any."""
    subject: str | None = None
    """Of the keyset, such as `rofl1…`; None for any."""
    models: dict[str, str] = field(default_factory=dict)
    """Models by name with the digest of weights that they must have."""
    platform: QuotePolicy = field(default_factory=lambda: QuotePolicy(allow_tdx=True))
