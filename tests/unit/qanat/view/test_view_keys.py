"""Where keys come from: the test accounts, keystores of other tools, files in hex."""

import json

import pytest
from eth_account import Account

from qanat.accounts import derive_accounts
from qanat.view.keys import Keyring, UnknownAccount, keys_of, read_key_file
from qanat.view.keystore import BadKeyFile, open_keystore

KEY = bytes(range(1, 33))
ADDRESS = bytes.fromhex(Account.from_key(KEY).address[2:])


def no_password(name):
    raise AssertionError("nobody is asked")


def write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def test_test_accounts_are_held_by_their_addresses():
    accounts = derive_accounts("test test test test test test test test test test test junk", 10)
    keys = Keyring(keys_of(accounts))
    assert ["0x" + one.hex() for one in keys.addresses] == [a.address.lower() for a in accounts]
    with pytest.raises(UnknownAccount):
        keys.secret_of(bytes(20))
    assert bytes(20) not in keys
    assert KEY.hex() not in repr(vars(keys.__class__))


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_keystores_of_other_tools_open(kdf, tmp_path):
    keystore = Account.encrypt(KEY, "a password", kdf=kdf, iterations=4)
    assert open_keystore(keystore, "a password") == KEY
    path = write(tmp_path / "keystore", json.dumps(keystore), 0o644)
    assert read_key_file(path, lambda _: "a password") == [KEY]
    with pytest.raises(BadKeyFile, match="keystore: the password is wrong"):
        read_key_file(path, lambda _: "another")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"crypto": None},
        {"crypto": []},
        {"cipher": "aes-256-gcm"},
        {"kdf": "argon2"},
        {"kdf": "pbkdf2"},
        {"n": 2**40},
        {"n": -1},
        {"n": 3},
        {"p": 10**9},
        {"dklen": 10**9},
        {"dklen": 0},
        {"ciphertext": "00"},
        {"ciphertext": "xx"},
        {"iv": "00"},
        {"mac": 5},
    ],
)
def test_hostile_keystores_are_refused_and_cost_little(change):
    keystore = Account.encrypt(KEY, "a password", iterations=4)
    ((name, value),) = change.items()
    crypto = keystore["crypto"]
    for holder in (keystore, crypto, crypto["kdfparams"], crypto["cipherparams"]):
        if name in holder:
            holder[name] = value
            break
    with pytest.raises(BadKeyFile):
        open_keystore(keystore, "a password")


def test_files_in_hex_have_a_key_a_line_and_are_the_owners(tmp_path):
    text = f"# deployer\n0x{KEY.hex()}  # first\n\n{'11' * 32}\n"
    path = write(tmp_path / "keys", text)
    assert read_key_file(path, no_password) == [KEY, b"\x11" * 32]
    path.chmod(0o640)
    with pytest.raises(BadKeyFile, match="others can read it"):
        read_key_file(path, no_password)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "0x12", "zz" * 32, "11" * 33, "{", "[1]", "{}", "\0\xff", "00" * 32]
)
def test_files_without_keys_are_refused_and_not_quoted(tmp_path, text):
    path = write(tmp_path / "keys", text)
    with pytest.raises(BadKeyFile) as refused:
        Keyring(read_key_file(path, lambda _: ""))
    assert not text.strip("{}#\n ") or text not in refused.value.message


def test_missing_and_huge_files_are_refused(tmp_path):
    with pytest.raises(BadKeyFile, match="No such file"):
        read_key_file(tmp_path / "nowhere", no_password)
    with pytest.raises(BadKeyFile, match="at most"):
        read_key_file(write(tmp_path / "huge", "1" * 1024 * 1025), no_password)
