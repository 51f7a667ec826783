"""What is signed of a view request, and to what questions and answers are bound."""

from shared.crypto.hashes import keccak256, sha512_256
from shared.encoding.record import encode_record
from shared.types.sight import OwnerQuestion, ViewRequest

DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId)"
DOMAIN_NAME, DOMAIN_VERSION = b"qanat: view request", b"1"
REQUEST_TYPE = b"ViewRequest(bytes32 transaction,bytes32 asker,uint64 expires)"
ANSWER_LABEL = b"qanat/evm: answer to the view request "
QUESTION_BINDING = b"qanat/evm: question of the owner"
"""Associated data of a sealed question; the signature binds it to all else."""
OWNER_ANSWER_LABEL = b"qanat/evm: answer to the question of the owner "


def view_digest(request: ViewRequest, chain_id: int) -> bytes:
    """
    Give what the sender of a transaction signs to see it, 32 bytes (EIP-712).

    It has no style: whoever sent a transaction sees his own call, in one form.
    """
    domain = _struct(
        DOMAIN_TYPE, keccak256(DOMAIN_NAME), keccak256(DOMAIN_VERSION), _word(chain_id)
    )
    asked = _struct(REQUEST_TYPE, request.transaction, request.asker, _word(request.expires_s))
    return keccak256(b"\x19\x01" + domain + asked)


def answer_binding(request: ViewRequest) -> bytes:
    """Give the associated data of an answer: it opens as the answer to this request alone."""
    return ANSWER_LABEL + sha512_256(encode_record(request))


def owner_answer_binding(question: OwnerQuestion) -> bytes:
    """Give the associated data of the answer to a question of the owner, and to no other."""
    return OWNER_ANSWER_LABEL + sha512_256(encode_record(question))


def _struct(type_: bytes, *words: bytes) -> bytes:
    return keccak256(keccak256(type_) + b"".join(words))


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
