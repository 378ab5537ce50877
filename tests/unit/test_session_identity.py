"""Class, and the key of a session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.session_identity import new_class, session_key, subscription_of

OURS = "k1.42.0123456789abcdef"


@given(st.integers(0, 10**18 - 1))
def test_a_class_of_ours_names_its_subscription(subscription_id: int) -> None:
    radius_class = new_class(subscription_id)
    assert subscription_of(radius_class) == subscription_id
    assert len(radius_class) <= 64
    assert radius_class.isascii()


def test_no_two_logins_get_one_class() -> None:
    assert len({new_class(42) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "radius_class",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param("somebody else's", id="another server's"),
        pytest.param("k2.42.0123456789abcdef", id="another version"),
        pytest.param("K1.42.0123456789abcdef", id="capital version"),
        pytest.param("k1.42", id="no random part"),
        pytest.param("k1.42.", id="empty random part"),
        pytest.param("k1.42.0123456789abcde", id="random part too short"),
        pytest.param("k1.42.0123456789abcdef0", id="random part too long"),
        pytest.param("k1.42.0123456789ABCDEF", id="random part in capitals"),
        pytest.param("k1.42.0123456789abcdef.x", id="a fourth part"),
        pytest.param("k1..0123456789abcdef", id="no subscription"),
        pytest.param("k1.-42.0123456789abcdef", id="negative"),
        pytest.param("k1.+42.0123456789abcdef", id="signed"),
        pytest.param("k1.4_2.0123456789abcdef", id="underscore that int() takes"),
        pytest.param("k1. 42.0123456789abcdef", id="space that int() takes"),
        pytest.param("k1.４２.0123456789abcdef", id="full-width digits that int() takes"),
        pytest.param("k1.4²." + "0" * 16, id="superscript that isdigit() takes"),
        pytest.param(f"k1.{10**18}.0123456789abcdef", id="more than a bigint's digits"),
        pytest.param(f"k1.{'9' * 5000}.0123456789abcdef", id="more digits than int() takes"),
        pytest.param(OURS + "\n", id="newline after"),
        pytest.param(OURS + "\0", id="NUL after"),
    ],
)
def test_what_is_not_exactly_ours_names_nobody(radius_class: str | None) -> None:
    assert subscription_of(radius_class) is None


KEY = session_key(7, "80000001", OURS, "alice", "BC:24:11:EB:56:4D")


def test_a_session_has_one_key_in_every_process_and_release() -> None:
    # Written in session.session_key: it must never change.
    assert str(KEY) == "f0c273ba-f351-42c2-525e-918240b4f7aa"


@pytest.mark.parametrize(
    ("user_name", "calling_station_id"),
    [("ALICE", "BC:24:11:EB:56:4D"), ("bob", None), ("", "00:00:00:00:00:01")],
)
def test_with_our_class_the_name_and_the_device_may_change(user_name: str, calling_station_id: str | None) -> None:
    assert session_key(7, "80000001", OURS, user_name, calling_station_id) == KEY


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((8, "80000001", OURS, "alice", "BC:24:11:EB:56:4D"), id="another router"),
        pytest.param((7, "80000002", OURS, "alice", "BC:24:11:EB:56:4D"), id="another Acct-Session-Id"),
        pytest.param((7, "80000001", "k1.42.0123456789abcdee", "alice", "BC:24:11:EB:56:4D"), id="another login"),
        pytest.param(
            (7, "80000001", "k1.43.0123456789abcdef", "alice", "BC:24:11:EB:56:4D"), id="another subscription"
        ),
        pytest.param((7, "80000001", None, "alice", "BC:24:11:EB:56:4D"), id="no Class"),
        pytest.param((7, "80000001", None, OURS, None), id="our Class as a name"),
    ],
)
def test_acct_session_id_alone_identifies_nothing(other: tuple[int, str, str | None, str, str | None]) -> None:
    assert session_key(*other) != KEY


FALLBACK = session_key(7, "1", None, "alice", "AA:AA:AA:AA:AA:AA")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((8, "1", None, "alice", "AA:AA:AA:AA:AA:AA"), id="another router"),
        pytest.param((7, "2", None, "alice", "AA:AA:AA:AA:AA:AA"), id="another Acct-Session-Id"),
        pytest.param((7, "1", None, "bob", "AA:AA:AA:AA:AA:AA"), id="another name"),
        pytest.param((7, "1", None, "alice", "AA:AA:AA:AA:AA:AB"), id="another device"),
        pytest.param((7, "1", None, "alice", None), id="no device"),
    ],
)
def test_without_a_class_the_name_and_the_device_stand_in(other: tuple[int, str, str | None, str, str | None]) -> None:
    assert session_key(*other) != FALLBACK


@pytest.mark.parametrize("foreign", ["", "proxy", "k1.42.", OURS + "x"])
def test_a_class_that_is_not_ours_is_as_good_as_none(foreign: str) -> None:
    assert session_key(7, "1", foreign, "alice", "AA:AA:AA:AA:AA:AA") == FALLBACK


names = st.text(alphabet=st.characters(exclude_characters="\0"), max_size=20)
identities = st.tuples(
    st.integers(0, 2**63), names, st.none() | names | st.just(OURS), names, st.none() | st.just("AA:AA:AA:AA:AA:AA")
)


def meaning(identity: tuple[int, str, str | None, str, str | None]) -> tuple[object, ...]:
    router_id, acct_session_id, radius_class, user_name, calling_station_id = identity
    if radius_class == OURS:
        return router_id, acct_session_id, radius_class
    return router_id, acct_session_id, user_name, calling_station_id


@given(identities, identities)
def test_two_sessions_share_a_key_only_if_they_are_one(
    one: tuple[int, str, str | None, str, str | None], other: tuple[int, str, str | None, str, str | None]
) -> None:
    assert (session_key(*one) == session_key(*other)) == (meaning(one) == meaning(other))


def test_half_a_utf_16_pair_does_no_harm() -> None:
    assert session_key(7, "\udcff", None, "\udcff", None) != session_key(7, "\udcfe", None, "\udcff", None)
