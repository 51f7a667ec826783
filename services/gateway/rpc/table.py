"""Which methods exist."""

from services.gateway.config import DEV, STRICT
from services.gateway.dev_transactions import DevTransactions
from services.gateway.node import GatewayNode
from services.gateway.rpc.debug import DebugMethods
from services.gateway.rpc.debug_trace import DebugTraceMethods
from services.gateway.rpc.dev_calls import DevCallMethods
from services.gateway.rpc.dev_profile import DevProfileMethods
from services.gateway.rpc.dev_send import DevSendMethods
from services.gateway.rpc.drops import DropMethods
from services.gateway.rpc.edits import EditMethods
from services.gateway.rpc.encryption import EncryptionMethods
from services.gateway.rpc.eth import EthMethods
from services.gateway.rpc.eth_accounts import EthAccountMethods, UnlockedAccountMethods
from services.gateway.rpc.eth_blocks import EthBlockMethods
from services.gateway.rpc.eth_config import EthConfigMethods
from services.gateway.rpc.eth_fill import EthFillMethods
from services.gateway.rpc.eth_proof import EthProofMethods
from services.gateway.rpc.eth_send import EthSendMethods
from services.gateway.rpc.eth_simulate import EthSimulateMethods
from services.gateway.rpc.ethereum_only import EthereumOnlyMethods
from services.gateway.rpc.evm import EvmMethods
from services.gateway.rpc.filters import FilterMethods
from services.gateway.rpc.impersonation import Impersonations
from services.gateway.rpc.methods import Method, methods_of
from services.gateway.rpc.mining import MiningMethods
from services.gateway.rpc.modules import RpcMethods
from services.gateway.rpc.net import NetMethods
from services.gateway.rpc.node_info import NodeInfoMethods
from services.gateway.rpc.oasis import OasisMethods
from services.gateway.rpc.otterscan import OtterscanMethods
from services.gateway.rpc.parity import ParityMethods
from services.gateway.rpc.proof_keeping import ProofKeepingMethods
from services.gateway.rpc.refused_controls import refused_methods
from services.gateway.rpc.replays import Replays
from services.gateway.rpc.sight import SightMethods
from services.gateway.rpc.state_dumps import StateDumpMethods
from services.gateway.rpc.subscriptions import unsupported_methods
from services.gateway.rpc.txpool import TxpoolMethods
from services.gateway.rpc.web3 import Web3Methods
from services.gateway.unlocked import UnlockedAccounts, load_unlocked


def build_method_tables(node: GatewayNode) -> dict[str, dict[str, Method]]:
    """Give every method by name, for each profile."""
    unlocked, impersonated = load_unlocked(node.settings.data_dir), Impersonations()
    strict = build_method_table(node, unlocked, impersonated)
    eth, send, calls = EthMethods(node), DevSendMethods(node), DevCallMethods(node)
    fill = EthFillMethods(node, eth, calls, has_base_fee=True)
    changed: list[object] = [
        DevProfileMethods(node, eth),
        calls,
        send,
        fill,
        EthereumOnlyMethods(node.index, node.settings.logs_max_rounds),
    ]
    if node.settings.unsafe_dev_controls:
        owner = DevTransactions(node, eth, send)
        changed += [
            EthAccountMethods(unlocked, impersonated, fill, send, owner, node.turns),
            UnlockedAccountMethods(unlocked),
        ]
    return {STRICT: strict, DEV: strict | methods_of(*changed)}


def build_method_table(
    node: GatewayNode, unlocked: UnlockedAccounts, impersonated: Impersonations
) -> dict[str, Method]:
    """
    Give every method by name, as the profile `strict` answers.

    Over WebSocket, a connection's own subscription methods take the place of those that say here
    that there are none.
    """
    settings, replays, eth = node.settings, Replays(node), EthMethods(node)
    fill, send = EthFillMethods(node, eth, eth, has_base_fee=False), EthSendMethods(node)
    namespaces: list[object] = [
        eth,
        fill,
        send,
        EthConfigMethods(node.index, settings.chain_id, confidential=settings.confidential),
        EthBlockMethods(node.index, settings.logs_max_rounds),
        EthSimulateMethods(node, replays),
        EthProofMethods(node),
        DebugMethods(node.index),
        DebugTraceMethods(node, replays),
        ParityMethods(node, replays),
        OtterscanMethods(node, replays),
        FilterMethods(node.index, node.submitter, settings.logs_max_rounds),
        NetMethods(settings.chain_id, node.nodes),
        Web3Methods(settings.client_version),
        TxpoolMethods(node.nodes),
    ]
    if settings.unsafe_dev_controls:
        owner = DevTransactions(node, eth, send)
        namespaces += [
            EvmMethods(node),
            MiningMethods(node),
            NodeInfoMethods(node),
            EditMethods(owner),
            StateDumpMethods(node, owner, replays),
            ProofKeepingMethods(node, owner, replays),
            DropMethods(node),
            impersonated,
            EthAccountMethods(unlocked, impersonated, fill, send, owner, node.turns),
            EncryptionMethods(node.encryption),
        ]
    if settings.oasis_rpcs:
        namespaces.append(SightMethods(node, replays))
        oasis = OasisMethods(
            node.nodes,
            node.index,
            send,
            confidential=settings.confidential,
            charges_for_size=node.charges_for_size,
            runtime_id=settings.runtime_id,
            chain_context=node.chain_context,
        )
        namespaces.append(oasis)
    table = methods_of(*namespaces) | unsupported_methods()
    if settings.unsafe_dev_controls:
        table |= refused_methods()
    return table | methods_of(RpcMethods(table))
