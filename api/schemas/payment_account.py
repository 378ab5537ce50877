"""Payment accounts. Credentials go in and never come out."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from api.schemas.base import Input, Output, partial
from api.schemas.fields import Kes, Line, Moment, Msisdn, Name, StoredKes

Number = Annotated[str, StringConstraints(pattern=r"^[0-9]{5,7}$")]
CredentialName = Literal["consumer_key", "consumer_secret", "passkey"]
Credential = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), Line]
BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=200), Line]


class PaymentAccountTerms(Input):
    """What may be changed later. Of `credentials` those that are given are replaced."""

    name: Name
    base_url: BaseUrl | None = None
    confirm_above_kes: Kes | None = None
    credentials: dict[CredentialName, Credential]


class PaymentAccountCreate(PaymentAccountTerms):
    """A paybill or till. A till has a `till_number`; `shortcode` is then its store or head office."""

    kind: Literal["paybill", "till"]
    shortcode: Number
    till_number: Number | None = None


PaymentAccountChange = partial(PaymentAccountTerms, "PaymentAccountChange")


class RegisterPull(Input):
    """`nominated_phone`: a Safaricom number that M-Pesa knows as this account's."""

    nominated_phone: Msisdn


class PaymentAccountOut(Output):
    """Without its secrets, which are written and never read."""

    id: int
    provider: str
    kind: str
    name: str
    shortcode: str
    till_number: str | None
    base_url: str | None
    confirm_above_kes: StoredKes | None
    created_at: Moment
    pull_registered_at: Moment | None
    pulled_until: Moment | None
    disabled_at: Moment | None


class C2bUrlsOut(Output):
    """Where M-Pesa is to send what customers pay by hand. Whoever knows these can claim to be M-Pesa: keep them."""

    confirmation_url: str
    validation_url: str
