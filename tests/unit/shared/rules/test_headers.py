"""CometBFT's encodings. The Rust light client checks the whole; here are the published vectors."""

from shared.encoding import protobuf
from shared.rules import headers
from shared.types.proof import BlockId, Commit, Header, Validator


def seconds(text_s: int) -> int:
    return text_s * 1_000_000_000


def test_a_precommit_is_signed_as_cometbft_does():
    # Source: cometbft types/vote_test.go, TestVoteSignBytesTestVectors, case 1: a precommit of
    # height 1 and round 1 for no block, at Go's zero time, without a chain id.
    commit = Commit(1, 1, BlockId(b""), ())
    expected = (
        "21"  # length
        "0802"  # type precommit
        "110100000000000000"  # height
        "190100000000000000"  # round
        "2a0b088092b8c398feffffff01"  # time
    )
    assert headers.precommit_sign_bytes("", commit, seconds(-62_135_596_800)).hex() == expected


def test_the_chain_id_ends_what_is_signed():
    # Source: the same test, last case.
    commit = Commit(1, 1, BlockId(b""), ())
    signed = headers.precommit_sign_bytes("test_chain_id", commit, seconds(-62_135_596_800))
    assert signed.endswith(bytes([0x32, 13]) + b"test_chain_id")
    assert signed[0] == len(signed) - 1


def test_a_block_is_signed_by_the_hash_of_header_and_parts():
    name = BlockId(b"\x01" * 32, 3, b"\x02" * 32)
    signed = headers.precommit_sign_bytes("c", Commit(1, 0, name, ()), seconds(1))
    parts = "0803" + "1220" + "02" * 32
    block_id = "0a20" + "01" * 32 + "1224" + parts
    assert ("2248" + block_id) in signed.hex()


def test_the_parameters_hash_of_cometbft_is_met():
    # Source: cometbft types/params.go HashedParams{BlockMaxBytes, BlockMaxGas}.
    encoded = protobuf.integer(1, 22_020_096) + protobuf.integer(2, -1)
    assert encoded.hex() == "088080c00a10ffffffffffffffffff01"
    assert headers.consensus_hash(22_020_096, -1) == headers.sha256(encoded)


def test_validators_are_ordered_by_power_then_address():
    keys = [bytes([number]) * 32 for number in range(4)]
    weak, strong = Validator(keys[0], 1), Validator(keys[1], 9)
    equal = [Validator(key, 5) for key in keys[2:]]
    ordered = headers.in_order([weak, *equal, strong])
    assert ordered[0] == strong
    assert ordered[-1] == weak
    addresses = [headers.validator_address(v.public_key) for v in ordered[1:3]]
    assert addresses == sorted(addresses)
    assert headers.validators_hash(ordered) == headers.validators_hash(reversed(ordered))


def _header(**changes):
    fields = {
        "version_block": 11,
        "version_app": 1,
        "chain_id": "chain",
        "height": 3,
        "time_ns": 1_700_000_000_000_000_007,
        "last_block_id": BlockId(b"\x01" * 32, 1, b"\x02" * 32),
        "last_commit_hash": b"\x03" * 32,
        "data_hash": b"\x04" * 32,
        "validators_hash": b"\x05" * 32,
        "next_validators_hash": b"\x06" * 32,
        "consensus_hash": b"\x07" * 32,
        "app_hash": b"\x08" * 32,
        "last_results_hash": b"\x09" * 32,
        "evidence_hash": b"\x0a" * 32,
        "proposer_address": b"\x0b" * 20,
    }
    return Header(**(fields | changes))


def test_every_field_of_a_header_is_hashed():
    original = headers.header_hash(_header())
    changes = {
        "version_block": 12,
        "version_app": 2,
        "chain_id": "other",
        "height": 4,
        "time_ns": 1_700_000_000_000_000_008,
        "last_block_id": BlockId(b"\x01" * 32, 2, b"\x02" * 32),
        "last_commit_hash": b"",
        "data_hash": b"",
        "validators_hash": bytes(32),
        "next_validators_hash": bytes(32),
        "consensus_hash": bytes(32),
        "app_hash": b"",
        "last_results_hash": b"",
        "evidence_hash": b"",
        "proposer_address": bytes(20),
    }
    hashes = {headers.header_hash(_header(**{name: value})) for name, value in changes.items()}
    assert len(hashes | {original}) == len(changes) + 1


def test_a_block_over_one_part_is_named_by_several():
    header = _header()
    small = headers.block_id(header, [b"tx"], [], None)
    large = headers.block_id(header, [bytes(65_536)], [], None)
    assert (small.parts_total, large.parts_total) == (1, 2)
    assert small.hash == large.hash == headers.header_hash(header)
