"""What can go wrong with a router's API: one class for each thing an operator would do about it.

Texts are one line, name the router and say what to do. They hold nothing of what was sent but the command.
"""

from typing import ClassVar


class RouterError(Exception):
    """A router did not do what it was asked, or could not be asked.

    `permanent`: until an operator changes something.
    """

    permanent: ClassVar[bool] = False


class NoAccess(RouterError):
    """We never gave the router a user to log in as."""

    permanent = True


class Unreachable(RouterError):
    """No connection: nothing was sent."""


class PortClosed(RouterError):
    """The router refused the connection; also for some seconds while it starts."""


class NotAdmitted(RouterError):
    """The router closed the connection before a login."""


class Silent(RouterError):
    """Connected, but no whole answer in time. What was asked may have been done. The connection is gone."""


class ConnectionLost(RouterError):
    """The connection ended or made no sense. What was asked last may have been done."""


class TlsRefused(RouterError):
    """The port is open, but no TLS that we accept is spoken there."""

    permanent = True


class CertificateChanged(RouterError):
    """Another certificate than the one that is known; nothing was sent.

    `found` is the one to know from now on, if an operator confirms that the router changed.
    """

    permanent = True

    def __init__(self, message: str, *, found: str) -> None:
        super().__init__(message)
        self.found = found


class WrongPassword(RouterError):
    permanent = True


class RouterTooOld(RouterError):
    permanent = True


class RouterTooNew(RouterError):
    permanent = True


class Refused(RouterError):
    """The router answered with a trap; the connection stays. `trap`: RouterOS's own words."""

    permanent = True

    def __init__(self, message: str, *, command: str, trap: str) -> None:
        super().__init__(message)
        self.command = command
        self.trap = trap


class NotPermitted(Refused):
    """The group of our user lacks a policy."""


class MissingMenu(Refused):
    """A menu or command that this router lacks: a package, or its version."""


class UnknownProperty(Refused):
    """A property that this version does not know, any more or yet."""


class BlockedByDeviceMode(Refused):
    """`/system device-mode` forbids it; only somebody at the router can change that."""


class NoSuchItem(Refused):
    """What was to be changed or removed is not there (any more)."""


class AlreadyThere(Refused):
    """The router has an item like this one."""


class Busy(Refused):
    """The router could not do it now."""

    permanent = False
