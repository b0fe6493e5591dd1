"""Where a page is served, and who may see it: every request passes here first.

A page stops runs and shows pictures that may be private. A page of somebody else's, open in the same browser, could
reach it on the loopback address, under its own name (Origin) or under one that it has the name service lead there (Host).
"""

from __future__ import annotations

import errno
import hmac
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from zero3d.errors import RunError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""What a browser on the same machine may call it."""
SAFE = "/%:@!$&'()*+,;=~"
"""What stands in a path as it is."""
SHORTEST = 16
"""Characters of a token."""


@dataclass
class Address:
    """Where the page is served, and who may come. Options of the observer and of the command alike.

    host: the address to serve at; any but the loopback one needs a token. port: 0 takes a free one. token: what visitors
    must know, 16 letters, digits, - or _ at least; "auto" makes one, "" asks for none. origins: of other pages that may hold
    this one in a frame, such as "http://127.0.0.1:8000". spare: how many ports after `port` are tried where it is in use.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""
    origins: Sequence[str] = ()
    spare: int = 0

    def check(self) -> None:
        """Raises ValueError, which begins with the option's name."""
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port: {self.port}; 1 to 65535, or 0 for a free one")
        plain = all(c.isascii() and (c.isalnum() or c in "-_") for c in self.token)
        if self.token not in ("", "auto") and not (plain and len(self.token) >= SHORTEST):
            raise ValueError(f"token: {SHORTEST} or more letters, digits, - or _; or auto for one that nobody guesses")
        if not self.token and not is_loopback_address(self.host):
            raise ValueError(
                f"host: {self.host!r} lets everyone in who reaches it; add token=auto, or keep 127.0.0.1 and look from "
                "elsewhere with: ssh -L 8080:127.0.0.1:8080 THIS_MACHINE"
            )
        for origin in self.origins:
            try:
                checked_origin(origin)
            except ValueError as error:
                raise ValueError(f"origins: {error}") from None

    def made_token(self) -> str:
        """The token, made if it is "auto"."""
        return secrets.token_urlsafe(24) if self.token == "auto" else self.token


def page_url(host: str, port: int, token: str) -> str:
    """What to open in a browser."""
    name = "127.0.0.1" if host in ("0.0.0.0", "") else host
    literal = f"[{name}]" if ":" in name else name
    return f"http://{literal}:{port}/{'?token=' + token if token else ''}"


