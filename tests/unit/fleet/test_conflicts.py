"""What belongs to one customer alone is found with a second one, and told of both."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aansluitkit.connection import Kind, load_connection
from aansluitkit.fleet.survey import Entry, Result, find, survey

from .conftest import Customer, change


def of(entries: list[Entry], inventory: Path) -> Entry:
    return next(entry for entry in entries if entry.inventory == inventory)


def test_customers_of_the_command_do_not_collide(root: Path, customer: Customer) -> None:
    for number in range(3):
        customer(f"gemeente-{number}", number)
        customer(f"klant-{number}", number, Kind.VENDOR)
    entries = survey(find([root]))
    assert len(entries) == 9
    assert [problem for entry in entries for problem in (*entry.problems, *entry.blanks)] == []


def value_of(inventory: Path, variable: str) -> tuple[Path, str]:
    """The file and the text of ``variable`` in an inventory of these tests."""
    connection = load_connection(inventory)
    files = {"hosts": inventory / "hosts.yml", "oin": inventory.parent / "customer.yml"}
    values = {
        "inbound": str(connection.inbound_address),
        "outbound": str(connection.outbound_address),
        "hosts": str(connection.hosts["preprod-db"].address),
        "endpoint": connection.endpoint,
        "cpa": connection.cpa.id,
        "oin": connection.organisation.oin,
    }
    return files.get(variable, inventory / "group_vars/all/connection.yml"), values[variable]


@pytest.mark.parametrize(
    ("variable", "named", "words"),
    [
        ("inbound", "connection_inbound_address", "address: give each customer its own"),
        ("outbound", "connection_outbound_address", "address: give each customer its own"),
        ("endpoint", "connection_endpoint", "give each customer its own endpoint"),
        ("cpa", "connection_cpa.id", "give each CPA its own"),
        ("oin", "connection_organisation.oin", "of which a customer has one"),
    ],
)
def test_both_sides_hear_of_it(root: Path, customer: Customer, variable: str, named: str, words: str) -> None:
    first, *_ = customer("gemeente-1", 1)
    second, *_ = customer("gemeente-2", 2)
    _, value = value_of(first, variable)
    file, own = value_of(second, variable)
    change(file, own, value)
    entries = survey(find([root]))
    for one, other in ((first, second), (second, first)):
        entry = of(entries, one)
        assert entry.result is Result.REFUSED
        problem = next(problem for problem in entry.problems if problem.variable == named)
        assert str(other) in problem.message
        assert words in problem.message
        assert Path(problem.file).is_file()


def test_one_is_held_against_those_beside_it(root: Path, customer: Customer) -> None:
    """Who is named alone hears the same as when all are, whatever else is wrong with the others."""
    first, second = customer("klant-1", 1, Kind.VENDOR)[0], customer("klant-2", 2, Kind.VENDOR)[0]
    file, own = value_of(second, "endpoint")
    change(file, own, value_of(first, "endpoint")[1])
    change(first / "group_vars/all/connection.yml", "sender_id: AFZ-1", "sender_id: TODO")
    [alone] = survey([second])
    assert alone.problems == of(survey(find([root])), second).problems != ()


def test_one_that_can_not_be_read_holds_nothing(root: Path, customer: Customer) -> None:
    first, second = customer("klant-1", 1, Kind.VENDOR)[0], customer("klant-2", 2, Kind.VENDOR)[0]
    (first / "hosts.yml").write_text("[")
    assert survey([second])[0].result is Result.VALID


def test_a_host_of_two_customers(root: Path, customer: Customer) -> None:
    first, second = customer("klant-1", 1, Kind.VENDOR)[0], customer("klant-2", 2, Kind.VENDOR)[0]
    for part in ("hosts.yml", "group_vars/all/connection.yml"):
        text = (second / part).read_text().replace("10.64.4.", "10.64.0.").replace("10.64.5.", "10.64.1.")
        (second / part).write_text(text.replace("10.64.6.", "10.64.2.").replace("10.64.7.", "10.64.3."))
    entries = survey(find([root]))
    found = {problem.variable for problem in of(entries, second).problems}
    assert "preprod-db: connection_addresses.data" in found
    assert "preprod-management: connection_addresses.management" not in found, "one host may manage many customers"
    assert {problem.variable for problem in of(entries, first).problems} == found


def test_an_address_that_balancers_share(root: Path, customer: Customer) -> None:
    first, second = customer("gemeente-1", 1)[0], customer("gemeente-2", 2)[0]
    with (second / "group_vars/all/connection.yml").open("a") as file:
        file.write("connection_virtual_addresses: {load_balancer: {dmz: 10.64.0.10}}\n")
    for one in (survey([second]), survey(find([root]))):
        found = {problem.variable: problem.message for problem in of(one, second).problems}
        assert str(first) in found["connection_virtual_addresses.load_balancer.dmz"]


def test_customers_of_one_vendor_share_its_hrn(root: Path, customer: Customer) -> None:
    customer("klant-1", 1, Kind.VENDOR)
    customer("klant-2", 2, Kind.VENDOR)
    connections = [load_connection(inventory) for inventory in find([root])]
    assert len({connection.organisation.oin for connection in connections}) == 1
    assert {entry.result for entry in survey(find([root]))} == {Result.VALID}


def test_a_copied_customer_keeps_the_name(root: Path, customer: Customer) -> None:
    first, *_ = customer("klant-1", 1, Kind.VENDOR)
    shutil.copytree(root / "klant-1", root / "klant-2", symlinks=True)
    file = root / "klant-2/preprod/group_vars/all/10-customer.yml"
    file.unlink()
    file.symlink_to("../../../customer.yml")
    entries = survey(find([root]))
    problem = next(one for one in of(entries, first).problems if one.variable == "connection_name")
    assert "'klant-1.preprod' is taken by" in problem.message
    assert str(root / "klant-2/preprod") in problem.message


def test_many_holders_are_counted(root: Path, customer: Customer) -> None:
    inventories = [customer(f"klant-{number}", number, Kind.VENDOR)[0] for number in range(6)]
    _, value = value_of(inventories[0], "endpoint")
    for inventory in inventories[1:]:
        file, own = value_of(inventory, "endpoint")
        change(file, own, value)
    problem = next(one for one in of(survey(find([root])), inventories[0]).problems)
    assert problem.message.count(str(root)) == 3
    assert "and 2 more" in problem.message
