"""Whether a login's password is right, where the packet lets us tell: PAP, and CHAP with its challenge.

What is judged here is settled in one call of Python. MS-CHAP needs MD4, DES and the keys for MPPE, which FreeRADIUS's
own modules make; a CHAP challenge that is the Request Authenticator is not shown to us.
"""

from hmac import compare_digest

from radius_module.request import AccessRequest


def is_right(request: AccessRequest, password: str) -> bool | None:
    """None where FreeRADIUS's modules have to tell."""
    if request.pap_password is not None:
        return compare_digest(request.pap_password.encode("utf-8", "surrogatepass"), password.encode())
    if request.chap is not None:
        return request.chap.is_answered_by(password)
    return None
