"""Who may see the viewer's page, and what a visitor is told."""

import contextlib
import io
import socket
from contextlib import closing
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.plugins.visits import TOKEN, messages, visit, wait_for
from zero3d import RunError
from zero3d.gate import Gate, checked_origin, listen
from zero3d.testing import SphereField
from zero3d.testing.sphere import SphereConfig
from zero3d_viewer.page import Page
from zero3d_viewer.server import Address, Server, address_of
from zero3d_viewer.shapes import shape_of


@pytest.fixture
def server():
    made = Server(Address(port=0), "view")
    yield made
    made.close()


def test_browsers_are_opened_in_one_place():
    """Which says so where there is none."""
    own = [path for room in ("zero3d", "plugins") for path in Path(room).rglob("*.py")]
    assert [str(path) for path in own if "webbrowser" in path.read_text(encoding="utf-8")] == ["zero3d/gate.py"]


class TestGate:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Host": "127.0.0.1:8080"}, None),
            ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, None),
            ({"Host": "[::1]:8080", "Origin": "http://[::1]:8080"}, None),
            ({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8000"}, None),
            ({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8001"}, 403),
            ({"Host": "127.0.0.1:8080", "Origin": "http://evil.example"}, 403),
            ({"Host": "127.0.0.1:8080", "Origin": "null"}, 403),
            ({"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}, 403),
            ({"Host": "127.0.0.1.evil.example"}, 403),
            ({"Host": "localhost:abc[", "Origin": "http://localhost"}, 403),
            ({}, 400),
        ],
    )
    def test_on_the_loopback_address(self, headers, status):
        verdict = Gate(origins=["http://127.0.0.1:8000"]).verdict("/", list(headers.items()))
        assert (verdict and verdict.status.value) == status

    @pytest.mark.parametrize(("path", "cookie", "status"), [
        ("/", "", 401),
        ("/?token=wrong", "", 401),
        ("/?token=" + TOKEN[:-1], "", 401),
        ("/", f"zero3d_viewer={TOKEN}x", 401),
        ("/", f"other={TOKEN}", 401),
        ("/?token=" + TOKEN, "", 303),
        ("/", f"a=b; zero3d_viewer={TOKEN}", None),
    ])  # fmt: skip
    def test_with_a_token(self, path, cookie, status):
        headers = [("Host", "studio.example"), *([("Cookie", cookie)] if cookie else [])]
        verdict = Gate(TOKEN).verdict(path, headers)
        assert (verdict and verdict.status.value) == status
        refused = Gate(TOKEN).verdict(path, [*headers, ("Origin", "http://evil.example")])
        assert refused.status.value == 403, "whoever knows the token, another's page may not use it"

    @pytest.mark.parametrize("token", ["", TOKEN])
    @pytest.mark.parametrize(
        "odd", ["http://[", "//[x", "http://[::1", "\xe9", "\udce9", "\x00", "%", "[", "//", "http://a:b"]
    )
    def test_what_is_no_address_is_refused_not_raised(self, token, odd):
        """Wherever a visitor can write: each answer is one that HTTP can carry."""
        gate = Gate(token, name="own")
        good = ("Host", "127.0.0.1:1")
        for path, headers in (
            (odd, [good]),
            (f"{odd}?token={TOKEN}", [good]),
            (f"/?token={odd}", [good]),
            (f"/?token={TOKEN}&x={odd}", [good]),
            ("/", [good, ("Origin", odd)]),
            ("/", [good, ("Cookie", f"own={odd}")]),
            ("/", [("Host", odd)]),
        ):
            verdict = gate.verdict(path, headers)
            if verdict is not None:
                assert 300 <= verdict.status < 500
                f"{verdict.text}{verdict.location}{verdict.cookie}".encode()
                verdict.location.encode("ascii")
        assert gate.verdict("/", [good, ("Origin", odd)]).status == 403

    def test_the_token_leaves_the_address(self):
        verdict = Gate(TOKEN).verdict(f"//evil.example/a?b=1&token={TOKEN}", [("Host", "h")])
        assert TOKEN not in verdict.location
        assert not verdict.location.startswith(("//", "/\\"))
        assert Gate(TOKEN).verdict(f"/\\evil.example?token={TOKEN}", [("Host", "h")]).location == "/evil.example"
        assert "HttpOnly" in verdict.cookie
        assert "SameSite=Strict" in verdict.cookie

    @pytest.mark.parametrize(
        "text", ["evil", "ftp://a", "http://a/path", "http://a b", "http://*", "http://a:99999", ""]
    )
    def test_what_is_no_origin(self, text):
        with pytest.raises(ValueError, match="origin"):
            checked_origin(text)


class TestServer:
    def test_it_serves_the_page_and_the_scene_to_a_visitor(self, server):
        page = Page(server.viser)
        page.show(page.exhibit("run"), shape_of(SphereField(SphereConfig()), 16, 1000))
        assert server.clients == 0
        with visit(server.url) as one:
            found = messages(one, "GaussianSplatsMessage")
            assert server.clients == 1
        assert any(m["type"] == "GaussianSplatsMessage" and m["name"] == "/run/splats" for m in found)
        status, headers, body = fetch(server, "/")
        assert status == 200
        assert b"<html" in body.lower()
        assert headers["content-security-policy"] == "frame-ancestors 'self'"

    @pytest.mark.parametrize("header", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
    def test_another_page_is_refused(self, server, header):
        assert fetch(server, "/", header)[0] == 403
        if "Origin" in header:
            with pytest.raises(InvalidStatus) as refused:
                visit(server.url, origin=header["Origin"])
            assert refused.value.response.status_code == 403
        assert server.visits == 0

    def test_with_a_token_only_who_knows_it_comes_in(self):
        with closing(Server(Address(port=0, token=TOKEN, origins=["http://127.0.0.1:1"]), "view")) as server:
            bare = server.url.partition("?")[0]
            with pytest.raises(InvalidStatus) as refused:
                visit(bare)
            assert refused.value.response.status_code == 401
            status, headers, _ = fetch(server, f"/?token={TOKEN}")
            assert (status, headers["location"]) == (303, "/")
            cookie = headers["set-cookie"].partition(";")[0]
            status, headers, _ = fetch(server, "/", {"Cookie": cookie})
            assert status == 200
            assert headers["content-security-policy"] == "frame-ancestors 'self' http://127.0.0.1:1"
            with visit(bare, additional_headers={"Cookie": cookie}), visit(server.url):
                wait_for(lambda: server.clients == 2)

    def test_nobody_may_have_viser_open_a_tunnel(self, server):
        from viser import _messages

        assert _messages.ShareUrlRequest not in server.viser._websock_server._incoming_handlers

    def test_nothing_is_said_on_stdout(self, capfd):
        Server(Address(port=0), "view").close()
        assert capfd.readouterr() == ("", "")

    def test_a_port_in_use_is_one_line(self, server):
        with pytest.raises(RunError, match=rf"view: port {server.port} is in use; .*port=0"):
            Server(Address(port=server.port), "view")
        with pytest.raises(RunError, match="no address"):
            Server(Address("no.such.host.invalid", 0, TOKEN), "view")

    def test_without_a_port_the_next_free_one_is_taken(self):
        """Several runs at once; listened at, not only bound, a port is nobody else's."""
        with contextlib.ExitStack() as stack:
            made = [
                stack.enter_context(closing(listen(address_of("127.0.0.1", None, "", ()), "view"))) for _ in range(3)
            ]
            ports = [one.getsockname()[1] for one in made]
            assert 8080 <= ports[0] < ports[1] < ports[2] < 8080 + 100
            server = stack.enter_context(closing(Server(address_of("127.0.0.1", None, "", ()), "view")))
            assert server.port > ports[2]

    def test_a_viser_that_cannot_be_guarded_is_not_served(self, monkeypatch):
        """Were its server started in another way, the gate would stand beside the road."""
        import viser.infra._infra as infra

        monkeypatch.delattr(infra, "websockets")
        with pytest.raises(RunError, match="cannot be guarded"):
            Server(Address(port=0), "view")


def fetch(server, path, headers=None):
    """A GET over a plain socket, which may send any Host: status, headers by lower case, body."""
    sent = {"Host": f"127.0.0.1:{server.port}", "Connection": "close", **(headers or {})}
    text = f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in sent.items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one:
        one.sendall(text.encode())
        data = io.BytesIO()
        while part := one.recv(2**16):
            data.write(part)
    head, _, body = data.getvalue().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}, body
