"""Where a network file asks for Ethereum's gas, and the chain was made with Sapphire's."""

from qanat.layout import DataLayout
from qanat.network import Network
from shared.encoding.record import decode_record
from shared.types.evm import EvmGenesis
from shared.types.genesis import Genesis


def charging_for_size(layout: DataLayout, network: Network) -> list[str]:
    """
    Give the EVMs of a data directory that charge for size, by name, though the network asks for
    Ethereum's gas: the rule of a chain is that of its genesis (ADR 0070).
    """
    asked = {one.id.lower(): one.name for one in network.paratime if one.begins_with_ethereum_gas}
    if not asked:
        return []
    document = decode_record(Genesis, layout.genesis.read_bytes())
    return [
        asked[one.id.hex()]
        for one in document.runtimes
        if one.id.hex() in asked
        and one.genesis is not None
        and decode_record(EvmGenesis, one.genesis).charges_for_size
    ]
