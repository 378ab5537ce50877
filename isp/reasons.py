"""Why a login was decided as it was: a code for operators and logs, a sentence for the customer in their language."""

from enum import StrEnum


class Reason(StrEnum):
    """Accepts first, then rejects."""

    OK = "ok"
    GRACE = "grace"
    FAIR_USE = "fair_use"
    EXPIRED_WALLED_GARDEN = "expired_walled_garden"
    SUSPENDED_WALLED_GARDEN = "suspended_walled_garden"

    WRONG_PASSWORD = "wrong_password"  # noqa: S105 (a code)
    UNKNOWN_USER = "unknown_user"
    UNKNOWN_DEVICE = "unknown_device"
    PENDING = "pending"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    DATA_USED_UP = "data_used_up"
    TIME_USED_UP = "time_used_up"
    TOO_MANY_DEVICES = "too_many_devices"
    WRONG_SERVICE = "wrong_service"
    WRONG_ROUTER = "wrong_router"
    WRONG_DEVICE = "wrong_device"
    TOO_MANY_FAILURES = "too_many_failures"
    MALFORMED = "malformed"


# Reply-Message holds 253 octets; hotspot pages show one short line.
_SENTENCES: dict[Reason, dict[str, str]] = {
    Reason.WRONG_PASSWORD: {
        "en": "Wrong username or password. Check both and try again.",
        "sw": "Jina au nenosiri si sahihi. Hakikisha yote mawili kisha ujaribu tena.",
    },
    Reason.UNKNOWN_USER: {
        "en": "Wrong username or password. Check both and try again.",
        "sw": "Jina au nenosiri si sahihi. Hakikisha yote mawili kisha ujaribu tena.",
    },
    Reason.UNKNOWN_DEVICE: {
        "en": "This device has no active plan. Buy a plan or log in.",
        "sw": "Kifaa hiki hakina kifurushi. Nunua kifurushi au ingia kwa jina lako.",
    },
    Reason.PENDING: {
        "en": "Your plan starts when your payment arrives.",
        "sw": "Kifurushi chako kitaanza malipo yako yatakapofika.",
    },
    Reason.EXPIRED: {
        "en": "Your plan has expired. Pay to continue.",
        "sw": "Kifurushi chako kimeisha muda. Lipa ili uendelee.",
    },
    Reason.SUSPENDED: {
        "en": "Your account is suspended. Contact your provider.",
        "sw": "Akaunti yako imesimamishwa. Wasiliana na mtoa huduma wako.",
    },
    Reason.CANCELLED: {
        "en": "This account is closed. Contact your provider.",
        "sw": "Akaunti hii imefungwa. Wasiliana na mtoa huduma wako.",
    },
    Reason.DATA_USED_UP: {
        "en": "Your data is used up. Buy more to continue.",
        "sw": "Data yako imeisha. Nunua zaidi ili uendelee.",
    },
    Reason.TIME_USED_UP: {
        "en": "Your time is used up. Buy more to continue.",
        "sw": "Muda wako umeisha. Nunua zaidi ili uendelee.",
    },
    Reason.TOO_MANY_DEVICES: {
        "en": "Your plan is in use on as many devices as it allows. Log one out first.",
        "sw": "Kifurushi chako kinatumika kwenye vifaa vyote kinavyoruhusu. Ondoa kimoja kwanza.",
    },
    Reason.WRONG_SERVICE: {
        "en": "Your plan is not for this kind of connection. Contact your provider.",
        "sw": "Kifurushi chako si cha aina hii ya muunganisho. Wasiliana na mtoa huduma wako.",
    },
    Reason.WRONG_ROUTER: {
        "en": "Your plan is not valid at this location. Contact your provider.",
        "sw": "Kifurushi chako hakitumiki mahali hapa. Wasiliana na mtoa huduma wako.",
    },
    Reason.WRONG_DEVICE: {
        "en": "This account is bound to another device. Contact your provider.",
        "sw": "Akaunti hii imefungwa kwa kifaa kingine. Wasiliana na mtoa huduma wako.",
    },
    Reason.TOO_MANY_FAILURES: {
        "en": "Too many wrong attempts. Wait a minute and try again.",
        "sw": "Umejaribu mara nyingi kimakosa. Subiri dakika moja kisha ujaribu tena.",
    },
    Reason.MALFORMED: {
        "en": "The login could not be understood. Contact your provider.",
        "sw": "Ombi la kuingia halikueleweka. Wasiliana na mtoa huduma wako.",
    },
}


def sentence(reason: Reason, language: str) -> str:
    """The customer's sentence in `en` or `sw`; English for any other. KeyError for the reason of an accept."""
    sentences = _SENTENCES[reason]
    return sentences.get(language, sentences["en"])
