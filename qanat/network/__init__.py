"""
What a network is made of: a file in `networks/`, read and checked.

The process launcher and the Compose file start the same nodes from the same file.
"""

from qanat.network.file import BadNetworkFile, load_network
from qanat.network.plan import DEFAULT_PORT_BASE, ENCLAVE_SERVICES, NodePlan, plan_nodes
from qanat.network.records import KeyManager, Network, ParaTime

__all__ = [
    "DEFAULT_PORT_BASE",
    "ENCLAVE_SERVICES",
    "BadNetworkFile",
    "KeyManager",
    "Network",
    "NodePlan",
    "ParaTime",
    "load_network",
    "plan_nodes",
]
