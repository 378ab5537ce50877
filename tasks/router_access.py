"""From a router's row to its API: where it is, and who we are there."""

from typing import cast

from db import router as routers
from db.router import Router
from isp.encryption import Keyring
from settings import Secret
from tasks.routeros_errors import NoAccess
from tasks.routeros_target import Plain, Target


def target_of(router: Router, keyring: Keyring) -> Target:
    """For `tasks.routeros.connect` and `tasks.routeros_async.connect`. Raises NoAccess, EncryptionError."""
    password = routers.api_password(router, keyring)
    if password is None:
        raise NoAccess(
            f"{router.name} has no user for Kibali yet. Run ./kibali router bootstrap {router.id} and paste the script "
            "into it."
        )
    return Target(
        host=str(router.api_address or router.nas_address),
        username=router.api_username,
        password=Secret(password),
        certificate_sha256=router.api_certificate_sha256,
        plain=cast(Plain, router.api_plain),
        api_ssl_port=router.api_ssl_port,
        api_port=router.api_port,
    )
