"""
The authenticated map that holds consensus state, and proofs about its entries.

A binary Merkle tree with compressed paths. An entry's path is SHA-512/256 of its key, so the tree
is balanced whoever chooses the keys. A branch names the bit at which its two sides part:

| node | digest |
|---|---|
| empty tree | H("") |
| leaf | H(0x00 ‖ path ‖ H(value)) |
| branch | H(0x01 ‖ bit, 1 byte ‖ digest of side 0 ‖ digest of side 1) |

Following a path through the branches' bits ends at the only leaf that may hold it, so one leaf
proves both presence and absence. Trees are immutable and share structure: a change of k entries
costs O(k · depth), and keeping many versions costs only their differences.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from shared.crypto.hashes import EMPTY_HASH, HASH_BYTES, sha512_256
from shared.errors import Rejected

PATH_BITS = 8 * HASH_BYTES

_LEAF, _BRANCH = b"\x00", b"\x01"

# What stands in a proof, in preorder.
_PROOF_EMPTY = 0  # the whole tree is empty
_PROOF_DIGEST = 1  # digest: a side that no asked path enters
_PROOF_BRANCH = 2  # bit, side 0, side 1
_PROOF_ASKED = 3  # path: a leaf whose value is among the items
_PROOF_OTHER = 4  # path, H(value): a leaf that stands where asked paths would


class BadStateProof(Rejected, module="state_proof", code=1):
    """The proof does not show these items under this root."""


class _Leaf:
    __slots__ = ("_digest", "key", "path", "value")

    def __init__(self, path: int, key: bytes, value: bytes) -> None:
        self.path, self.key, self.value = path, key, value
        self._digest: bytes | None = None

    def digest(self) -> bytes:
        if self._digest is None:
            self._digest = _leaf_digest(_path_bytes(self.path), sha512_256(self.value))
        return self._digest


class _Branch:
    __slots__ = ("_digest", "bit", "prefix", "sides")

    def __init__(self, bit: int, prefix: int, sides: "tuple[_Node, _Node]") -> None:
        self.bit, self.prefix, self.sides = bit, prefix, sides
        # Filled when first asked for: nodes that a batch of changes makes and drops again are
        # never hashed.
        self._digest: bytes | None = None

    @property
    def path(self) -> int:
        """Path of no entry in particular: the common prefix, then zeros."""
        return self.prefix << (PATH_BITS - self.bit)

    def has_prefix_of(self, path: int) -> bool:
        return path >> (PATH_BITS - self.bit) == self.prefix

    def with_side(self, side: int, child: "_Node") -> "_Branch":
        sides = (self.sides[0], child) if side else (child, self.sides[1])
        return _Branch(self.bit, self.prefix, sides)

    def digest(self) -> bytes:
        if self._digest is None:
            left, right = self.sides
            self._digest = _branch_digest(self.bit, left.digest(), right.digest())
        return self._digest


_Node = _Leaf | _Branch


class StateTree:
    """
    One version of the map. Never changes.

    Keys and values are byte strings of any length, the empty value included.
    """

    __slots__ = ("_keys", "_root")

    def __init__(self, root: _Node | None, keys: Sequence[bytes]) -> None:
        """Use `StateTree.empty().with_changes(...)`: the two arguments must fit each other."""
        self._root = root
        self._keys = keys

    @classmethod
    def empty(cls) -> "StateTree":
        """Give the map without entries."""
        return cls(None, [])

    @property
    def root(self) -> bytes:
        """Digest of all entries, 32 bytes; the same for the same entries, however they came."""
        return EMPTY_HASH if self._root is None else self._root.digest()

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: bytes) -> bytes | None:
        """Value of a key; None where there is none."""
        path = _path_of(key)
        node = self._root
        while isinstance(node, _Branch):
            node = node.sides[_side(path, node.bit)]
        return node.value if node is not None and node.path == path else None

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Entries whose keys begin with a prefix, in the order of their keys."""
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                return
            value = self.get(key)
            assert value is not None, key  # noqa: S101 - the index names entries only
            yield key, value

    def with_changes(self, changes: Mapping[bytes, bytes | None]) -> "StateTree":
        """Give the map after changes; None removes an entry, and may name one that is absent."""
        root = self._root
        added: list[bytes] = []
        removed: set[bytes] = set()
        for key, value in changes.items():
            path = _path_of(key)
            was_there = _holds(root, path)
            if value is None:
                if was_there:
                    root = _without(root, path)
                    removed.add(key)
            else:
                root = _with(root, _Leaf(path, key, value))
                if not was_there:
                    added.append(key)
        if not added and not removed:
            return StateTree(root, self._keys)
        keys = [key for key in self._keys if key not in removed] if removed else list(self._keys)
        keys += sorted(added)
        keys.sort()  # two sorted runs: linear
        return StateTree(root, keys)

    def prove(self, keys: Iterable[bytes]) -> bytes:
        """
        Prove the values of keys, and the absence of those that are not there.

        The values themselves are not part of the proof: `verify_state_proof` takes them beside it.
        """
        if self._root is None:
            return bytes([_PROOF_EMPTY])
        proof = bytearray()
        _prove(self._root, sorted({_path_of(key) for key in keys}), proof)
        return bytes(proof)


