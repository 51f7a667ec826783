"""
Asking an enclave, as the network's owner, what it tells nobody else.

Question and answer are sealed: a gateway learns the round, who asks, and lengths. What may be asked
is the enclave's to decide: `runtimes/evm/questions.py`.
"""

from qanat.view.chain import METHOD_MISSING_CODE
from qanat.view.gateway import Gateway, GatewayRefused, GatewaySilent, read_answer
from qanat.view.sight import open_owner_answer, seal_question, sign_question
from qanat.view.viewing import LIFETIME_S, read_key, read_sealed, read_standing
from services.gateway.rpc.parameters import quantity64
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.types.evm import EvmQuery, StorageQuery
from shared.types.sight import OwnerQuestion, Question

REFUSED = ("sight: the view request is not signed", "sight: this network has no debug key")
TRIES = 3
"""How often a question is sealed anew: the epoch may end under it."""
STALE = "sight: the question is sealed to a key of epoch"
"""Beginning of the refusal of a question whose key is gone, or not there yet."""


async def ask_as_owner(
    gateway: Gateway, debug_key: Signer, question: Question, round_: int
) -> bytes:
    """
    Ask something of the state of a round; what the method gives.

    Raises
    ------
    GatewayRefused
        The enclave refuses to hear it: it is not by this network's owner.
    GatewaySilent, NotSealedToUs
        There is no answer, or none that an enclave made for this question.
    QanatError
        What the enclave says in the place of an answer, such as a revert.
    """
    for tries_left in reversed(range(TRIES)):
        asked_standing, asked_key = await gateway.ask_all(
            [("oasis_viewParameters", []), ("oasis_callDataPublicKey", [])], {}
        )
        standing, key = read_standing(asked_standing), read_key(asked_key)
        asked = seal_question(question, round_, standing.time_s + LIFETIME_S, key)
        wire = _wire_of(asked.question, sign_question(asked.question, debug_key, standing.place))
        try:
            sealed, asked_key = await gateway.ask_all(
                [("oasis_askAsOwner", [wire]), ("oasis_callDataPublicKey", [])], {}
            )
        except GatewayRefused as error:
            if tries_left and error.message.startswith(STALE):
                continue
            raise
        answer, now = read_sealed(sealed), read_key(asked_key)
        of_answer = next((one for one in (key, now) if one.epoch == answer.epoch), None)
        if of_answer is not None:
            return open_owner_answer(answer, asked, of_answer)
    raise GatewaySilent("the gateway's answers and keys are of different epochs")


async def is_owner(gateway: Gateway, debug_key: Signer) -> bool:
    """Say whether a key is the debug key of the network behind a gateway, by asking for nothing."""
    nothing = encode_record(StorageQuery(bytes(20), bytes(32)))
    try:
        newest = read_answer(quantity64, await gateway.ask("eth_blockNumber", [], {}))
        await ask_as_owner(gateway, debug_key, Question(EvmQuery.STORAGE, nothing), newest)
    except GatewayRefused as error:
        # Whatever else is wrong now may be well when a tool asks.
        return not (
            error.message.startswith(REFUSED) or error.error.get("code") == METHOD_MISSING_CODE
        )
    return True


def _wire_of(question: OwnerQuestion, signature: bytes) -> dict[str, str]:
    return {
        "asker": "0x" + question.asker.hex(),
        "expires": hex(question.expires_s),
        "round": hex(question.round),
        "epoch": hex(question.epoch),
        "nonce": "0x" + question.nonce.hex(),
        "data": "0x" + question.data.hex(),
        "signature": "0x" + signature.hex(),
    }
