"""The adapter as a process: three listeners on one store."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from aansluitkit.ebms.asking import Asking
from aansluitkit.ebms.certificates import valid_until
from aansluitkit.ebms.client import Client
from aansluitkit.ebms.errors import HopError
from aansluitkit.ebms.handler import Delivery, Handler
from aansluitkit.ebms.handshake import tell_refusals
from aansluitkit.ebms.rest import rest_application
from aansluitkit.ebms.settings import Settings, read_secret
from aansluitkit.ebms.store import RETENTION, Store, open_store
from aansluitkit.ebms.tls import client_context, server_context
from aansluitkit.errors import KitError

log = logging.getLogger(__name__)
_SHUTDOWN_SECONDS = 10
_FORGET_SECONDS = 3600


class Server:
    """One node. ``start`` returns when all listeners are open, ``stop`` when all exchanges are over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self.ports: dict[str, int] = {}

    async def start(self) -> None:
        """Open database and listeners.

        Raises:
            KitError: when the database can't be reached, a certificate can't be used or an address is taken.
        """
        tell_refusals()
        settings = self._settings
        self._store = await asyncio.to_thread(open_store, settings.database, settings.database_password)
        self._stack.callback(self._store.close)
        ebms, rest = settings.ebms, settings.rest
        inbound = _tls(server_context, ebms.certificate_file, ebms.key_file, ebms.trust_file)
        outbound = _tls(client_context, ebms.certificate_file, ebms.key_file, ebms.trust_file)
        administration = _tls(server_context, rest.certificate_file, rest.key_file, None)
        self._client = await self._stack.enter_async_context(Client(outbound))
        self._handler = Handler(self._store, settings.domain)
        asking = Asking(self._store, self._client, settings.domain, settings.pong_timeout_seconds)
        await self._listen("ebms", self._ebms_application(), ebms.address, ebms.port, inbound)
        password = read_secret(rest.password_file)
        application = rest_application(self._store, asking, rest.user, password)
        await self._listen("rest", application, rest.address, rest.port, administration)
        await self._listen("health", self._health_application(), settings.health.address, settings.health.port, None)
        self._spawn(self._forget())

    async def stop(self) -> None:
        """Close the listeners, let running exchanges end, and close the database."""
        await self._stack.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(
        self, name: str, application: web.Application, address: str, port: int, context: ssl.SSLContext | None
    ) -> None:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, address, port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            raise KitError(f"{name}: can't listen on {address}:{port}: {error.strerror}") from error
        self.ports[name] = runner.addresses[0][1]
        log.info("%s listens on %s:%d", name, address, self.ports[name])

    def _ebms_application(self) -> web.Application:
        application = web.Application(client_max_size=self._settings.ebms.maximum_body_bytes)
        application.router.add_post(self._settings.ebms.path, self._receive)
        return application

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        answer = await asyncio.to_thread(self._handler.handle, request.headers, body, _certificate(request))
        if answer.delivery:
            self._spawn(self._deliver(answer.delivery))
        return web.Response(status=answer.status, body=answer.body or None, headers=answer.headers)

    async def _deliver(self, delivery: Delivery) -> None:
        """Send a signal that answers: once, for the sender asks again when it does not come."""
        try:
            endpoint = await asyncio.to_thread(self._store.destination_of, delivery.endpoint)
            await self._client.post(endpoint, delivery.envelope)
            log.info("sent %s", delivery.what)
        except (HopError, SQLAlchemyError) as error:
            log.warning("could not send %s: %s", delivery.what, " ".join(str(error).split()))

    def _health_application(self) -> web.Application:
        async def live(_request: web.Request) -> web.Response:
            return web.json_response({"status": "UP"})

        async def ready(_request: web.Request) -> web.Response:
            problem = await asyncio.to_thread(_problem, self._store, self._settings.ebms.certificate_file)
            state = {"status": "DOWN" if problem else "UP", **({"problem": problem} if problem else {})}
            return web.json_response(state, status=503 if problem else 200)

        application = web.Application()
        application.router.add_get("/health/live", live)
        application.router.add_get("/health/ready", ready)
        return application

    async def _forget(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._store.forget, datetime.now(UTC) - RETENTION)
            except SQLAlchemyError as error:
                log.warning("could not remove old messages: %s", " ".join(str(error).split())[:200])
            await asyncio.sleep(_FORGET_SECONDS)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _certificate(request: web.Request) -> bytes | None:
    connection = request.get_extra_info("ssl_object")
    found: bytes | None = connection.getpeercert(binary_form=True) if connection else None
    return found


def _problem(store: Store, certificate: Path) -> str | None:
    """Why this node can't do its work now, or None."""
    try:
        store.ping()
    except SQLAlchemyError:
        return "the database does not answer"
    if valid_until(certificate) <= datetime.now(UTC):
        return f"the certificate in {certificate} has expired"
    return None


def _tls(make: Callable[..., ssl.SSLContext], certificate: Path, key: Path, trust: Path | None) -> ssl.SSLContext:
    try:
        return make(certificate, key, trust)
    except (ssl.SSLError, OSError) as error:
        raise KitError(
            f"{certificate}, {key}{f' and {trust}' if trust else ''} are no usable PEM certificate chain, matching key "
            "and roots"
        ) from error
