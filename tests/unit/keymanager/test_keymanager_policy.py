import pytest

from services.keymanager.enclave.policy import Permissions
from shared.crypto.signing import BadSignature, Signature, Signer
from shared.rules.key_policy import (
    PolicyForOther,
    PolicyRolledBack,
    TooFewPolicySigners,
    accept_policy,
)
from shared.types.key_requests import PolicyMissing, QueryForbidden, ReplicationForbidden
from shared.types.keymanager import EnclavePolicy, SignedPolicy
from tests.support.keymanager import (
    COMPUTE,
    HEIR,
    KEY_MANAGER,
    KEY_MANAGER_ID,
    OTHER_PARATIME_ID,
    PARATIME_ID,
    SIGNER_KEYS,
    SIGNERS,
    STRANGER,
    make_policy,
    sign_policy,
)


def accept(signed, followed=None, *, threshold=2):
    return accept_policy(
        signed, followed, runtime_id=KEY_MANAGER_ID, signers=SIGNER_KEYS, threshold=threshold
    )


def test_policy_with_threshold_of_signers_is_accepted():
    assert accept(sign_policy(make_policy(serial=4))).body.serial == 4


def test_one_signer_of_three_is_too_few():
    with pytest.raises(TooFewPolicySigners):
        accept(sign_policy(make_policy(), SIGNERS[0]))


def test_a_signer_counts_once():
    with pytest.raises(TooFewPolicySigners):
        accept(sign_policy(make_policy(), SIGNERS[0], SIGNERS[0]))


def test_signatures_of_strangers_do_not_count():
    with pytest.raises(TooFewPolicySigners):
        accept(sign_policy(make_policy(), SIGNERS[0], Signer(b"z" * 32)))


def test_bad_signature_of_a_trusted_signer_is_refused():
    signed = sign_policy(make_policy())
    forged = Signature(SIGNER_KEYS[2], signed.signatures[0].signature)
    with pytest.raises(BadSignature):
        accept(SignedPolicy(signed.untrusted_raw_value, (*signed.signatures, forged)))


def test_threshold_of_zero_accepts_nothing():
    with pytest.raises(TooFewPolicySigners):
        accept(sign_policy(make_policy()), threshold=0)


def test_policy_of_another_key_manager_is_refused():
    with pytest.raises(PolicyForOther):
        accept(sign_policy(make_policy(id_=PARATIME_ID)))


def test_absent_policy_is_refused():
    with pytest.raises(PolicyMissing):
        accept(None)


@pytest.mark.parametrize("serial", [6, 7])
def test_serial_must_grow(serial):
    followed = accept(sign_policy(make_policy(serial=7)))
    with pytest.raises(PolicyRolledBack):
        accept(sign_policy(make_policy(serial=serial, max_ephemeral_secret_age=3)), followed)


def test_the_same_policy_again_changes_nothing():
    signed = sign_policy(make_policy(serial=7))
    followed = accept(signed)
    assert accept(signed, followed) is followed


def test_greater_serial_replaces():
    followed = accept(sign_policy(make_policy(serial=7)))
    assert accept(sign_policy(make_policy(serial=8)), followed).body.serial == 8


class TestPermissions:
    permissions = Permissions(make_policy(), KEY_MANAGER)

    def test_listed_enclave_may_query_its_paratime_only(self):
        self.permissions.verify_may_query(COMPUTE, PARATIME_ID)
        with pytest.raises(QueryForbidden):
            self.permissions.verify_may_query(COMPUTE, OTHER_PARATIME_ID)

    def test_unlisted_enclave_may_not_query(self):
        with pytest.raises(QueryForbidden):
            self.permissions.verify_may_query(STRANGER, PARATIME_ID)

    def test_key_manager_itself_and_its_heirs_may_replicate(self):
        self.permissions.verify_may_replicate(KEY_MANAGER)
        self.permissions.verify_may_replicate(HEIR)

    def test_a_paratime_may_not_replicate(self):
        with pytest.raises(ReplicationForbidden):
            self.permissions.verify_may_replicate(COMPUTE)

    def test_heir_may_not_query_for_being_an_heir(self):
        with pytest.raises(QueryForbidden):
            self.permissions.verify_may_query(HEIR, PARATIME_ID)

    def test_policy_that_does_not_list_us_allows_our_own_code_only(self):
        unlisted = Permissions(make_policy(), STRANGER)
        with pytest.raises(QueryForbidden):
            unlisted.verify_may_query(COMPUTE, PARATIME_ID)
        assert unlisted.customers() == (STRANGER,)

    def test_heir_takes_secrets_from_those_who_name_it(self):
        enclaves = (
            EnclavePolicy(KEY_MANAGER, {}, (HEIR,)),
            EnclavePolicy(HEIR, {}),
        )
        heir = Permissions(make_policy(enclaves=enclaves), HEIR)
        assert heir.sources() == (HEIR, KEY_MANAGER)
        assert Permissions(make_policy(enclaves=enclaves), KEY_MANAGER).sources() == (KEY_MANAGER,)
