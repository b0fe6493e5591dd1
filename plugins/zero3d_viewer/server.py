"""viser behind the gate, on a port that is ours before it starts; and the file that says where it is."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from zero3d import RecipeError, RunError
from zero3d.files import replacing
from zero3d.gate import Address, Gate, checked_origin, listen, page_url

FILE = "viewer.json"
"""In the run's folder while it is watched: url, host, port, token, pid."""
PORT = 8080
SPARE = 100
"""Ports after it that are tried where none was asked for."""
_starting = threading.Lock()
_served: dict[tuple[Path, str, int, str], tuple[int, str]] = {}
"""By a run's folder and what was asked for: port and token."""


def address_of(host: str, port: int | None, token: str, origins: Sequence[str]) -> Address:
    """`port`: None takes the first free one from 8080 on."""
    return Address(host, PORT, token, origins, SPARE) if port is None else Address(host, port, token, origins)


def check_installed(place: str) -> None:
    """Raises RecipeError where viser is missing."""
    if find_spec("viser") is None:
        raise RecipeError(f"{place}: needs the package viser, which is not installed; pip install 'zero3d[viewer]'")


class Server:
    """A running viser server, `viser`, that lets in whom the gate does."""

    def __init__(self, address: Address, place: str, free: str = "port=0") -> None:
        """Start it. `free`: how users ask for any port.

        Raises:
            RunError: the port is in use, the address is not this machine's, or viser is one that cannot be guarded. Lines
                begin with `place`.
        """
        listening = listen(address, place, free)
        self.host, self.port, self.token = address.host, listening.getsockname()[1], address.made_token()
        self.gate = Gate(
            self.token, [checked_origin(origin) for origin in address.origins], f"zero3d_viewer_{self.port}"
        )
        self._clients: set[int] = set()
        self.visits = 0
        """How many connections there have been."""
        try:
            self.viser = self._start(listening, place)
        except BaseException:
            listening.close()
            raise

    @property
    def clients(self) -> int:
        """How many are connected now."""
        return len(self._clients)

    @property
    def url(self) -> str:
        """What to open, with the token."""
        return page_url(self.host, self.port, self.token)

    def write(self, folder: Path) -> None:
        """`folder`/viewer.json, for programs: readable by the owner alone, as it holds the token."""
        record = {"url": self.url, "host": self.host, "port": self.port, "token": self.token, "pid": os.getpid()}
        with replacing(folder / FILE) as temporary:
            temporary.chmod(0o600)
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")

    def close(self, folder: Path | None = None) -> None:
        """Stop serving; remove `folder`/viewer.json."""
        if folder is not None:
            (folder / FILE).unlink(missing_ok=True)
        with _quiet():
            self.viser.stop()

    def _start(self, listening: socket.socket, place: str) -> Any:
        """viser has no place for a gate, so while it starts its `serve` is ours: the real one, with the gate before it."""
        import viser
        import viser.infra._infra as infra
        import websockets.asyncio.server as real

        served = threading.Event()

        def serve(handler: Any, host: str, port: int, **options: Any) -> Any:
            served.set()
            options |= {"process_request": self._guarded(options["process_request"]), "logger": _silent()}
            return real.serve(self._counted(handler), sock=listening, **options)

        unguarded = RunError(
            f"{place}: viser {viser.__version__} cannot be guarded by this zero3d; pip install 'viser==1.1.1'"
        )
        with _starting, _quiet():
            modules = getattr(infra, "websockets", None)
            if modules is None:
                raise unguarded
            stand_in = _Instead(modules, asyncio=SimpleNamespace(server=_Instead(real, serve=serve)))
            vars(infra)["websockets"] = stand_in
            try:
                server = viser.ViserServer(host="127.0.0.1", port=self.port, label="zero3d", verbose=False)
            finally:
                vars(infra)["websockets"] = modules
            if not served.is_set():
                server.stop()
                raise unguarded
        _no_tunnel(server)
        return server

    def _counted(self, handler: Any) -> Any:
        async def counted(connection: Any) -> None:
            self._clients.add(id(connection))
            self.visits += 1
            try:
                await handler(connection)
            finally:
                self._clients.discard(id(connection))

        return counted

    def _guarded(self, process: Any) -> Any:
        from websockets import Headers
        from websockets.http11 import Response

        def guarded(connection: Any, request: Any) -> Any:
            verdict = self.gate.verdict(request.path, list(request.headers.raw_items()))
            if verdict is not None:
                return Response(verdict.status.value, verdict.status.phrase, Headers(verdict.headers), verdict.body)
            answer = process(connection, request)
            if answer is not None:
                answer.headers["Content-Security-Policy"] = self.gate.ancestors
                answer.headers["Referrer-Policy"] = "no-referrer"
                answer.headers["X-Content-Type-Options"] = "nosniff"
            return answer

        return guarded


def of_run(address: Address, place: str, whole: Path) -> tuple[Server, bool]:
    """The server of a run's next stage: where and with which token this process served the former one, for pages that are
    open; and whether there was one. `whole`: the folder of all stages.

    Raises:
        RunError: as `Server`.
    """
    key = (whole, address.host, address.port, address.token)
    if key in _served:
        port, token = _served[key]
        with contextlib.suppress(RunError):  # somebody else has the port by now
            return Server(replace(address, port=port, token=token, spare=0), place), True
    server = Server(address, place)
    _served[key] = server.port, server.token
    return server, False


class _Instead:
    """A module with some of its names replaced."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module = module
        vars(self).update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _no_tunnel(server: Any) -> None:
    """Every visitor could have viser ask a foreign server for a public address of this page; none may."""
    from viser import _messages

    server._websock_server.unregister_handler(_messages.ShareUrlRequest)


def _silent() -> logging.Logger:
    """Of refused and broken requests, which are no news to whoever watches a run."""
    logger = logging.getLogger("zero3d_viewer.websockets")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """viser prints panels on stdout, which is the command's."""
    import rich

    console = rich.get_console()
    former, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = former
