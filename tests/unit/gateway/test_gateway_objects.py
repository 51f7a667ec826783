import pytest

from services.gateway.rpc import objects
from services.gateway.rpc import parameters as read
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.parameters import BadParameter, BlockHash

ADDRESS = "0x" + "11" * 20
OTHER = "0x" + "22" * 20
HASH = "0x" + "ab" * 32


def test_call_prefers_input_even_when_it_is_empty():
    assert objects.call_request({"data": "0x01", "input": "0x02"}).data == b"\x02"
    assert objects.call_request({"data": "0x01", "input": "0x"}).data == b""
    assert objects.call_request({"data": "0x01", "input": None}).data == b"\x01"
    assert objects.call_request({}).data == b""


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ({"to": "0x00"}, "to: hex string has length 2, want 40"),
        ({"gas": "0x" + "f" * 17}, "gas: hex number > 64 bits"),
        ({"value": 1}, "value: must be a hex string"),
        ({"maxFeePerGas": "abc"}, "maxFeePerGas: hex string without 0x prefix"),
        ([], "must be a call object"),
    ],
)
def test_call_names_the_field_at_fault(call, text):
    with pytest.raises(BadParameter, match=f"^{text}$"):
        objects.call_request(call)


def test_unknown_call_fields_are_ignored():
    assert objects.call_request({"from": None, "type": "0x2", "whatever": []}).caller is None


@pytest.mark.parametrize("value", [{"topics": "0x"}, {"topics": [[]] * 5}, {"topics": [7]},
    {"address": 7}, {"address": ["0x00"]}, {"topics": [["0x" + "00" * 32] * 1001]},
    {"blockHash": "0x" + "00" * 32, "fromBlock": "0x0"}, {"fromBlock": -1}, [], "x"])  # fmt: skip
def test_log_query_refuses(value):
    with pytest.raises(BadParameter):
        objects.log_query(value)


def test_null_among_alternatives_is_anything():
    query = objects.log_query({"topics": [[None, "0x" + "00" * 32], None, []]})
    assert query.wanted.topics == (frozenset(),) * 3


# -- names in any case -------------------------------------------------------------------------


def test_call_fields_are_read_in_any_case():
    call = objects.call_request({"To": ADDRESS, "FROM": OTHER, "GasPrice": "0x2", "Data": "0x01"})
    assert (call.to, call.caller) == (b"\x11" * 20, b"\x22" * 20)
    assert (call.gas_price, call.data) == (2, b"\x01")


def test_filter_fields_are_read_in_any_case():
    query = objects.log_query({"fromblock": "0x1", "toblock": "0x2", "Address": ADDRESS})
    assert (query.from_block, query.to_block) == (1, 2)
    assert query.wanted.addresses == {b"\x11" * 20}
    assert objects.log_query({"blockhash": HASH}).block_hash == b"\xab" * 32


def test_block_objects_are_read_in_any_case():
    assert read.any_block_id({"blockhash": HASH}) == BlockHash(b"\xab" * 32)
    assert read.any_block_id({"BLOCKNUMBER": "0x5"}) == 5


def test_of_two_spellings_the_last_counts():
    assert objects.call_request({"to": ADDRESS, "To": OTHER}).to == b"\x22" * 20
    assert objects.call_request({"To": OTHER, "to": ADDRESS}).to == b"\x11" * 20
    assert objects.call_request({"to": ADDRESS, "To": None}).to is None


def test_names_fold_as_the_original_folds_them():
    folded = fold_names({"ga\u017fPrice": 1, "bloc\u212aHash": 2, "stra\u00dfe": 3})
    assert folded == {"gasprice": 1, "blockhash": 2, "stra\u00dfe": 3}


def test_a_fault_is_named_as_the_field_is_written_in_the_documentation():
    with pytest.raises(BadParameter, match=r"^gasPrice: "):
        objects.call_request({"GASPRICE": 1})


# -- access lists ------------------------------------------------------------------------------


def test_access_list_is_read():
    entry = {"address": ADDRESS, "StorageKeys": [HASH]}
    assert objects.access_list([entry]) == ((b"\x11" * 20, (b"\xab" * 32,)),)
    assert objects.access_list([]) == ()
    objects.call_request({"accessList": [entry]})
    objects.call_request({"accessList": None})


@pytest.mark.parametrize(
    "value",
    ["x", 1, {}, [1], [None], [[]], [{}], [{"address": 1}], [{"address": ADDRESS}],
     [{"storageKeys": []}], [{"address": ADDRESS, "storageKeys": "0x"}],
     [{"address": ADDRESS, "storageKeys": [1]}], [{"address": "0x11", "storageKeys": []}],
     [{"address": ADDRESS, "storageKeys": ["0x01"]}]],
)  # fmt: skip
def test_wrong_access_list_is_refused(value):
    with pytest.raises(BadParameter, match=r"^accessList: "):
        objects.call_request({"accessList": value})
