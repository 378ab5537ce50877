"""Every reject has a sentence that fits Reply-Message and that its customer can read."""

import pytest

from isp.reasons import Reason, sentence

ACCEPTS = {
    Reason.OK,
    Reason.GRACE,
    Reason.FAIR_USE,
    Reason.EXPIRED_WALLED_GARDEN,
    Reason.SUSPENDED_WALLED_GARDEN,
}
REJECTS = [reason for reason in Reason if reason not in ACCEPTS]


@pytest.mark.parametrize("language", ["en", "sw"])
@pytest.mark.parametrize("reason", REJECTS)
def test_a_reject_has_one_line_of_at_most_200_bytes(reason: Reason, language: str) -> None:
    text = sentence(reason, language)
    assert 10 <= len(text.encode("utf-8")) <= 200
    assert text.isprintable()
    assert text == text.strip()
    assert text.endswith(".")
    assert '"' not in text
    assert "\\" not in text


@pytest.mark.parametrize("reason", REJECTS)
def test_swahili_is_not_english(reason: Reason) -> None:
    assert sentence(reason, "sw") != sentence(reason, "en")


@pytest.mark.parametrize("language", ["", "fr", "EN", "en-GB"])
def test_an_unknown_language_is_english(language: str) -> None:
    assert sentence(Reason.EXPIRED, language) == sentence(Reason.EXPIRED, "en")


@pytest.mark.parametrize("reason", sorted(ACCEPTS))
def test_an_accept_has_nothing_to_say(reason: Reason) -> None:
    with pytest.raises(KeyError):
        sentence(reason, "en")


@pytest.mark.parametrize("language", ["en", "sw"])
def test_a_guesser_cannot_tell_an_unknown_name_from_a_wrong_password(language: str) -> None:
    assert sentence(Reason.UNKNOWN_USER, language) == sentence(Reason.WRONG_PASSWORD, language)


@pytest.mark.parametrize("language", ["en", "sw"])
def test_all_other_reasons_read_differently(language: str) -> None:
    texts = [sentence(reason, language) for reason in REJECTS if reason is not Reason.UNKNOWN_USER]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_code_is_fit_for_a_log_a_url_and_a_column(reason: Reason) -> None:
    assert reason.value.replace("_", "").isalpha()
    assert reason.value.islower()
    assert len(reason.value) <= 32
