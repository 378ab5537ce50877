"""The pages a hotspot serves: they send the customer to the portal and back. RouterOS fills in what `$(…)` names.

Some phones open them in a browser without JavaScript, so a `meta refresh` does it, and a link beside it.
"""

from html import escape

DIRECTORY = "kibali"
# In an address each must have its -esc form; $(error) is the router's sentence about the last try.
_TOLD = (
    "mac",
    "ip",
    "username",
    "link-login-only",
    "link-orig",
    "error",
    "server-name",
    "identity",
    "chap-id",
    "chap-challenge",
)


def pages(portal_url: str) -> dict[str, str]:
    """Name of the file → what it holds, each under 2 KB."""
    portal = f"{portal_url}{'&' if '?' in portal_url else '?'}{'&'.join(f'{name}=$({name}-esc)' for name in _TOLD)}"
    login = _page("Log in", f"<a href='{escape(portal)}'>Log in</a>", portal)
    onward = _page("Welcome", "<a href='$(link-redirect)'>Go on</a>", "$(link-redirect)")
    return {
        "login.html": login,
        "rlogin.html": login,
        "alogin.html": onward,
        "redirect.html": onward,
        "status.html": _page("Status", "$(username) · $(session-time-left) · <a href='$(link-logout)'>Log out</a>"),
        "logout.html": _page("Goodbye", "<a href='$(link-login)'>Log in again</a>"),
        "error.html": _page("Error", "$(error) <a href='$(link-login)'>Log in again</a>"),
    }


def _page(title: str, body: str, onward_to: str | None = None) -> str:
    refresh = f"<meta http-equiv='refresh' content='0; url={escape(onward_to)}'>" if onward_to else ""
    return (
        "<!DOCTYPE html><html><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<meta http-equiv='pragma' content='no-cache'>{refresh}<title>{title}</title></head>"
        f"<body><p>{body}</p></body></html>\n"
    )
