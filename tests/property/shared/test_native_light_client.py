"""The light client, native and written down in Python, believes the same."""

import dataclasses

import hypothesis.strategies as st
from hypothesis import event, given

from shared.encoding import cbor
from shared.encoding.protobuf import NumberOutOfRange
from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected
from shared.rules import headers, state_keys
from shared.rules.light_client import LightClient, OtherChain
from shared.rules.meta import encode_meta
from shared.types.proof import ProvenBytes, ProvenState, Validator
from tests.support.proven_states import (
    CHAIN_ID,
    SECOND,
    SIGNERS,
    proven,
    set_of,
    with_commit,
    with_header,
)
from tests.support.python_light_client import PythonLightClient

BY_KEY = {signer.public_key: signer for signer in SIGNERS}
KEYS = (b"key", b"absent", state_keys.INCARNATION)
SETS = st.dictionaries(
    st.sampled_from(SIGNERS), st.integers(0, 3) | st.just(2**62), min_size=1, max_size=5
).map(
    lambda powers: headers.in_order(
        Validator(signer.public_key, power) for signer, power in powers.items()
    )
)
BELIEVED = "believed"
QUOTING = NumberOutOfRange, OtherChain
"""What they say quotes a number or a text, each in its language's way."""
MANY = st.sampled_from([2**63 - 1, 2**63, 2**64 - 1])


class Both:
    """The two clients, which are shown the same bytes and must stand at the same place."""

    def __init__(self, validators: tuple[Validator, ...], *, follows_rewinds: bool) -> None:
        self._native = LightClient(CHAIN_ID, validators, follows_rewinds=follows_rewinds)
        self._python = PythonLightClient(CHAIN_ID, validators, follows_rewinds=follows_rewinds)
        self.trusted = validators
        """Who probably signs the next block."""

    @property
    def standing(self) -> tuple[int, int, int]:
        native, python = self._native, self._python
        standing = native.incarnation, native.height, native.time_ns
        assert standing == (python.incarnation, python.height, python.time_ns)
        return standing

    def show(self, untrusted: bytes) -> str:
        """Show a proof; gives the class of what both refuse it with, or that they believe it."""
        before = self.standing
        try:
            expected = self._python.verify(decode_record(ProvenState, untrusted))
        except Rejected as refusal:
            try:
                self._native.verify_encoded(ProvenBytes(untrusted))
            except type(refusal) as other:
                assert type(other) is type(refusal)
                assert isinstance(other, QUOTING) or other.message == refusal.message
            else:
                raise AssertionError("only Python refused") from refusal
            assert self.standing == before
            return type(refusal).__name__
        assert self._native.verify_encoded(ProvenBytes(untrusted)) == expected
        assert self.standing == (expected.incarnation, expected.height, expected.time_ns)
        return BELIEVED


# -- sequences of proofs ---------------------------------------------------------------------------


@st.composite
def steps(draw, both: Both) -> tuple[ProvenState, tuple[Validator, ...]]:
    """A block which mostly follows, and the set that it announces."""
    incarnation, height, _ = both.standing
    honest = st.sampled_from([both.trusted] * 3)
    named = draw(honest | SETS)
    following = draw(honest | SETS)
    signers = [BY_KEY[validator.public_key] for validator in named]
    if draw(st.integers(0, 3)) == 0:
        signers = draw(st.lists(st.sampled_from(SIGNERS), min_size=1, max_size=5))
    state = proven(
        max(0, height + draw(st.sampled_from([1, 1, 1, 2, 5, 0, -1]))),
        signers,
        named=named,
        following=following,
        keys=tuple(draw(st.lists(st.sampled_from(KEYS), max_size=4))),
        chain_id=draw(st.sampled_from([CHAIN_ID] * 7 + ["other"])),
        time_ns=draw(st.sampled_from([None] * 7 + [0, SECOND])),
        incarnation=max(0, incarnation + draw(st.sampled_from([0] * 7 + [1, -1, 2]))),
    )
    return state, following


def replaced_meta(state: ProvenState, **changes) -> ProvenState:
    return dataclasses.replace(state, meta=dataclasses.replace(state.meta, **changes))


