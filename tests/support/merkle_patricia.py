"""Verifies proofs in Ethereum's form (EIP-1186) by the yellow paper, by no code of this project."""

import rlp
from eth_hash.auto import keccak

EMPTY_TRIE = keccak(rlp.encode(b""))
NO_CODE = keccak(b"")


def prove(root: bytes, key: bytes, nodes: list[bytes]) -> bytes | None:
    """Follow a key (before its hash) from a root; its value, or None where it is proven absent."""
    path = keccak(key).hex()
    nodes = list(nodes)
    if not nodes:
        assert root == EMPTY_TRIE, "nothing is proven under a root of something"
        return None
    raw = nodes.pop(0)
    assert keccak(raw) == root
    node = rlp.decode(raw)
    while True:
        if len(node) == 17:
            (nibble, path) = (int(path[0], 16), path[1:])
            child = node[nibble]
        else:
            flagged = node[0].hex()
            held = flagged[1:] if flagged[0] in "13" else flagged[2:]
            if flagged[0] in "23":
                assert not nodes, "nodes behind the leaf"
                return node[1] if path == held else None
            if not path.startswith(held):
                assert not nodes, "nodes behind the end"
                return None
            path, child = path[len(held) :], node[1]
        if child == b"":
            assert not nodes, "nodes behind the end"
            return None
        if isinstance(child, list):
            node = child
            continue
        raw = nodes.pop(0)
        assert keccak(raw) == child
        node = rlp.decode(raw)


def verify(proof: dict, state_root: str) -> dict[str, int]:
    """Verify all of an answer of `eth_getProof`; the slots by their keys as shown."""
    address = bytes.fromhex(proof["address"][2:])
    nodes = [bytes.fromhex(node[2:]) for node in proof["accountProof"]]
    held = prove(bytes.fromhex(state_root[2:]), address, nodes)
    told = [
        int(proof["nonce"], 16),
        int(proof["balance"], 16),
        bytes.fromhex(proof["storageHash"][2:]),
        bytes.fromhex(proof["codeHash"][2:]),
    ]
    assert (rlp.encode(told) if held is not None else [0, 0, EMPTY_TRIE, NO_CODE]) == (
        told if held is None else held
    )
    slots = {}
    for one in proof["storageProof"]:
        key = int(one["key"], 16).to_bytes(32, "big")
        nodes = [bytes.fromhex(node[2:]) for node in one["proof"]]
        found = prove(told[2], key, nodes)
        value = 0 if found is None else int.from_bytes(rlp.decode(found), "big")
        assert value == int(one["value"], 16)
        slots[one["key"]] = value
    return slots
