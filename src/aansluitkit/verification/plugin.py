"""The pytest plugin that turns tests into checks.

A test says with ``@pytest.mark.check("inbound", "dns")`` on which path and at which hop it looks. When it fails,
the later hops of that path are skipped: they could only fail for the same cause. A test fails with ``Unproved``,
whose text is the message; any other exception is a defect of the test and is told as such.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from aansluitkit.connection import Component, Connection, Flow, flows_of
from aansluitkit.connection.firewalls import guarded_hosts
from aansluitkit.connection.names import zones_of
from aansluitkit.errors import KitError
from aansluitkit.verification.checks import HOPS, Check, Report, Result
from aansluitkit.verification.commands import TimeIsUp
from aansluitkit.verification.firewalls import Firewalls
from aansluitkit.verification.site import Site, Unproved, Unreachable


class Verification:
    """Collects the checks of one run and skips what lies behind a failure."""

    def __init__(self, connection: Connection, inventory: str, say: Callable[[Check], None], limit: float) -> None:
        self.connection = connection
        self.inventory = inventory
        self.report = Report(inventory)
        self._say = say
        self._limit = limit
        self._site: Site | None = None
        self._silent: set[str] = set()  # hosts of which a check has said that they can't be reached
        self._broken: dict[str, str] = {}

    @pytest.fixture(scope="session", name="connection")
    def connection_fixture(self) -> Connection:
        """The connection model: what was declared."""
        return self.connection

    @pytest.fixture(scope="session", name="firewalls")
    def firewalls_fixture(self, site: Site) -> Firewalls:
        """The firewalls of all hosts."""
        return Firewalls(site)

    @pytest.fixture(scope="session", name="site")
    def site_fixture(self) -> Generator[Site, None, None]:
        """The live hosts."""
        site = self._site = Site(self.connection, self.inventory, self._limit, gives_up=True)
        hosts = list(self.connection.hosts.values())
        site.ask_all(hosts, lambda host: site.run(host, "true"))  # whom nobody can reach is known once, after one wait
        yield site
        site.close()

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare the marker."""
        config.addinivalue_line("markers", "check(path, hop): what the test proves, and where on which path")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one check per declared host of a kind, flow, source of traffic or DNS record."""
        if "adapter" in metafunc.fixturenames:
            nodes = self.connection.hosts_of(Component.ADAPTER)
            metafunc.parametrize("adapter", nodes, ids=[node.name for node in nodes])
        if "judge" in metafunc.fixturenames:
            judges = self.connection.judges
            metafunc.parametrize("judge", judges, ids=[judge.name for judge in judges])
        if "link" in metafunc.fixturenames:
            links = self.connection.links  # the present one is the only one as a rule, and has no name of its own
            names = [link.zone if link.path else pytest.HIDDEN_PARAM for link in links]
            metafunc.parametrize("link", links, ids=names)
        if "balancer" in metafunc.fixturenames:
            balancers = self.connection.hosts_of(Component.LOAD_BALANCER)
            metafunc.parametrize("balancer", balancers, ids=[balancer.name for balancer in balancers])
        if "monitor" in metafunc.fixturenames:
            monitors = self.connection.hosts_of(Component.MONITORING)
            metafunc.parametrize("monitor", monitors, ids=[monitor.name for monitor in monitors])
        if "flow" in metafunc.fixturenames:
            flows = [flow for flow in flows_of(self.connection) if self._can_try(flow)]
            metafunc.parametrize("flow", flows, ids=str)
        if "source" in metafunc.fixturenames:
            sources = [host for host in self.connection.hosts.values() if Component.MANAGEMENT not in host.components]
            metafunc.parametrize("source", sources, ids=[host.name for host in sources])
        if "guarded" in metafunc.fixturenames:
            hosts = guarded_hosts(self.connection)
            metafunc.parametrize("guarded", hosts, ids=[host.name for host in hosts])

        if "record" in metafunc.fixturenames:
            records = [(zone.view, record) for zone in zones_of(self.connection) for record in zone.records]
            metafunc.parametrize(("view", "record"), records, ids=[f"{view}-{record.name}" for view, record in records])

    def _can_try(self, flow: Flow) -> bool:
        """TCP and UDP, from a host that is ours; management's flows are proved by every check over them."""
        managers = {host.name for host in self.connection.hosts_of(Component.MANAGEMENT)}
        return flow.protocol in ("tcp", "udp") and flow.source in {*self.connection.hosts, "partner"} - managers

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Run in the order of the hops, so that a failure is met before what it hides."""
        items.sort(key=lambda item: (_path(item), HOPS.index(_hop(item))))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what lies behind a failed hop of the same path, and leave what the limit leaves no time for."""
        if self._site:
            self._site.need_time()
        broken = self._broken.get(_path(item))
        if broken is not None and HOPS.index(_hop(item)) > HOPS.index(broken):
            pytest.skip(f"not tried, because hop {broken} of path {_path(item)} failed")

    def pytest_keyboard_interrupt(self) -> None:
        """Bound the cleanup of the checks."""
        if self._site:
            self._site.end()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record the verdict of each test, once."""
        report = yield
        ended = report.when == "call" or (report.when == "setup" and report.outcome != "passed")
        if ended:
            self._record(item, report, call)
        return report

    def _record(self, item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        result, message = self._verdict(item, Result(report.outcome), call.excinfo and call.excinfo.value)
        check = Check(_check_id(item), _hop(item), result, message)
        if result is Result.FAILED:
            self._broken.setdefault(_path(item), _hop(item))
        self.report.checks.append(check)
        self._say(check)

    def _verdict(self, item: pytest.Item, result: Result, error: BaseException | None) -> tuple[Result, str]:
        """One check says that a host can't be reached, and all others that need it are skipped."""
        if isinstance(error, TimeIsUp):
            return Result.UNCHECKED, str(error)
        if isinstance(error, Unreachable):
            if error.host in self._silent:
                return Result.SKIPPED, f"not tried, because {error.host} can't be reached"
            self._silent.add(error.host)
        return result, _message(item, result, error)


def _marker(item: pytest.Item) -> pytest.Mark:
    marker = item.get_closest_marker("check")
    if marker is None or len(marker.args) != 2 or marker.args[1] not in HOPS:
        raise pytest.UsageError(f'{item.nodeid} lacks @pytest.mark.check("path", "hop") with a known hop')
    return marker


def _path(item: pytest.Item) -> str:
    return str(_marker(item).args[0])


def _hop(item: pytest.Item) -> str:
    return str(_marker(item).args[1])


def _check_id(item: pytest.Item) -> str:
    name = item.name.removeprefix("test_")
    return f"{_path(item)}.{name.replace('[', '.').rstrip(']')}"


def _message(item: pytest.Item, result: Result, error: BaseException | None) -> str:
    if result is Result.PASSED or error is None:
        return (getattr(item, "obj", None).__doc__ or item.name).strip().splitlines()[0]
    if isinstance(error, Unproved | KitError | pytest.skip.Exception):
        return str(error)
    return f"the check itself failed: {type(error).__name__}: {' '.join(str(error).split())[:500]}"
