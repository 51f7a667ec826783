import pytest

from services.gateway.rpc import parameters as read
from services.gateway.rpc.parameters import BadParameter, BlockHash, Tag


@pytest.mark.parametrize(
    ("text", "number"), [("0x0", 0), ("0x1", 1), ("0XfF", 255), ("0x" + "f" * 64, 2**256 - 1)]
)
def test_quantity_reads(text, number):
    assert read.quantity(text) == number


@pytest.mark.parametrize(
    "value",
    ["", "0x", "0x00", "0x01", "1", "0xg", "0x-1", " 0x1", "0x1 ", "0x1_0", "0x" + "f" * 65,
     "0x\u0661", 1, 1.0, True, None, [], {}],
)  # fmt: skip
def test_quantity_refuses(value):
    with pytest.raises(BadParameter):
        read.quantity(value)


def test_quantity_of_64_bits_has_its_limit():
    assert read.quantity64(hex(2**64 - 1)) == 2**64 - 1
    with pytest.raises(BadParameter, match="64 bits"):
        read.quantity64(hex(2**64))


@pytest.mark.parametrize("value", ["0x1", "0xzz", "00", "", 7, "0x\n"])
def test_data_refuses(value):
    with pytest.raises(BadParameter):
        read.data(value)


def test_data_reads_either_case():
    assert read.data("0xAbcD") == b"\xab\xcd"
    assert read.data("0x") == b""


@pytest.mark.parametrize("length", [0, 19, 21, 32])
def test_address_has_twenty_bytes(length):
    with pytest.raises(BadParameter, match="want 40"):
        read.address("0x" + "00" * length)


@pytest.mark.parametrize("text", ["0x0", "0", "0x00", "", "0x" + "00" * 32])
def test_slot_is_lax_about_its_form(text):
    assert read.slot(text) == bytes(32)


@pytest.mark.parametrize("value", ["0x" + "00" * 33, "0xzz", 0, None])
def test_slot_refuses(value):
    with pytest.raises(BadParameter):
        read.slot(value)


@pytest.mark.parametrize("tag", list(Tag))
def test_every_tag_is_read(tag):
    assert read.block_id(tag.value) is tag


@pytest.mark.parametrize("value", ["Latest", "", "newest", "5", 5, None, hex(2**63), {}])
def test_block_id_refuses(value):
    with pytest.raises(BadParameter):
        read.block_id(value)


def test_eip_1898_forms():
    hash_ = "0x" + "ab" * 32
    by_hash = BlockHash(b"\xab" * 32)
    assert read.any_block_id(hash_) == by_hash
    assert read.any_block_id({"blockHash": hash_}) == by_hash
    assert read.any_block_id({"blockHash": hash_, "requireCanonical": False}) == by_hash
    assert read.any_block_id({"blockNumber": "0x5"}) == 5
    assert read.any_block_id({"blockNumber": "latest"}) is Tag.LATEST


@pytest.mark.parametrize(
    "value",
    [{}, {"blockNumber": "0x1", "blockHash": "0x" + "00" * 32}, {"blockHash": "0x00"}, [], 1, None],
)
def test_eip_1898_refusals(value):
    with pytest.raises(BadParameter):
        read.any_block_id(value)


@pytest.mark.parametrize(("value", "count"), [(5, 5), ("5", 5), ("0x5", 5), (0, 0)])
def test_count_takes_three_forms(value, count):
    assert read.count(value) == count


@pytest.mark.parametrize("value", [-1, 2**64, "-1", "", 1.5, True, "9" * 21, None])
def test_count_refuses(value):
    with pytest.raises(BadParameter):
        read.count(value)


@pytest.mark.parametrize(
    ("value", "why"), [(-1, "must not be negative"), (2**64, "number > 64 bits")]
)
def test_count_says_what_is_wrong_with_a_number(value, why):
    with pytest.raises(read.BadParameter, match=why):
        read.count(value)
