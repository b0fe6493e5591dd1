"""The application: addresses -> what the studio does. A mistake is one line, {"error": line}."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException

from zero3d.errors import UserError
from zero3d.gate import Gate
from zero3d_studio.guard import REPORT_POLICY, Guard
from zero3d_studio.page import ASSETS, asset
from zero3d_studio.studio import Studio

LARGEST_JSON = 65_536
SHOWN = {".png": "image/png", ".mp4": "video/mp4"}
"""What the page itself shows of a run, beside the report; all else is downloaded."""


def make_app(studio: Studio, gate: Gate) -> Any:
    """An ASGI application: the page, pictures, runs and their files, behind the gate."""
    app = FastAPI(
        title="zero3d studio",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={UserError: _mistake, KeyError: _unknown, AnyHTTPException: _refused},
    )
    for routes in (_page(studio), _pictures(studio), _runs(studio)):
        app.include_router(routes)
    return Guard(app, gate)


async def _mistake(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _unknown(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"{error.args[0]!s:.100}: not here"}, 404)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code)


def _page(studio: Studio) -> APIRouter:
    """The page, and what it asks first."""
    routes = APIRouter()

    @routes.get("/")
    def page() -> Response:
        return Response(asset("index.html"), media_type="text/html; charset=utf-8")

    @routes.get("/page/{name}")
    def page_file(name: str) -> Response:
        if name not in ASSETS:
            raise KeyError(name)
        return Response(asset(name), media_type=ASSETS[name])

    @routes.get("/api/state")
    def state() -> dict[str, Any]:
        return studio.state()

    return routes


def _pictures(studio: Studio) -> APIRouter:
    """Pictures, their masks, and how far their cameras look down."""
    routes = APIRouter()

    @routes.post("/api/pictures")
    async def add(request: Request, name: str = "") -> dict[str, Any]:
        _of_kind(request, ("image/", "application/octet-stream"))
        data = await _body(request, studio.limits.upload)
        return vars(await run_in_threadpool(studio.pictures.add, data, name, studio.queue.files_read))

    @routes.put("/api/pictures/{ident}/mask")
    async def paint(request: Request, ident: str) -> dict[str, Any]:
        _of_kind(request, ("image/png",))
        studio.pictures.get(ident)
        data = await _body(request, studio.limits.upload)
        return vars(await run_in_threadpool(studio.pictures.paint, ident, data, studio.queue.files_read))

    @routes.get("/api/pictures/{ident}")
    def known(ident: str) -> dict[str, Any]:
        return vars(studio.pictures.get(ident))

    @routes.get("/api/pictures/{ident}/{what}")
    def picture(ident: str, what: str) -> Response:
        known = studio.pictures.get(ident)
        files = {"colours": studio.pictures.colours, "mask": studio.pictures.mask}
        return FileResponse(files[what](known.ident), media_type="image/png")

    @routes.post("/api/elevation")
    async def elevation(request: Request) -> dict[str, Any]:
        return await run_in_threadpool(studio.elevation, await _json(request))

    return routes


def _runs(studio: Studio) -> APIRouter:
    """Runs, their files, and what is done with them."""
    routes = APIRouter()

    @routes.get("/api/runs")
    def listed() -> list[dict[str, Any]]:
        return studio.listed()

    @routes.post("/api/runs")
    async def start(request: Request) -> dict[str, Any]:
        options = await _json(request)
        return {"name": await run_in_threadpool(studio.start, options, request.headers["origin"])}

    @routes.get("/api/runs/{name}")
    def details(name: str) -> dict[str, Any]:
        return studio.details(name)

    @routes.post("/api/runs/{name}/{what}")
    def change(name: str, what: str, request: Request) -> dict[str, Any]:
        origin = request.headers["origin"]
        {"stop": studio.stop, "resume": lambda name: studio.resume(name, origin)}[what](name)
        return {}

    @routes.get("/api/runs/{name}/zip")
    def zipped(name: str) -> Response:
        made = studio.runs.zipped(studio.runs.find(name))
        return FileResponse(
            made, media_type="application/zip", filename=f"{name}.zip", background=BackgroundTask(made.unlink)
        )

    @routes.get("/runs/{name}/{inner:path}")
    def run_file(name: str, inner: str) -> Response:
        found = studio.runs.files(studio.runs.find(name))[inner]
        headers = {}
        kind = SHOWN.get(found.suffix.lower())
        if inner == "report.html":
            kind, headers = "text/html; charset=utf-8", {"content-security-policy": REPORT_POLICY}
        if kind is None:
            kind = "application/octet-stream"
            headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"}
        return FileResponse(found, media_type=kind, headers=headers)

    return routes


def _of_kind(request: Request, kinds: Iterable[str]) -> None:
    given = request.headers.get("content-type", "")
    if not given.startswith(tuple(kinds)):
        raise HTTPException(415, f"content type {given!r:.100}: send {' or '.join(kinds)}")


async def _body(request: Request, most: int) -> bytes:
    """The request's body, of which no more is read than allowed, whatever it says of its length."""
    over = HTTPException(413, f"over {most / 1e6:g} MB; send less")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > most:
        raise over
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > most:
            raise over
    return bytes(found)


async def _json(request: Request) -> dict[str, Any]:
    _of_kind(request, ("application/json",))
    try:
        value = json.loads(await _body(request, LARGEST_JSON))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise HTTPException(400, "no JSON object")
    return value
