"""The server: one process, on a port that is ours before anything starts."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Sequence

import uvicorn

from zero3d.errors import RunError
from zero3d.files.lock import only_writer
from zero3d.gate import Address, Gate, listen, page_url
from zero3d_studio.app import make_app
from zero3d_studio.studio import Limits, Studio


def serve(arguments: argparse.Namespace, address: Address, always: Sequence[str], ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. `ready` is given the page's address. `always`: options of zero3d for every run.

    Raises:
        RunError: the port is in use, the folder cannot be made, or another studio works in it.
        KeyboardInterrupt: Ctrl-C, after the runs have saved themselves.
    """
    folder = arguments.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"studio: --folder: {folder} cannot be made ({error.strerror}); name another") from None
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(listen(address, "studio", "--port 0"))
        port, token = listening.getsockname()[1], address.made_token()
        stack.enter_context(only_writer(folder, f"studio: --folder: {folder}"))
        limits = Limits(
            upload=int(arguments.megabytes * 1e6),
            pixels=int(arguments.megapixels * 1e6),
            at_once=arguments.jobs,
            waiting=arguments.queue,
        )
        studio = Studio(
            folder, arguments.registry, limits, address.host, always, arguments.recipes, arguments.viewer_port
        )
        stack.callback(studio.close)
        app = make_app(studio, Gate(token, (), f"zero3d_studio_{port}"))
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
            limit_concurrency=100,
        )
        ready(page_url(address.host, port, token))
        uvicorn.Server(config).run(sockets=[listening])
