"""What database and adapters are told of each other is of one piece."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from aansluitkit.connection import Component, Connection
from aansluitkit.connection.views import DATABASE_CONNECTIONS, DATABASE_OWNER, views
from aansluitkit.ebms.database import CONNECTIONS


def test_adapters_open_no_more_connections_than_are_let_in(lab_connection: Connection) -> None:
    told = views(lab_connection)
    pools = [told[host.name]["adapter"]["database_connections"] for host in lab_connection.hosts_of(Component.ADAPTER)]
    assert len(pools) == 2
    assert {told[host.name]["database"]["connections"] for host in lab_connection.hosts_of(Component.DATABASE)} == {
        sum(pools)
    }
    assert CONNECTIONS <= DATABASE_CONNECTIONS


@pytest.mark.parametrize(("host", "other", "begins"), [("db", "db-2", True), ("db-2", "db", False)])
def test_hosts_of_the_database_know_each_other(lab_connection: Connection, host: str, other: str, begins: bool) -> None:
    told = views(lab_connection)[host]["database"]
    assert [peer["host"] for peer in told["peers"]] == [other]
    assert told["peers"][0]["name"] == f"{other}.voorbeeldstad.test"
    assert told["begins"] is begins
    assert told["clients"] == ["198.51.100.11", "198.51.100.12"]


def test_adapter_looks_for_the_primary_on_both(lab_connection: Connection) -> None:
    adapter = views(lab_connection)["adapter-1"]["adapter"]
    url = make_url(adapter["database"])
    assert url.query["host"] == ("db.voorbeeldstad.test:5432", "db-2.voorbeeldstad.test:5432")
    assert (url.query["target_session_attrs"], url.query["sslmode"]) == ("read-write", "verify-full")
    assert url.password is None
    assert url.username != adapter["database_owner"] == DATABASE_OWNER