@dataclass(frozen=True)
class Verdict:
    """What is answered in place of the page; `cookie` to be set, `location` to go to."""

    status: HTTPStatus
    text: str
    location: str = ""
    cookie: str = ""

    @property
    def body(self) -> bytes:
        return f"zero3d: {self.text}\n".encode()

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer, in lower case."""
        found = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(self.body))}
        found |= {"location": self.location} if self.location else {}
        return found | ({"set-cookie": self.cookie} if self.cookie else {})


@dataclass(frozen=True)
class Gate:
    """The rules. `token`: what a visitor must know; "" for none. `origins`: of other pages that may hold this one.

    `name`: of the cookie; those of two servers on one host must differ, for ports do not part cookies.
    """

    token: str = ""
    origins: Sequence[str] = field(default_factory=tuple)
    name: str = "zero3d_viewer"

    def verdict(self, path: str, headers: Sequence[tuple[str, str]]) -> Verdict | None:
        """None for what may pass. `path`: with its query. `headers`: as they came, names in any case.

        A token in the query is turned into a cookie, so that it stands in no address bar, history or referrer.
        """
        known: dict[str, list[str]] = {}
        for name, value in headers:
            known.setdefault(name.lower(), []).append(value)
        hosts, origins = known.get("host", []), known.get("origin", [])
        if len(hosts) != 1 or len(origins) > 1:
            return Verdict(HTTPStatus.BAD_REQUEST, "one Host, and one Origin at the most")
        if not self.token and not _is_loopback(hosts[0]):
            return Verdict(HTTPStatus.FORBIDDEN, f"host {hosts[0]!r} is not this machine's loopback address")
        if origins and not self._same(origins[0], hosts[0]):
            return Verdict(HTTPStatus.FORBIDDEN, f"origin {origins[0]!r} is not allowed here")
        if not self.token:
            return None
        try:
            place = urlsplit(path)
            query = parse_qs(place.query, keep_blank_values=True)
            given = query.pop("token", [])
            rest = urlencode(query, doseq=True)
            own = quote(place.path.lstrip("/\\"), SAFE)  # "//" or "/\\" would name another host
        except ValueError:  # no address, or bytes that are no text
            return Verdict(HTTPStatus.BAD_REQUEST, "this is no address")
        upgrade = any(value.lower() == "websocket" for value in known.get("upgrade", []))
        if any(self._knows(one) for one in given):
            if upgrade:
                return None
            location = f"/{own}{'?' + rest if rest else ''}"
            cookie = f"{self.name}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            return Verdict(HTTPStatus.SEE_OTHER, "", location, cookie)
        cookies = [one.strip().partition("=") for line in known.get("cookie", []) for one in line.split(";")]
        if any(name == self.name and self._knows(value) for name, _, value in cookies):
            return None
        return Verdict(HTTPStatus.UNAUTHORIZED, "a token is needed: open the address that was printed, with ?token=...")

    @property
    def ancestors(self) -> str:
        """The Content-Security-Policy of every page: who may show it in a frame."""
        return " ".join(["frame-ancestors 'self'", *self.origins])

    def _knows(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(errors="surrogatepass"), self.token.encode())

    def _same(self, origin: str, host: str) -> bool:
        own = origin.lower().rstrip("/") in (f"http://{host}".lower(), f"https://{host}".lower())
        return own or origin.lower().rstrip("/") in [one.lower() for one in self.origins]


def checked_origin(text: str) -> str:
    """An origin as browsers send it, "http://127.0.0.1:8000".

    Raises:
        ValueError: it is none.
    """
    try:
        parts = urlsplit(text.rstrip("/"))
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or parts.path or parts.query or parts.fragment or parts.username or set(text) & set(" ;,'\"*"):
        raise ValueError(f"{text!r} is no origin; write scheme, host and port: http://127.0.0.1:8000")
    return text.rstrip("/").lower()


def is_loopback_address(host: str) -> bool:
    """Whether a server at `host` is reached from this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK_NAMES
    except ValueError:
        return False


def open_page(url: str) -> None:
    """In the user's browser; where there is none, a line on stderr says so."""
    if not webbrowser.open(url):
        print(f"no browser here; open {url}", file=sys.stderr, flush=True)


def listen(address: Address, place: str, free: str = "port=0") -> socket.socket:
    """A socket that listens at the address, at the first of its ports that nobody has. `free`: how users ask for any port.

    Raises:
        RunError: the port is in use, or the address is not this machine's. Lines begin with `place`.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise RunError(f"{place}: host {address.host!r} is no address ({error}); give one of this machine") from None
    port, last = address.port, min(address.port + address.spare, 2**16 - 1)
    while True:
        try:
            return _listening(found[0], port)
        except OSError as error:
            used, reason = error.errno == errno.EADDRINUSE, error.strerror or error
            if used and port < last:
                port += 1
                continue
            if used:
                raise RunError(f"{place}: port {port} is in use; give another, or {free} for a free one") from None
            raise RunError(f"{place}: {address.host} port {port}: {reason}; give an address of this machine") from None


def _listening(found: tuple[Any, ...], port: int) -> socket.socket:
    family, kind, protocol, _, where = found
    made = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # else a port that was in use a minute ago would be refused
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((where[0], port, *where[2:]))
        made.listen(128)  # only now is it ours: two can bind it
    except OSError:
        made.close()
        raise
    return made
