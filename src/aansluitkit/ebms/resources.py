"""What the REST interface does: one class for what is agreed, one for what goes to and fro."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import BodyPartReader, MultipartWriter, web
from multidict import MultiDict
from pydantic import BaseModel, ValidationError

from aansluitkit.agreement.structure import read_agreement
from aansluitkit.ebms import bodies
from aansluitkit.ebms.asking import Asking
from aansluitkit.ebms.certificates import read_certificate
from aansluitkit.ebms.cpa import Cpa
from aansluitkit.ebms.errors import MalformedError, SecurityFailure
from aansluitkit.ebms.messages import Kept
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.scenarios import Stage
from aansluitkit.ebms.security import check_algorithms
from aansluitkit.ebms.sending import Sending
from aansluitkit.ebms.settings import StandInSettings
from aansluitkit.ebms.store import CertificateMapping, Store

log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)


class Agreements:
    """CPAs, and the mappings that change what they say."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def validate(self, request: web.Request) -> web.Response:
        """See whether a CPA can be used."""
        _usable(await _text(request))
        return web.Response(status=204)

    async def load(self, request: web.Request) -> web.Response:
        """Load a CPA."""
        document = await _text(request)
        cpa = _usable(document)
        known = await asyncio.to_thread(self._store.cpa, cpa.id)
        if known is not None and not _query(bodies.Overwrite, request).overwrite:
            return web.Response(status=400, text=f"Did not insert CPA {cpa.id}! CPA already exists.")
        await asyncio.to_thread(self._store.put_cpa, cpa.id, document)
        return web.Response(text=cpa.id)

    async def list(self, _request: web.Request) -> web.Response:
        """Ids of all CPAs."""
        return web.json_response(await asyncio.to_thread(self._store.cpa_ids))

    async def show(self, request: web.Request) -> web.Response:
        """A CPA as it was loaded."""
        document = await asyncio.to_thread(self._store.cpa, request.match_info["id"])
        if document is None:
            raise web.HTTPNotFound
        return web.Response(body=document, content_type="text/plain", charset="utf-8")

    async def remove(self, request: web.Request) -> web.Response:
        """Remove a CPA."""
        return _gone(await asyncio.to_thread(self._store.remove_cpa, request.match_info["id"]))

    async def nothing_cached(self, _request: web.Request) -> web.Response:
        """Nodes share the database and keep nothing of it."""
        return web.Response(status=204)

    async def set_mapping(self, request: web.Request) -> web.Response:
        """Send messages elsewhere than a CPA says."""
        given = await _json(bodies.UrlMapping, request)
        for name, value in (("Source", given.source), ("Destination", given.destination)):
            if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname or " " in value:
                return web.Response(status=500, text=f"{name} invalid")
        await asyncio.to_thread(self._store.put_mapping, given.source, given.destination)
        return web.Response(status=204)

    async def list_mappings(self, _request: web.Request) -> web.Response:
        """All URL mappings."""
        mappings = await asyncio.to_thread(self._store.mappings)
        return web.json_response([{"source": source, "destination": to} for source, to in mappings.items()])

    async def remove_mapping(self, request: web.Request) -> web.Response:
        """Remove a URL mapping."""
        return _gone(await asyncio.to_thread(self._store.remove_mapping, request.match_info["source"]))

    async def set_certificate(self, request: web.Request) -> web.Response:
        """Let a certificate stand for another."""
        given = await _json(bodies.CertificateMapping, request)
        for certificate in (given.source, given.destination):
            _readable(certificate)
        mapping = CertificateMapping(given.source, given.destination, given.cpa_id or "")
        await asyncio.to_thread(self._store.put_certificate, mapping)
        return web.Response(status=204)

    async def list_certificates(self, _request: web.Request) -> web.Response:
        """All certificate mappings."""
        mappings = await asyncio.to_thread(self._store.certificates)
        return web.json_response(
            [
                {"source": _base64(each.source), "destination": _base64(each.destination), "cpaId": each.cpa_id or None}
                for each in mappings
            ]
        )

    async def remove_certificate(self, request: web.Request) -> web.Response:
        """Remove one."""
        try:
            certificate = base64.b64decode(await _text(request), validate=True)
        except ValueError as error:
            raise web.HTTPBadRequest(text="a certificate in base64 is expected") from error
        cpa_id = _query(bodies.OfCpa, request).cpa_id or ""
        return _gone(await asyncio.to_thread(self._store.remove_certificate, certificate, cpa_id))


