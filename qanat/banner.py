"""What a person sees when the network is up, in the order of sapphire-localnet's output."""

from collections.abc import Sequence
from dataclasses import dataclass

from qanat.accounts import DERIVATION_PATH, Account


@dataclass(frozen=True, slots=True)
class GatewayLine:
    """Where the clients of one ParaTime ask."""

    paratime: str
    http_port: int
    ws_port: int
    evm_chain_id: int | None


def render_banner(
    *,
    accounts: Sequence[Account],
    tokens: int,
    mnemonic: str | None,
    gateways: Sequence[GatewayLine],
    seconds: float | None,
) -> str:
    """
    Give the text.

    Parameters
    ----------
    tokens : `int`
        Balance of each account at genesis [whole tokens].
    mnemonic : `str`, optional
        None where the accounts were given as addresses.
    seconds : `float`, optional
        How long the start took [s]; None where the network ran already.
    """
    lines = ["", "Available Accounts", "=================="]
    lines += [f"({i}) {one.address} ({tokens:,} TEST)" for i, one in enumerate(accounts)]
    keys = [(i, one.private_key) for i, one in enumerate(accounts) if one.private_key]
    if keys:
        lines += ["", "Private Keys", "=================="]
        lines += [f"({i}) {key}" for i, key in keys]
    if mnemonic is not None:
        path = DERIVATION_PATH.format(index="%d")
        lines += ["", "HD Wallet", "==================", f"Mnemonic:      {mnemonic}"]
        lines += [f"Base HD Path:  {path}"]
    lines += [
        "",
        "WARNING: the TEE is a MOCK and the keys above are public. Nothing here is secret from the",
        "         owner of this machine. Never send real tokens to these addresses.",
        "",
    ]
    lines += [_render_gateway(one, is_named=len(gateways) > 1) for one in gateways]
    if seconds is None:
        lines.append("The network was up already.")
    else:
        lines.append(f"Start-up took {seconds:.1f} seconds, every node is ready.")
    return "\n".join(lines)


def _render_gateway(gateway: GatewayLine, *, is_named: bool) -> str:
    where = f"http://localhost:{gateway.http_port}"
    if gateway.evm_chain_id is None:
        line = f"API listening on {where}."
    else:
        line = (
            f"Web3 RPC listening on {where} and ws://localhost:{gateway.ws_port}. "
            f"Chain ID: {gateway.evm_chain_id:#x}."
        )
    return f"{gateway.paratime}: {line}" if is_named else line
