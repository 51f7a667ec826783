"""
What a network is made of: a file in `networks/`, read and checked.

The process launcher and the Compose file start the same nodes from the same file.
"""

from qanat.network.file import BadNetworkFile, load_network, with_genesis, with_profile
from qanat.network.plan import DEFAULT_PORT_BASE, ENCLAVE_SERVICES, WORKER, NodePlan, plan_nodes
from qanat.network.records import KeyManager, Network, ParaTime, Workers

__all__ = [
    "DEFAULT_PORT_BASE",
    "ENCLAVE_SERVICES",
    "WORKER",
    "BadNetworkFile",
    "KeyManager",
    "Network",
    "NodePlan",
    "ParaTime",
    "Workers",
    "load_network",
    "plan_nodes",
    "with_genesis",
    "with_profile",
]