class Traffic:
    """Messages, events and Ping; ``wake`` tells the worker that there is something to be sent."""

    def __init__(self, store: Store, sending: Sending, asking: Asking, wake: Callable[[], None]) -> None:
        self._store = store
        self._sending = sending
        self._asking = asking
        self._wake = wake

    async def ping(self, request: web.Request) -> web.Response:
        """Ping the partner."""
        asked = request.match_info
        await self._asking.ping(asked["cpa"], asked["sender"], asked["receiver"])
        return web.Response(status=204)

    async def send(self, request: web.Request) -> web.Response:
        """Send a message."""
        given = await _json(bodies.MessageRequest, request)
        return await self._send(given.properties, [source.payload() for source in given.data_sources])

    async def send_parts(self, request: web.Request) -> web.Response:
        """Send a message, as form data."""
        if not request.content_type.startswith("multipart/"):
            raise web.HTTPUnsupportedMediaType(text="multipart/form-data is expected")
        properties, payloads = await _parts(request)
        return await self._send(properties, payloads)

    async def _send(self, properties: bodies.MessageRequestProperties, payloads: list[Payload]) -> web.Response:
        identity = await asyncio.to_thread(self._sending.send, properties.wish(), payloads)
        self._wake()
        return web.Response(text=identity)

    async def resend(self, request: web.Request) -> web.Response:
        """Send once more, as a new message."""
        identity = await asyncio.to_thread(self._sending.resend, request.match_info["id"])
        if identity is None:
            raise web.HTTPNotFound
        self._wake()
        return web.Response(text=identity)

    async def unprocessed(self, request: web.Request) -> web.Response:
        """Ids of messages to be taken."""
        asked = _query(bodies.MessageFilter, request)
        found = await asyncio.to_thread(self._store.messages.unprocessed, asked.filter(), asked.max_nr)
        return web.json_response(found)

    async def pending(self, request: web.Request) -> web.Response:
        """Ids of messages whose sending has not ended; the reference adapter has no such list."""
        asked = _query(bodies.MessageFilter, request)
        found = await asyncio.to_thread(self._store.messages.pending, asked.filter(), asked.max_nr)
        return web.json_response(found)

    async def show(self, request: web.Request) -> web.Response:
        """A message."""
        kept, payloads = await self._found(request)
        message = bodies.message_of(kept, payloads)
        await self._taken(request)
        return _given(message)

    async def show_parts(self, request: web.Request) -> web.Response:
        """A message, as form data."""
        kept, payloads = await self._found(request)
        writer = MultipartWriter("form-data")
        properties = bodies.written(bodies.properties_of(kept))
        writer.append(properties, MultiDict({"Content-Type": "application/json"})).set_content_disposition(
            "form-data", name="properties"
        )
        for payload in payloads:
            part = writer.append(payload.content, MultiDict({"Content-Type": payload.content_type}))
            name = payload.name or payload.content_id
            part.set_content_disposition("form-data", name="attachment", filename=name)
        await self._taken(request)
        return web.Response(body=writer)

    async def _found(self, request: web.Request) -> tuple[Kept, list[Payload]]:
        identity = request.match_info["id"]
        messages = self._store.messages
        kept = await asyncio.to_thread(messages.received, identity) or await asyncio.to_thread(messages.sent, identity)
        if kept is None or kept.status is None:
            raise web.HTTPNotFound
        return kept, await asyncio.to_thread(messages.payloads, kept.direction, identity)

    async def _taken(self, request: web.Request) -> None:
        if _query(bodies.Process, request).process:
            await asyncio.to_thread(self._store.messages.process, request.match_info["id"])

    async def process(self, request: web.Request) -> web.Response:
        """Take a message: it is unprocessed no longer."""
        await asyncio.to_thread(self._store.messages.process, request.match_info["id"])
        return web.Response(status=204)

    async def status(self, request: web.Request) -> web.Response:
        """Of a message that was received: here; of one that was sent: the partner's word."""
        identity = request.match_info["id"]
        kept = await asyncio.to_thread(self._store.messages.received, identity)
        if kept and kept.status:
            return _given(bodies.MessageStatus(timestamp=kept.at, status=kept.status))
        status = await self._asking.status(identity)
        if status is None:
            raise web.HTTPNotFound
        return _given(bodies.MessageStatus(timestamp=status.at, status=status.value.upper()))

    async def events(self, request: web.Request) -> web.Response:
        """Events to be taken."""
        asked = _query(bodies.EventFilter, request)
        messages = self._store.messages
        found = await asyncio.to_thread(messages.events, asked.filter(), asked.event_types, asked.max_nr)
        return web.json_response([{"messageId": identity, "type": kind} for identity, kind in found])

    async def process_events(self, request: web.Request) -> web.Response:
        """Take the events of a message."""
        await asyncio.to_thread(self._store.messages.process_events, request.match_info["id"])
        return web.Response(status=204)


