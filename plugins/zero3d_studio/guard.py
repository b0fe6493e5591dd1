"""Around the whole application: who may ask, how much, and what a browser may do with the answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from zero3d.gate import Gate, Verdict

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
READING = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "frame-src 'self' http://{host}:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of the page. The frames: a run's report, and the live viewer, which another port of this host serves."""
REPORT_POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'self'"
"""Of a report, beside its own: it came with a run's folder, which may be a stranger's, and is no part of this origin."""


class Guard:
    """ASGI: lets in whom the gate does. What changes anything must say its Origin, as every browser does, so that neither
    another page nor a form of one can have it done."""

    def __init__(self, app: Any, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        query = scope.get("query_string", b"").decode("latin-1")
        place = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        verdict = self._gate.verdict(place + (f"?{query}" if query else ""), headers)
        origins = [value for name, value in headers if name.lower() == "origin"]
        own = own_headers(next((value for name, value in headers if name.lower() == "host"), ""))

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in own if pair[0] not in given)]
            await send(message)

        if verdict is not None:
            await _answer(guarded, verdict)
        elif scope["method"] not in READING and not origins:
            reason = "a request that changes anything must come from this page, and say so (Origin)"
            await _answer(guarded, Verdict(HTTPStatus.FORBIDDEN, reason))
        else:
            await self._app(scope, receive, guarded)


def own_headers(host: str) -> list[tuple[bytes, bytes]]:
    """Those of every answer that has no others. `host`: as the request names it."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    plain = bool(name) and all(c.isascii() and (c.isalnum() or c in ".-") for c in name)  # CSP has no IPv6 addresses
    policy = POLICY.format(host=name if plain else "127.0.0.1")
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cache-control", b"no-store"),
    ]


async def _answer(send: Send, verdict: Verdict) -> None:
    headers = [(name.encode(), value.encode()) for name, value in verdict.headers.items()]
    await send({"type": "http.response.start", "status": int(verdict.status), "headers": headers})
    await send({"type": "http.response.body", "body": verdict.body})