def verify_state_proof(
    root: bytes, untrusted: bytes, items: Iterable[tuple[bytes, bytes | None]]
) -> None:
    """
    Verify that a map with this root has these entries.

    Parameters
    ----------
    root : `bytes`
        Trusted digest of the map, 32 bytes.
    untrusted : `bytes`
        Made by `StateTree.prove` for exactly these keys.
    items : iterable of (key, value)
        A value of None claims that the key is absent.

    Raises
    ------
    BadStateProof
        The proof has another root, is malformed, or shows another value for an item.
    """
    claims: dict[int, bytes | None] = {}
    for key, value in items:
        if claims.setdefault(_path_of(key), value) != value:
            raise BadStateProof(f"two values are claimed for key {key.hex()}")
    reader = _ProofReader(untrusted, claims)
    if reader.read_tree() != root:
        raise BadStateProof("the proof is for another root")


class _ProofReader:
    """Computes the root that a proof leads to, and checks every claim on the way."""

    def __init__(self, proof: bytes, claims: Mapping[int, bytes | None]) -> None:
        self._proof, self._claims = proof, claims
        self._at = 0

    def read_tree(self) -> bytes:
        paths = sorted(self._claims)
        if self._proof == bytes([_PROOF_EMPTY]):
            self._expect_absent(paths)
            return EMPTY_HASH
        digest = self._read_node(paths, 0)
        if self._at != len(self._proof):
            raise BadStateProof("bytes follow the proof")
        return digest

    def _read_node(self, asked: list[int], least_bit: int) -> bytes:
        match self._take(1)[0]:
            case 1 if not asked:
                return self._take(HASH_BYTES)
            case 2:
                bit = self._take(1)[0]
                # Bits rise on the way down, which also bounds the recursion.
                if bit < least_bit:
                    raise BadStateProof(f"bit {bit} stands below bit {least_bit - 1}")
                zeros, ones = _parted(asked, bit)
                left = self._read_node(zeros, bit + 1)
                return _branch_digest(bit, left, self._read_node(ones, bit + 1))
            case 3:
                path = self._take(HASH_BYTES)
                number = int.from_bytes(path, "big")
                value = self._claims.get(number)
                if number not in asked or value is None:
                    raise BadStateProof("a value is there, and none is claimed")
                self._expect_absent([other for other in asked if other != number])
                return _leaf_digest(path, sha512_256(value))
            case 4:
                path, value_hash = self._take(HASH_BYTES), self._take(HASH_BYTES)
                if int.from_bytes(path, "big") in asked:
                    raise BadStateProof("an entry is shown as another one")
                self._expect_absent(asked)
                return _leaf_digest(path, value_hash)
            case kind:
                raise BadStateProof(f"node of kind {kind} cannot stand here")

    def _expect_absent(self, paths: list[int]) -> None:
        if any(self._claims[path] is not None for path in paths):
            raise BadStateProof("a claimed value is not there")

    def _take(self, count: int) -> bytes:
        taken = self._proof[self._at : self._at + count]
        if len(taken) != count:
            raise BadStateProof("the proof is cut short")
        self._at += count
        return taken


def _prove(node: _Node, asked: list[int], proof: bytearray) -> None:
    if not asked:
        proof.append(_PROOF_DIGEST)
        proof += node.digest()
    elif isinstance(node, _Branch):
        proof.append(_PROOF_BRANCH)
        proof.append(node.bit)
        for child, paths in zip(node.sides, _parted(asked, node.bit), strict=True):
            _prove(child, paths, proof)
    elif node.path in asked:
        proof.append(_PROOF_ASKED)
        proof += _path_bytes(node.path)
    else:
        proof.append(_PROOF_OTHER)
        proof += _path_bytes(node.path) + sha512_256(node.value)


def _holds(node: _Node | None, path: int) -> bool:
    while isinstance(node, _Branch):
        node = node.sides[_side(path, node.bit)]
    return node is not None and node.path == path


def _with(node: _Node | None, leaf: _Leaf) -> _Node:
    if node is None or (node.path == leaf.path and isinstance(node, _Leaf)):
        return leaf
    if isinstance(node, _Branch) and node.has_prefix_of(leaf.path):
        side = _side(leaf.path, node.bit)
        return node.with_side(side, _with(node.sides[side], leaf))
    bit = PATH_BITS - (node.path ^ leaf.path).bit_length()
    sides = (node, leaf) if _side(leaf.path, bit) else (leaf, node)
    return _Branch(bit, leaf.path >> (PATH_BITS - bit), sides)


def _without(node: _Node | None, path: int) -> _Node | None:
    """Give the tree without a path that it holds."""
    if not isinstance(node, _Branch):
        return None
    side = _side(path, node.bit)
    child = _without(node.sides[side], path)
    return node.sides[1 - side] if child is None else node.with_side(side, child)


def _parted(paths: list[int], bit: int) -> tuple[list[int], list[int]]:
    return (
        [path for path in paths if not _side(path, bit)],
        [path for path in paths if _side(path, bit)],
    )


def _side(path: int, bit: int) -> int:
    return path >> (PATH_BITS - 1 - bit) & 1


def _path_of(key: bytes) -> int:
    return int.from_bytes(sha512_256(key), "big")


def _path_bytes(path: int) -> bytes:
    return path.to_bytes(HASH_BYTES, "big")


def _leaf_digest(path: bytes, value_hash: bytes) -> bytes:
    return sha512_256(_LEAF + path + value_hash)


def _branch_digest(bit: int, left: bytes, right: bytes) -> bytes:
    return sha512_256(_BRANCH + bytes([bit]) + left + right)
