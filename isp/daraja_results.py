"""What became of an STK push: M-Pesa's ResultCodes, and the sentence each has for the customer.

A code that is not in the table is unknown, never failed: the customer may have paid.
"""

from typing import NamedTuple

from isp.payment import Failed, Paid, Pending, QueryOutcome, Unknown

SUCCESS = "0"
# Newer gateways say so by this ResultCode, older ones by an HTTP 500.
STILL_PROCESSING = "4999"

SUBSCRIBER_LOCKED = "1001"
PUSH_ERROR = "1025"
# Ours: the push never left this machine.
NOT_SENT = "not_sent"


class Sentence(NamedTuple):
    """One thing to say to a customer, in English and Swahili."""

    en: str
    sw: str


_BUSY = Sentence(
    "M-Pesa is busy. Wait a minute and try again.",
    "M-Pesa ina shughuli nyingi. Subiri dakika moja kisha ujaribu tena.",
)
_NOT_SHOWN = Sentence(
    "M-Pesa could not show the request on your phone. Try again.",
    "M-Pesa haikuweza kuonyesha ombi kwenye simu yako. Jaribu tena.",
)
_MERCHANT = Sentence(
    "Your provider's M-Pesa account cannot take this payment. Contact your provider.",
    "Akaunti ya M-Pesa ya mtoa huduma wako haiwezi kupokea malipo haya. Wasiliana na mtoa huduma wako.",
)

RESULT_SENTENCES: dict[str, Sentence] = {
    "1": Sentence(
        "Your M-Pesa balance is not enough. Top up and try again.",
        "Salio lako la M-Pesa halitoshi. Ongeza salio kisha ujaribu tena.",
    ),
    "2": Sentence(
        "The amount is less than M-Pesa allows. Contact your provider.",
        "Kiasi hiki ni kidogo kuliko M-Pesa inavyoruhusu. Wasiliana na mtoa huduma wako.",
    ),
    "3": Sentence(
        "The amount is more than M-Pesa allows in one payment. Contact your provider.",
        "Kiasi hiki ni kikubwa kuliko M-Pesa inavyoruhusu kwa malipo moja. Wasiliana na mtoa huduma wako.",
    ),
    "4": Sentence(
        "This payment would pass your M-Pesa limit for today. Pay tomorrow or from another phone.",
        "Malipo haya yatapita kikomo chako cha M-Pesa cha leo. Lipa kesho au kwa simu nyingine.",
    ),
    "8": _MERCHANT,
    "17": Sentence(
        "You made the same payment less than two minutes ago. Wait two minutes before you pay again.",
        "Umefanya malipo kama haya chini ya dakika mbili zilizopita. Subiri dakika mbili kabla ya kulipa tena.",
    ),
    "26": _BUSY,
    SUBSCRIBER_LOCKED: Sentence(
        "Another M-Pesa request is open on your phone. Finish it, wait a minute and try again.",
        "Kuna ombi lingine la M-Pesa kwenye simu yako. Limalize, subiri dakika moja kisha ujaribu tena.",
    ),
    "1019": Sentence(
        "The request expired before you entered your PIN. Try again.",
        "Muda wa ombi uliisha kabla hujaweka PIN yako. Jaribu tena.",
    ),
    PUSH_ERROR: _NOT_SHOWN,
    "9999": _NOT_SHOWN,
    "1032": Sentence("You cancelled the payment.", "Umeghairi malipo."),
    "1037": Sentence(
        "Your phone did not answer. Switch it on, unlock it and try again.",
        "Simu yako haikupatikana. Iwashe, ifungue kisha ujaribu tena.",
    ),
    "2001": Sentence(
        "The M-Pesa PIN was wrong. Try again with the right one.",
        "PIN ya M-Pesa si sahihi. Jaribu tena kwa PIN sahihi.",
    ),
    "2028": _MERCHANT,
    "8006": Sentence(
        "Your M-Pesa is locked. Ask Safaricom to unlock it, then try again.",
        "M-Pesa yako imefungwa. Omba Safaricom iifungue, kisha ujaribu tena.",
    ),
}

# Codes of a refused push; those that are not here mean that the payment account is not set up rightly.
REFUSAL_SENTENCES: dict[str, Sentence] = {
    NOT_SENT: Sentence(
        "M-Pesa cannot be reached right now. Try again in a minute.",
        "M-Pesa haipatikani kwa sasa. Jaribu tena baada ya dakika moja.",
    ),
    "429": _BUSY,
    "500.003.02": _BUSY,
    "500.003.03": _BUSY,
}


def outcome_of(result_code: str) -> QueryOutcome:
    """What a ResultCode means, in a callback as in a query."""
    if result_code == SUCCESS:
        return Paid()
    if result_code == STILL_PROCESSING:
        return Pending()
    if result_code in RESULT_SENTENCES:
        return Failed(result_code)
    return Unknown(f"M-Pesa answered ResultCode {result_code}, which is in no list")


def failure_sentence(code: str, language: str) -> str:
    """The customer's sentence for the code of a failure or a refusal, in `en` or `sw`; English for any other."""
    sentence = RESULT_SENTENCES.get(code) or REFUSAL_SENTENCES.get(code) or _MERCHANT
    return sentence.sw if language == "sw" else sentence.en