@st.composite
def lies(draw, state: ProvenState) -> ProvenState:
    """One change to a proof, by somebody who can encode."""
    block = state.light_block
    votes = block.commit.signatures
    match draw(st.integers(0, 12)):
        case 0:
            field = draw(st.sampled_from(["height", "version_app", "version_block", "time_ns"]))
            return with_header(state, **{field: draw(MANY)})
        case 1:
            return with_commit(state, **{draw(st.sampled_from(["height", "round"])): draw(MANY)})
        case 2:
            name = dataclasses.replace(block.commit.block_id, parts_total=draw(MANY))
            return with_commit(state, block_id=name)
        case 3:
            validators = (*block.validators, Validator(SIGNERS[0].public_key, draw(MANY)))
            light_block = dataclasses.replace(block, validators=validators)
            return dataclasses.replace(state, light_block=light_block)
        case 4:
            return with_commit(state, signatures=(*votes, draw(st.sampled_from(votes))))
        case 5:
            return with_commit(state, signatures=tuple(draw(st.permutations(votes)))[:-1])
        case 6:
            vote = dataclasses.replace(votes[0], time_ns=draw(MANY))
            return with_commit(state, signatures=(vote, *votes[1:]))
        case 7:
            return replaced_meta(state, total=draw(st.integers(0, 5) | MANY))
        case 8:
            siblings = st.sampled_from([bytes(32), bytes(31), *state.meta.aunts])
            return replaced_meta(state, aunts=tuple(draw(st.lists(siblings, max_size=102))))
        case 9:
            meta = st.builds(
                encode_meta, st.just(bytes(32)), st.sampled_from([0, 2**32, 2**64 - 1])
            )
            return replaced_meta(state, transaction=draw(meta | st.binary(max_size=40)))
        case 10:
            value = st.sampled_from([None, b"", b"value"])
            items = st.lists(st.tuples(st.sampled_from(KEYS), value), max_size=3)
            return dataclasses.replace(state, items=tuple(draw(items)))
        case 11:
            return dataclasses.replace(state, state_proof=draw(st.binary(max_size=70)))
        case _:
            light_block = dataclasses.replace(block, validators=draw(SETS))
            return dataclasses.replace(state, light_block=light_block)


@given(st.data(), SETS, st.booleans())
def test_sequences_of_proofs(data, pinned, follows_rewinds):
    both = Both(pinned, follows_rewinds=follows_rewinds)
    for _ in range(data.draw(st.integers(1, 8), "steps")):
        state, following = data.draw(steps(both))
        if data.draw(st.integers(0, 2)) == 0:
            state = data.draw(lies(state))
        verdict = both.show(encode_record(state))
        event(verdict)
        if verdict == BELIEVED:
            both.trusted = following


@given(st.lists(st.sampled_from(SIGNERS), min_size=2, max_size=6), st.data())
def test_a_set_that_names_a_validator_twice(signers, data):
    named = tuple(Validator(signer.public_key, data.draw(st.integers(0, 3))) for signer in signers)
    both = Both(named, follows_rewinds=False)
    both.show(encode_record(proven(1, list(dict.fromkeys(signers)), named=named)))


# -- bytes that are mostly no proof ----------------------------------------------------------------

PINNED = set_of(*SIGNERS[:3])
PROVEN = encode_record(proven(5, SIGNERS[:3], keys=KEYS))
PLACES = st.integers(0, len(PROVEN))
ODD_VALUES = st.sampled_from(
    [None, False, 0, -1, 2**63, 2**64 - 1, b"", bytes(20), bytes(32), "", "hash", [], [b""], {}]
)


def show(untrusted: bytes) -> None:
    Both(PINNED, follows_rewinds=False).show(untrusted)


@given(st.lists(st.tuples(st.integers(0, len(PROVEN) - 1), st.integers(0, 255)), max_size=4))
def test_changed_bytes(changes):
    changed = bytearray(PROVEN)
    for place, byte in changes:
        changed[place] = byte
    show(bytes(changed))


@given(PLACES, st.binary(max_size=64), st.integers(0, 64))
def test_cut_and_spliced_bytes(at, inserted, dropped):
    show(PROVEN[:at] + inserted + PROVEN[at + dropped :])


@given(PLACES, PLACES, st.integers(1, 200), st.integers(0, 200))
def test_a_part_in_another_place(at, begin, length, dropped):
    show(PROVEN[:at] + PROVEN[begin : begin + length] + PROVEN[at + dropped :])


@given(st.binary(max_size=200))
def test_any_bytes(untrusted):
    show(untrusted)


def test_every_cut():
    for end in range(len(PROVEN)):
        show(PROVEN[:end])


def parts(value: object, path: tuple = ()) -> list[tuple]:
    """Paths to all that stands within a decoded value."""
    if not isinstance(value, dict | list):
        return []
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    below = [((*path, key), inner) for key, inner in entries]
    return [one for place, inner in below for one in (place, *parts(inner, place))]


PATHS = parts(cbor.decode(PROVEN))


@given(
    st.lists(st.tuples(st.sampled_from(PATHS), st.none() | ODD_VALUES, st.booleans()), max_size=2)
)
def test_fields_that_are_missing_strange_or_of_other_types(changes):
    decoded = cbor.decode(PROVEN)
    for path, value, is_removed in changes:
        holder = decoded
        try:
            for key in path[:-1]:
                holder = holder[key]
            if is_removed:
                del holder[path[-1]]
            elif isinstance(value, str) and isinstance(holder, dict):
                holder[value] = b""
            else:
                holder[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken it away
    show(cbor.encode(decoded))
