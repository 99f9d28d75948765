"""REST ``/service/rest/v19``, as the reference adapter has it.

A ping that fails is answered by 500 and the text ``hop: what happened``. Where the reference answers bad JSON with 500
and an empty page, here it is 400 and a text that names the field. While there is no database it is 503: try again.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError

from aansluitkit.ebms import bodies
from aansluitkit.ebms.errors import HopError, short
from aansluitkit.ebms.openapi import TEXT, Route, describe
from aansluitkit.ebms.resources import Agreements, StandIn, Traffic
from aansluitkit.errors import KitError

BASE = "/service/rest/v19"
_RETRY_SECONDS = 5
_JSON_OVERHEAD = 1024 * 1024  # on top of a message's payloads in base64

log = logging.getLogger(__name__)


def rest_application(routes: list[Route], user: str, password: str, maximum_body_bytes: int) -> web.Application:
    """The REST interface with ``routes``; everybody must know ``user`` and ``password`` (RFC 7617).

    ``maximum_body_bytes`` is that of an ebMS message.
    """
    description = describe("ebMS adapter", "19", BASE, routes)

    async def show_description(_request: web.Request) -> web.Response:
        return web.json_response(description)

    application = web.Application(
        middlewares=[_authenticated(user, password), _told],
        client_max_size=maximum_body_bytes * 4 // 3 + _JSON_OVERHEAD,
    )
    application.router.add_get(f"{BASE}/openapi.json", show_description)
    for route in routes:
        application.router.add_route(route.method, BASE + route.path, route.handler)
    return application


def routes_of(cpas: Agreements, traffic: Traffic) -> list[Route]:
    """Everything that there is of an adapter; of two that fit a path the first is taken."""
    ids = TypeAdapter(list[str])
    mappings, certificates = TypeAdapter(list[bodies.UrlMapping]), TypeAdapter(list[bodies.CertificateMapping])
    status, message = TypeAdapter(bodies.MessageStatus), TypeAdapter(bodies.Message)
    request, properties = TypeAdapter(bodies.MessageRequest), TypeAdapter(bodies.MessageRequestProperties)
    events, wanted = TypeAdapter(list[bodies.MessageEvent]), bodies.MessageFilter
    mapping, certificate = TypeAdapter(bodies.UrlMapping), TypeAdapter(bodies.CertificateMapping)
    table: list[tuple[Any, ...]] = [
        ("POST", "/cpas/validate", cpas.validate, TEXT, None),
        ("POST", "/cpas", cpas.load, TEXT, TEXT, bodies.Overwrite),
        ("GET", "/cpas", cpas.list, None, ids),
        ("DELETE", "/cpas/cache", cpas.nothing_cached, None, None),
        ("GET", "/cpas/{id}", cpas.show, None, TEXT),
        ("DELETE", "/cpas/{id}", cpas.remove, None, None),
        ("POST", "/urlMappings", cpas.set_mapping, mapping, None),
        ("GET", "/urlMappings", cpas.list_mappings, None, mappings),
        ("DELETE", "/urlMappings/cache", cpas.nothing_cached, None, None),
        ("DELETE", "/urlMappings/{source:.+}", cpas.remove_mapping, None, None),
        ("POST", "/certificateMappings", cpas.set_certificate, certificate, None),
        ("GET", "/certificateMappings", cpas.list_certificates, None, certificates),
        ("DELETE", "/certificateMappings/cache", cpas.nothing_cached, None, None),
        ("DELETE", "/certificateMappings", cpas.remove_certificate, TEXT, None, bodies.OfCpa),
        ("POST", "/ebms/ping/{cpa}/from/{sender}/to/{receiver}", traffic.ping, None, None),
        ("POST", "/ebms/messages", traffic.send, request, TEXT),
        ("POST", "/ebms/messages/mtom", traffic.send_parts, properties, TEXT),
        ("GET", "/ebms/messages/mtom/{id}", traffic.show_parts, None, None, bodies.Process),
        ("GET", "/ebms/messages/unprocessed", traffic.unprocessed, None, ids, wanted),
        ("GET", "/ebms/messages/pending", traffic.pending, None, ids, wanted),
        ("GET", "/ebms/messages/{id}/status", traffic.status, None, status),
        ("PUT", "/ebms/messages/{id}", traffic.resend, None, TEXT),
        ("GET", "/ebms/messages/{id}", traffic.show, None, message, bodies.Process),
        ("PATCH", "/ebms/messages/{id}", traffic.process, None, None),
        ("GET", "/ebms/events/unprocessed", traffic.events, None, events, bodies.EventFilter),
        ("PATCH", "/ebms/events/{id}", traffic.process_events, None, None),
    ]
    return [Route(*row) for row in table]


def scenario_routes_of(stand_in: StandIn) -> list[Route]:
    """What a stand-in has beside them: it misbehaves on demand."""
    return [
        Route("GET", "/scenario", stand_in.show, None, TypeAdapter(bodies.Played)),
        Route("PUT", "/scenario", stand_in.play, TypeAdapter(bodies.Play), None),
    ]


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except HopError as error:
        return web.Response(status=500, text=f"{error.hop}: {error}")
    except KitError as error:
        return web.Response(status=500, text=str(error))
    except SQLAlchemyError as error:
        log.warning("could not do %s %s: %s", request.method, request.path, short(error))
        text = "the adapter's database does not do what it is asked: try again, the log tells why"
        return web.Response(status=503, text=text, headers={"Retry-After": str(_RETRY_SECONDS)})


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