class StandIn:
    """What is played on ``stage``, as far as ``settings`` allow; ``hang_up`` closes connections that are open."""

    def __init__(self, stage: Stage, settings: StandInSettings, hang_up: Callable[[], Awaitable[None]]) -> None:
        self._stage = stage
        self._settings = settings
        self._hang_up = hang_up

    async def show(self, _request: web.Request) -> web.Response:
        """The scenario that is played."""
        stage = self._stage
        played = bodies.Played(scenario=stage.scenario, late_seconds=stage.late_seconds, requests=stage.requests)
        return _given(played)

    async def play(self, request: web.Request) -> web.Response:
        """Play another scenario, or none."""
        wanted = await _json(bodies.Play, request)
        if not self._settings.can_play(wanted.scenario):
            raise web.HTTPBadRequest(text=f"scenario: stand_in.{wanted.scenario}_file of the settings is not set")
        self._stage.set(wanted.scenario, wanted.late_seconds)
        await self._hang_up()
        log.warning("playing scenario %s", wanted.scenario)
        return web.Response(status=204)


async def _text(request: web.Request) -> bytes:
    if request.content_type != "text/plain":
        raise web.HTTPUnsupportedMediaType(text="text/plain is expected")
    return await request.read()


async def _json(model: type[_Model], request: web.Request) -> _Model:
    return _valid(model.model_validate_json, await request.read())


def _query(model: type[_Model], request: web.Request) -> _Model:
    given: dict[str, Any] = {name: request.query[name] for name in request.query}
    if "eventTypes" in given:
        given["eventTypes"] = request.query.getall("eventTypes")
    return _valid(model.model_validate, given)


def _valid(validate: Callable[[Any], _Model], given: Any) -> _Model:
    try:
        return validate(given)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in error.errors()]
        raise web.HTTPBadRequest(text="\n".join(lines)) from error


async def _parts(request: web.Request) -> tuple[bodies.MessageRequestProperties, list[Payload]]:
    properties = None
    payloads = []
    size = 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise web.HTTPBadRequest(text="a part within a part is not expected")
        content = bytes(await part.read(decode=True))
        size += len(content)
        if size > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(request.client_max_size, size)
        if part.name == "requestProperties":
            properties = _valid(bodies.MessageRequestProperties.model_validate_json, content)
        else:
            kind = part.headers.get("Content-Type", "application/octet-stream")
            given = {"name": part.filename, "contentType": kind, "content": base64.b64encode(content)}
            payloads.append(_valid(bodies.DataSource.model_validate, given).payload())
    if properties is None:
        raise web.HTTPBadRequest(text="part requestProperties is missing")
    return properties, payloads


def _given(model: BaseModel) -> web.Response:
    return web.Response(body=bodies.written(model).encode(), content_type="application/json")


def _usable(document: bytes) -> Cpa:
    try:
        cpa = read_agreement(document).cpa
        check_algorithms(cpa)
    except MalformedError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    except SecurityFailure as error:
        raise web.HTTPBadRequest(text=error.description) from error
    objection = cpa.objection(max(datetime.now(UTC), cpa.start))  # one that is to start may be loaded before
    if objection:
        raise web.HTTPInternalServerError(text=objection)
    return cpa


def _readable(certificate: bytes) -> None:
    try:
        read_certificate(certificate)
    except ValueError as error:
        raise web.HTTPInternalServerError(text="source or destination is no X.509 certificate in DER") from error


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _gone(found: bool) -> web.Response:
    return web.Response(status=204 if found else 404)
