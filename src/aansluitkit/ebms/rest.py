"""REST ``/service/rest/v19``, as the reference adapter has it, as far as CPAs, Ping and status go.

A ping that fails is answered by 500 and the text ``hop: what happened``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from datetime import UTC, datetime
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from aansluitkit.ebms.asking import Asking
from aansluitkit.ebms.cpa import Cpa, read_cpa
from aansluitkit.ebms.errors import HopError, MalformedError
from aansluitkit.ebms.store import Store

BASE = "/service/rest/v19"


def rest_application(store: Store, asking: Asking, user: str, password: str) -> web.Application:
    """The REST interface; everybody must know ``user`` and ``password`` (RFC 7617)."""
    rest = _Rest(store, asking)
    application = web.Application(middlewares=[_authenticated(user, password), _told], client_max_size=4 * 1024 * 1024)
    application.router.add_routes(
        [
            web.post(f"{BASE}/cpas/validate", rest.validate_cpa),
            web.post(f"{BASE}/cpas", rest.load_cpa),
            web.get(f"{BASE}/cpas", rest.list_cpas),
            web.delete(f"{BASE}/cpas/cache", rest.nothing_cached),
            web.get(f"{BASE}/cpas/{{id}}", rest.show_cpa),
            web.delete(f"{BASE}/cpas/{{id}}", rest.remove_cpa),
            web.post(f"{BASE}/urlMappings", rest.set_mapping),
            web.get(f"{BASE}/urlMappings", rest.list_mappings),
            web.delete(f"{BASE}/urlMappings/cache", rest.nothing_cached),
            web.delete(f"{BASE}/urlMappings/{{source:.+}}", rest.remove_mapping),
            web.post(f"{BASE}/ebms/ping/{{cpa}}/from/{{sender}}/to/{{receiver}}", rest.ping),
            web.get(f"{BASE}/ebms/messages/{{id}}/status", rest.status),
        ]
    )
    return application


class _Rest:
    def __init__(self, store: Store, asking: Asking) -> None:
        self._store = store
        self._asking = asking

    async def validate_cpa(self, request: web.Request) -> web.Response:
        _usable(await _xml(request))
        return web.Response(status=204)

    async def load_cpa(self, request: web.Request) -> web.Response:
        document = await _xml(request)
        cpa = _usable(document)
        known = await asyncio.to_thread(self._store.cpa, cpa.id)
        if known is not None and request.query.get("overwrite", "false").lower() != "true":
            return web.Response(status=400, text=f"Did not insert CPA {cpa.id}! CPA already exists.")
        await asyncio.to_thread(self._store.put_cpa, cpa.id, document)
        return web.Response(text=cpa.id)

    async def list_cpas(self, _request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._store.cpa_ids))

    async def show_cpa(self, request: web.Request) -> web.Response:
        document = await asyncio.to_thread(self._store.cpa, request.match_info["id"])
        if document is None:
            raise web.HTTPNotFound
        return web.Response(body=document, content_type="text/plain", charset="utf-8")

    async def remove_cpa(self, request: web.Request) -> web.Response:
        return _gone(await asyncio.to_thread(self._store.remove_cpa, request.match_info["id"]))

    async def nothing_cached(self, _request: web.Request) -> web.Response:
        """Nodes share the database and keep nothing of it."""
        return web.Response(status=204)

    async def set_mapping(self, request: web.Request) -> web.Response:
        try:
            given = await request.json()
            source, destination = str(given["source"]), str(given["destination"])
        except (ValueError, KeyError, TypeError):
            return web.Response(status=400, text="a JSON object with source and destination is expected")
        for name, value in (("Source", source), ("Destination", destination)):
            if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname or " " in value:
                return web.Response(status=500, text=f"{name} invalid")
        await asyncio.to_thread(self._store.put_mapping, source, destination)
        return web.Response(status=204)

    async def list_mappings(self, _request: web.Request) -> web.Response:
        mappings = await asyncio.to_thread(self._store.mappings)
        return web.json_response([{"source": source, "destination": to} for source, to in mappings.items()])

    async def remove_mapping(self, request: web.Request) -> web.Response:
        return _gone(await asyncio.to_thread(self._store.remove_mapping, request.match_info["source"]))

    async def ping(self, request: web.Request) -> web.Response:
        asked = request.match_info
        await self._asking.ping(asked["cpa"], asked["sender"], asked["receiver"])
        return web.Response(status=204)

    async def status(self, request: web.Request) -> web.Response:
        status = await self._asking.status(request.match_info["id"])
        if status is None:
            raise web.HTTPNotFound
        at = status.at.isoformat() if status.at else None
        return web.json_response({"timestamp": at, "status": status.value.upper()})


async def _xml(request: web.Request) -> bytes:
    if request.content_type != "text/plain":
        raise web.HTTPUnsupportedMediaType(text="a CPA is sent as text/plain")
    return await request.read()


def _usable(document: bytes) -> Cpa:
    try:
        cpa = read_cpa(document)
    except MalformedError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    objection = cpa.objection(max(datetime.now(UTC), cpa.start))  # one that is to start may be loaded before
    if objection:
        raise web.HTTPInternalServerError(text=objection)
    return cpa


def _gone(found: bool) -> web.Response:
    return web.Response(status=204 if found else 404)


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except HopError as error:
        return web.Response(status=500, text=f"{error.hop}: {error}")
    except MalformedError as error:
        return web.Response(status=500, text=f"pong: the partner's answer is not understood: {error}")


def _authenticated(user: str, password: str) -> Middleware:
    expected = f"{user}:{password}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            given = b""
        if scheme.lower() != "basic" or not hmac.compare_digest(given, expected):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="ebms", charset="UTF-8"'})
        return await handler(request)

    return check
