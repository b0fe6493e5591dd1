"""Visitors of the viewer without a browser."""

import time

import msgspec
import viser
import zstandard
from websockets.sync.client import connect

PROTOCOL = f"viser-v{viser.__version__}"
TOKEN = "a-token-of-the-tests"


def visit(url, **options):
    """A websocket as viser's own page opens it."""
    return connect(url.replace("http", "ws", 1), subprotocols=[PROTOCOL], max_size=2**26, **options)


def messages(socket_, until, seconds=10.0):
    """What the server sends, decoded, until a message of that type came."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        data = socket_.recv(timeout=seconds)
        size = int.from_bytes(data[8:16], "little")
        found += msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data[16 : 16 + size]))["messages"]
        if any(one["type"] == until for one in found):
            return found
    raise AssertionError(f"no {until} among {[one['type'] for one in found]}")


def wait_for(what, seconds=5.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)
