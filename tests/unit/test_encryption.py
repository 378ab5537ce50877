"""Secrets at rest: what opens, what must not, and what an error may say."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.encryption import EncryptionError, Keyring

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ROW = "subscription.password:42"


def base64_of(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_a_secret_opens_to_what_was_sealed() -> None:
    keyring = Keyring({"k1": OLD})
    assert keyring.open(keyring.seal("s3cret", ROW), ROW) == "s3cret"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.text(max_size=40).filter(str.isprintable))
def test_any_text_comes_back_unchanged(secret: str, belongs_to: str) -> None:
    keyring = Keyring({"k1": OLD})
    assert keyring.open(keyring.seal(secret, belongs_to), belongs_to) == secret


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    keyring = Keyring({"k1": OLD})
    assert len({keyring.seal("s3cret", ROW) for _ in range(100)}) == 100


def test_the_sealed_form_is_as_documented_and_hides_the_secret() -> None:
    sealed = Keyring({"k1": OLD}).seal("s3cret", ROW)
    assert sealed[:4] == b"\x01\x02k1"
    assert len(sealed) == 1 + 1 + 2 + 12 + len("s3cret") + 16
    assert b"s3cret" not in sealed


@pytest.mark.parametrize("keys", [{"new": NEW, "old": OLD}, {"old": OLD}], ids=["after rotation", "before rotation"])
def test_what_an_old_key_sealed_opens_while_the_ring_has_it(keys: dict[str, bytes]) -> None:
    sealed = Keyring({"old": OLD}).seal("s3cret", ROW)
    assert Keyring(keys).open(sealed, ROW) == "s3cret"


def test_the_first_key_seals() -> None:
    sealed = Keyring({"new": NEW, "old": OLD}).seal("s3cret", ROW)
    assert Keyring({"new": NEW}).open(sealed, ROW) == "s3cret"
    with pytest.raises(EncryptionError, match="sealed with a key that KIBALI_ENCRYPTION_KEYS lacks"):
        Keyring({"old": OLD}).open(sealed, ROW)


def test_a_secret_of_another_row_does_not_open() -> None:
    keyring = Keyring({"k1": OLD})
    with pytest.raises(EncryptionError, match=r"subscription\.password:43 is damaged or belongs elsewhere"):
        keyring.open(keyring.seal("s3cret", ROW), "subscription.password:43")


def test_the_right_id_with_the_wrong_key_does_not_open() -> None:
    with pytest.raises(EncryptionError, match="damaged or belongs elsewhere"):
        Keyring({"k1": NEW}).open(Keyring({"k1": OLD}).seal("s3cret", ROW), ROW)


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_a_change_of_any_byte_is_noticed(bit: int) -> None:
    keyring = Keyring({"k1": OLD, "k0": NEW})
    sealed = keyring.seal("s3cret", ROW)
    for at in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[at] ^= bit
        with pytest.raises(EncryptionError) as caught:
            keyring.open(bytes(damaged), ROW)
        assert "s3cret" not in str(caught.value)


def test_a_cut_off_secret_is_noticed_wherever_it_is_cut() -> None:
    keyring = Keyring({"k1": OLD})
    sealed = keyring.seal("s3cret", ROW)
    for length in range(len(sealed)):
        with pytest.raises(EncryptionError):
            keyring.open(sealed[:length], ROW)
    with pytest.raises(EncryptionError):
        keyring.open(sealed + b"\0", ROW)


@given(st.binary(max_size=80))
def test_noise_is_an_encryption_error_and_nothing_worse(noise: bytes) -> None:
    with pytest.raises(EncryptionError):
        Keyring({"k1": OLD}).open(noise, ROW)


def test_generated_keys_are_read_back_and_all_different() -> None:
    text = ",".join(Keyring.generate(f"k{number}") for number in range(3))
    keyring = Keyring.parse(f" {text} , ")
    assert keyring.seal("", ROW)[2:4] == b"k0"
    assert len({entry.partition(":")[2] for entry in text.split(",")}) == 3


def test_parse_keeps_the_order_so_that_the_first_seals() -> None:
    text = f"new:{base64_of(NEW)},old:{base64_of(OLD)}"
    assert Keyring.parse(text).open(Keyring({"old": OLD}).seal("s", ROW), ROW) == "s"
    assert Keyring({"new": NEW}).open(Keyring.parse(text).seal("s", ROW), ROW) == "s"


KEY = base64_of(b"\xffdo not show me to anyone at all!"[:32])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "KIBALI_ENCRYPTION_KEYS is not set", id="nothing"),
        pytest.param(" , ,", "KIBALI_ENCRYPTION_KEYS is not set", id="commas only"),
        pytest.param(KEY, "number 1 is not ID:BASE64", id="the id was forgotten"),
        pytest.param(f":{KEY}", "number 1 must have a short ASCII id", id="the id is empty"),
        pytest.param(f"{KEY}:k1", "number 1", id="id and key swapped"),
        pytest.param(f"{KEY}:main", "number 1", id="swapped, and the id happens to be base64"),
        pytest.param(f"{KEY}:main,{KEY}:main", "number", id="swapped twice"),
        pytest.param(f"k1:{KEY[:-3]}", "number 1 is not ID:BASE64", id="cut off"),
        pytest.param(f"k1:{KEY[:-4]}", "number 1 must have a short ASCII id and 32 bytes", id="bytes missing"),
        pytest.param(f"k1:{KEY[:20]}*{KEY[21:]}", "number 1 is not ID:BASE64", id="a character that is not base64"),
        pytest.param(f"k1:{KEY[:20]}ﬀ{KEY[21:]}", "number 1 is not ID:BASE64", id="a character that is not ASCII"),
        pytest.param(f"k1:{KEY[:20]} {KEY[20:]}", "number 1 is not ID:BASE64", id="a space inside"),
        pytest.param(f"k1:{KEY},k2:{KEY[:-3]}", "number 2 is not ID:BASE64", id="the second is damaged"),
        pytest.param(f"k1:{KEY},k1:{KEY}", "number 2 has the id of one before it", id="an id twice"),
        pytest.param(f"k1:{KEY};k2:{KEY}", "number 1 is not ID:BASE64", id="semicolon instead of comma"),
        pytest.param(f"schlüssel:{KEY}", "number 1 must have a short ASCII id", id="an id that is not ASCII"),
        pytest.param(f"{'k' * 33}:{KEY}", "number 1 must have a short ASCII id", id="an id too long"),
    ],
)
def test_damaged_keys_are_refused_by_number_and_never_shown(text: str, says: str) -> None:
    with pytest.raises(EncryptionError, match=says) as caught:
        Keyring.parse(text)
    for start in range(0, len(KEY) - 8):
        assert KEY[start : start + 8] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
