"""The adapter as a process: three listeners on one store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from aansluitkit.ebms.asking import Asking
from aansluitkit.ebms.certificates import Untrusted, passed_certificate, read_certificate
from aansluitkit.ebms.client import Client
from aansluitkit.ebms.database import CONNECTIONS
from aansluitkit.ebms.delivery import LEASE, Delivery
from aansluitkit.ebms.echo import Echo
from aansluitkit.ebms.errors import short
from aansluitkit.ebms.handler import Handler, Response, Rules
from aansluitkit.ebms.handshake import tell_refusals
from aansluitkit.ebms.material import Contexts, Material, load_material, played_contexts, stamp
from aansluitkit.ebms.metrics import CONTENT_TYPE as METRICS_CONTENT_TYPE
from aansluitkit.ebms.metrics import Metrics
from aansluitkit.ebms.mime import Limits
from aansluitkit.ebms.replies import Replies
from aansluitkit.ebms.resources import Agreements, StandIn, Traffic
from aansluitkit.ebms.rest import rest_application, routes_of, scenario_routes_of
from aansluitkit.ebms.scenarios import (
    Dropped,
    LyingClient,
    LyingSecurity,
    Stage,
    disguise,
)
from aansluitkit.ebms.security import Security
from aansluitkit.ebms.sending import Sending
from aansluitkit.ebms.settings import Settings, read_secret
from aansluitkit.ebms.store import Store, open_store
from aansluitkit.ebms.tls import client_context, server_context
from aansluitkit.ebms.webhook import Webhook
from aansluitkit.errors import KitError

log = logging.getLogger(__name__)
_SHUTDOWN_SECONDS = 10
_FORGET_SECONDS = 3600
_FORGET_NUMBER = 500  # messages at once
_WATCH_SECONDS = 5.0
_READ_SECONDS = 60  # for one message of a partner's
_STUCK_SECONDS = 30  # without the worker having looked for work


class Server:
    """One node. ``start`` returns when all listeners are open, ``stop`` when all exchanges are over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._runners: dict[str, web.AppRunner] = {}
        self._renewal = asyncio.Event()
        self.ports: dict[str, int] = {}
        played = settings.stand_in
        self._stage = Stage(played.scenario, played.late_seconds) if played else None

    async def start(self) -> None:
        """Open database and listeners.

        Raises:
            KitError: when the database can't be reached, a certificate can't be used or an address is taken.
        """
        tell_refusals()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(CONNECTIONS, "adapter"))
        settings = self._settings
        self.store = await asyncio.to_thread(open_store, settings.database, settings.database_password)
        self._stack.callback(self.store.close)
        ebms, rest = settings.ebms, settings.rest
        self._read = stamp(settings)
        self._material = load_material(settings)
        self._contexts = Contexts(self._material)
        if self._stage:
            self._disguise(self._stage)
        inbound = None if ebms.offload else self._contexts.inbound
        administration = self._contexts.administration
        outbound = self._contexts.outbound
        client = LyingClient(self._stage, outbound) if self._stage else Client(outbound)
        self._client = await self._stack.enter_async_context(client)
        self._build(client)
        await self._listen("ebms", self._ebms_application(), ebms.address, ebms.port, inbound)
        await self._listen("rest", self._rest_application(client), rest.address, rest.port, administration)
        await self._listen("health", self._health_application(), settings.health.address, settings.health.port, None)
        self._spawn(self._forget())
        self._spawn(self._watch())
        self._spawn(self._delivery.run())
        for consumer in self._consumers:
            self._spawn(consumer.run())

    def _disguise(self, stage: Stage) -> None:
        """Show the certificate that the scenario of the moment wants."""
        contexts, settings = self._contexts, self._settings
        contexts.inbound = disguise(contexts.inbound, stage, played_contexts(settings, server_context))
        contexts.outbound = disguise(contexts.outbound, stage, played_contexts(settings, client_context))

    def _build(self, client: Client) -> None:
        """Put the parts together."""
        settings, ebms = self._settings, self._settings.ebms
        keys = self._material.keys
        self._security = LyingSecurity(self._stage, keys) if self._stage else Security(keys)
        if self._stage:
            log.warning("this node is a stand-in (scenario %s): it is no partner to rely on", self._stage.scenario)
        replies = Replies(self.store, self._security)
        self._delivery = Delivery(self.store, client, replies, settings.node, settings.delivery.parallel)
        self._sending = Sending(self.store, self._security, settings.domain)
        self._consumers: list[Echo | Webhook] = [*self._echo(), *_webhook(self.store, settings)]
        rules = Rules(settings.domain, ebms.client_identity, Limits(body=ebms.maximum_body_bytes))
        self._handler = Handler(self.store, self._security, replies, rules)
        self._metrics = Metrics(self.store, lambda: self._material)

    def _echo(self) -> list[Echo]:
        played = self._settings.stand_in
        return [Echo(self.store, self._sending, self._delivery.wake)] if played and played.echo else []

    def _rest_application(self, client: Client) -> web.Application:
        settings = self._settings
        asking = Asking(self.store, client, settings.domain, settings.pong_timeout_seconds)
        routes = routes_of(Agreements(self.store), Traffic(self.store, self._sending, asking, self._delivery.wake))
        played = settings.stand_in
        if self._stage and played and played.switchable:
            routes += scenario_routes_of(StandIn(self._stage, played, self._hang_up))
        password = read_secret(settings.rest.password_file)
        return rest_application(routes, settings.rest.user, password, settings.ebms.maximum_body_bytes)

    def renew(self) -> None:
        """Read certificates, keys, roots and CRLs again; from the thread of the event loop alone."""
        self._renewal.set()

    async def _watch(self) -> None:
        """Renew when asked, or when files have changed and are at rest: they are replaced one by one."""
        seen = self._read
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._renewal.wait(), _WATCH_SECONDS)
            found = stamp(self._settings)
            if self._renewal.is_set() or seen == found != self._read:
                self._renewal.clear()
                self._read = found
                await self._take()
            seen = found

    async def _take(self) -> None:
        """Work with what is in the files now, when it is usable."""
        try:
            found = await asyncio.to_thread(load_material, self._settings)
        except KitError as error:
            self._metrics.renewals_failed.inc()
            log.warning("certificates and CRLs stay as they were: %s", error)
            return
        self._contexts.renew(found)
        self._security.keys = found.keys
        self._material = found
        await self._client.renew()
        until = found.first_to_expire[1].not_valid_after_utc
        log.info("took certificates and CRLs anew; ours is valid until %s", until)

    @property
    def stop_seconds(self) -> float:
        """How long ``stop`` can take: each listener, and the longest exchange that is under way."""
        posting = [consumer.stop_seconds for consumer in self._consumers if isinstance(consumer, Webhook)]
        return (len(self._runners) + 1) * _SHUTDOWN_SECONDS + max([LEASE.total_seconds(), *posting])

    async def stop(self) -> None:
        """Close the listeners, let running exchanges end, and close the database."""
        self._stack.push_async_callback(self._end_tasks)  # first: what is taken from now on is sent by others, or later
        await self._stack.aclose()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(
        self, name: str, application: web.Application, address: str, port: int, context: ssl.SSLContext | None
    ) -> None:
        runner = self._runners[name] = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, address, port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            raise KitError(f"{name}: can't listen on {address}:{port}: {error.strerror}") from error
        self.ports[name] = runner.addresses[0][1]
        log.info("%s listens on %s:%d", name, address, self.ports[name])

    async def _hang_up(self) -> None:
        """Break off the partners' connections, and use new ones: the next message meets another handshake."""
        server = self._runners["ebms"].server
        for connection in server.connections if server else []:
            connection.force_close()
        await self._client.renew()

    def _ebms_application(self) -> web.Application:
        application = web.Application(client_max_size=self._settings.ebms.maximum_body_bytes)
        application.router.add_post(self._settings.ebms.path, self._receive)
        return application

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                body = await request.read()
        except TimeoutError:
            log.warning("refused a request: %s sends no whole message within %s s", request.remote, _READ_SECONDS)
            return web.Response(status=408, headers={"Connection": "close"})
        try:
            answer = await self._answer(request, body)
        except Dropped:
            if request.transport:
                request.transport.abort()
            answer = Response(503)
        except Untrusted as error:
            log.warning("refused a request: %s", error)
            answer = Response(403)
        except SQLAlchemyError as error:  # the partner tries again
            log.warning("could not take a message: %s", short(error))
            answer = Response(503)
        if answer.sends:
            self._delivery.wake()
        for consumer in self._consumers:
            consumer.wake()
        self._metrics.requests.labels(answer.status).inc()
        return web.Response(status=answer.status, body=answer.body or None, headers=answer.headers)

    async def _answer(self, request: web.Request, body: bytes) -> Response:
        certificate = self._certificate(request)
        played = await self._stage.play() if self._stage else None
        if played:
            return played
        answer = await asyncio.to_thread(self._handler.handle, request.headers, body, certificate)
        return replace(answer, body=self._stage.bend(answer.body)) if self._stage else answer

    def _certificate(self, request: web.Request) -> bytes:
        """The client's certificate, in DER; it may have expired or been revoked since it was accepted by TLS."""
        offload = self._settings.ebms.offload
        if offload:
            found = passed_certificate(request.headers.get(offload.header), request.remote, offload.addresses)
        else:
            found = request.get_extra_info("ssl_object").getpeercert(binary_form=True)
        try:
            certificate = read_certificate(found)
        except ValueError as error:
            raise Untrusted(f"the certificate of {request.remote} does not count: {error}") from error
        objection = self._material.keys.objection(found)
        if certificate.not_valid_after_utc <= datetime.now(UTC):
            objection = f"it has expired on {certificate.not_valid_after_utc}"
        if objection:
            raise Untrusted(f"the certificate of {request.remote} does not count: {objection}")
        return found

    def _health_application(self) -> web.Application:
        async def live(_request: web.Request) -> web.Response:
            return web.json_response({"status": "UP"})

        async def ready(_request: web.Request) -> web.Response:
            problem = await asyncio.to_thread(_problem, self.store, self._material, self._settings)
            if self._delivery.idle_seconds > _STUCK_SECONDS:
                problem = problem or "the worker that sends messages is stuck"
            state = {"status": "DOWN" if problem else "UP", **({"problem": problem} if problem else {})}
            return web.json_response(state, status=503 if problem else 200)

        async def metrics(_request: web.Request) -> web.Response:
            text = await asyncio.to_thread(self._metrics.text)
            return web.Response(body=text, headers={"Content-Type": METRICS_CONTENT_TYPE})

        application = web.Application()
        application.router.add_get("/metrics", metrics)
        application.router.add_get("/health/live", live)
        application.router.add_get("/health/ready", ready)
        return application

    async def _forget(self) -> None:
        while True:
            try:
                before = datetime.now(UTC) - timedelta(days=self._settings.retention_days)
                while await asyncio.to_thread(self.store.messages.forget, before, _FORGET_NUMBER) == _FORGET_NUMBER:
                    await asyncio.sleep(0)  # others may write in between
            except SQLAlchemyError as error:
                log.warning("could not remove old messages: %s", " ".join(str(error).split())[:200])
            await asyncio.sleep(_FORGET_SECONDS)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _problem(store: Store, material: Material, settings: Settings) -> str | None:
    """Why this node can't do its work now, or None."""
    try:
        store.ping()
    except SQLAlchemyError:
        return "the database does not answer"
    file, certificate = material.first_to_expire
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        return f"the certificate in {file} has expired"
    if material.crls and not material.crls.crls:
        return f"there are no CRLs in {settings.ebms.crl_file}, so no certificate is accepted"
    return next(iter(material.crls.expired()), None) if material.crls else None


def _webhook(store: Store, settings: Settings) -> list[Webhook]:
    if settings.webhook is None:
        return []
    try:
        return [Webhook(store.messages, settings.webhook, settings.node, settings.delivery.parallel)]
    except (ssl.SSLError, OSError) as error:
        raise KitError(
            f"webhook.trust_file: {settings.webhook.trust_file} has no usable roots; expected are certificates in PEM"
        ) from error
