"""Addresses of tracking stores: what is refused in them, and how messages show them without a password."""

import re
from urllib.parse import unquote, unquote_plus

LOCAL = ("sqlite", "file")  # schemes of paths, which have no user and no password
SECRET_KEY = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
SHORTEST = 3  # characters of a password that is looked for in texts


def check_address(address: str) -> str:
    """The address, unless its parts are ambiguous: then messages of libraries could hold parts of the password.

    Raises:
        ValueError: if user, password or what follows the host has a character that must be written with a percent sign.
    """
    scheme, _, rest = address.partition("://")
    host = re.match("[^/?#]*", rest)
    if not host or scheme.startswith(LOCAL):
        return address
    user, _, _ = host[0].rpartition("@")
    if re.search(r"[^\w.~!$&'()*+,;=:%-]|%(?![0-9A-Fa-f]{2})", user, re.ASCII) or "@" in rest[host.end() :]:
        raise ValueError(
            "special characters of user, password and path must be written as a percent sign and two digits:"
            " @ as %40, / as %2F, # as %23, ? as %3F, % as %25, a space as %20. For others:"
            " python -c 'import urllib.parse as p; print(p.quote(input(), safe=\"\"))'"
        )
    return address


def mask(text: str, address: str = "") -> str:
    """Replace user and password of addresses in a text, and all secrets of the given address."""
    for secret in sorted(_secrets(address), key=len, reverse=True):
        text = text.replace(secret, "***")
    return re.sub(r"(?<=://)[^\n]*@", "***@", text)


def _secrets(address: str) -> set[str]:
    """Passwords and tokens in an address, as they are written and decoded."""
    user = re.match(r"[^:/]+://([^/?#]*)@", address)
    found = [user[1].partition(":")[2] or user[1]] if user else []
    query = address.partition("?")[2].partition("#")[0]
    found += [value for key, _, value in (pair.partition("=") for pair in query.split("&")) if SECRET_KEY.search(key)]
    return {form for s in found for form in (s, unquote(s), unquote_plus(s)) if len(form) >= SHORTEST}
