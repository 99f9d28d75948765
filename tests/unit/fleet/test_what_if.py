"""What a change at the partner touches: nothing more, nothing less, and by when."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from aansluitkit.connection import Environment, Kind, flows_of, load_connection
from aansluitkit.errors import KitError
from aansluitkit.fleet.changes import CertificateEnds, Change, NewAddress, NewCertificate, NewEndpoint
from aansluitkit.fleet.survey import find
from aansluitkit.fleet.whatif import Answer, what_if

from .conftest import NOW, PARTNER, Customer, certificate, change

PREPROD = "ebms.preprod.overheid.nl"


@pytest.fixture
def customers(root: Path, customer: Customer) -> Path:
    """Two government organisations with two environments each, and a vendor's customer with one."""
    customer("gemeente-1", 1)
    customer("gemeente-2", 2)
    customer("klant-3", 3, Kind.VENDOR)
    return root


def ask(root: Path, changed: Change, environment: Environment | None = None, partner: str = PARTNER) -> Answer:
    return what_if(find([root]), partner, changed, environment)


def names(answer: Answer) -> list[str]:
    return [f"{impact.customer}.{impact.environment}" for impact in answer.impacts]


def test_an_address_touches_the_firewalls_that_declare_it(customers: Path) -> None:
    answer = ask(customers, NewAddress(IPv4Network("10.250.0.10"), IPv4Network("10.250.0.11")))
    assert names(answer) == ["gemeente-1.preprod", "gemeente-2.preprod", "klant-3.preprod"]
    assert answer.untouched == 2
    for impact in answer.impacts:
        assert impact.touched is not None
        connection = load_connection(impact.inventory)
        firewall_flows = {
            flow.id
            for flow in flows_of(connection)
            if IPv4Network("10.250.0.10") in (*flow.source_networks, *flow.destination_networks)
        }
        assert (
            set(impact.touched.flows)
            == firewall_flows
            == {
                "ebms-inbound",
                "ebms-outbound-preprod-adapter-1",
                "ebms-outbound-preprod-adapter-2",
            }
        )
        assert impact.touched.hosts == ("preprod-fw",)
        assert not impact.touched.cpa
        assert "have 10.250.0.11 in connection_partner.inbound_addresses" in impact.touched.steps[0].what


def test_an_address_within_a_declared_network(customers: Path) -> None:
    answer = ask(customers, NewAddress(IPv4Network("10.250.1.40"), IPv4Network("10.250.2.40")))
    assert names(answer) == ["gemeente-1.production", "gemeente-2.production"]
    assert {impact.touched.flows for impact in answer.impacts if impact.touched} == {("ebms-inbound",)}


def test_an_address_that_stays_within_a_declared_network(customers: Path) -> None:
    answer = ask(customers, NewAddress(IPv4Network("10.250.1.40"), IPv4Network("10.250.1.41")))
    assert (answer.impacts, answer.untouched) == ((), 5)


def test_an_address_that_nobody_declares(customers: Path) -> None:
    answer = ask(customers, NewAddress(IPv4Network("10.99.0.1"), IPv4Network("10.99.0.2")))
    assert (answer.impacts, answer.untouched) == ((), 5)


def test_shared_defaults_are_one_place_for_all(customers: Path) -> None:
    answer = ask(customers, NewAddress(IPv4Network("10.250.0.10"), IPv4Network("10.250.0.11")))
    assert {place.file for impact in answer.impacts for place in impact.places} == {
        str(customers / "shared/preprod.yml")
    }


def test_a_customer_that_overrides_is_named_itself(customers: Path) -> None:
    own = (customers / "shared/preprod.yml").read_text().replace("---\nconnection_environment: preprod\n", "---\n")
    file = customers / "gemeente-2/preprod/group_vars/all/partner.yml"
    file.write_text(own)
    answer = ask(customers, NewAddress(IPv4Network("10.250.0.10"), IPv4Network("10.250.0.11")))
    found = {impact.customer: impact.places[0].file for impact in answer.impacts}
    assert found["gemeente-2"] == str(file)
    assert found["gemeente-1"] == str(customers / "shared/preprod.yml")


def test_a_certificate_touches_the_endpoints_that_it_names(customers: Path, tmp_path: Path) -> None:
    new = NewCertificate.read(certificate(tmp_path / "new.pem", PREPROD))
    answer = ask(customers, new)
    assert names(answer) == ["gemeente-1.preprod", "gemeente-2.preprod", "klant-3.preprod"]
    for impact in answer.impacts:
        assert impact.touched is not None
        assert impact.touched.cpa
        assert impact.touched.variables == ("certificates.partner",), "the CPA ends before the certificate does"
        assert {step.by for step in impact.touched.steps} == {NOW + timedelta(days=700)}, "when the present one ends"


def test_a_certificate_is_due_before_the_present_one_ends(customers: Path, tmp_path: Path) -> None:
    certificate(customers / "gemeente-1/files/preprod/certificates/partner.pem", PREPROD, days=400)
    certificate(customers / "gemeente-2/files/preprod/certificates/partner.pem", PREPROD, days=400, issuer="another CA")
    answer = ask(customers, NewCertificate.read(certificate(tmp_path / "new.pem", PREPROD)))
    first, second = (impact.touched for impact in answer.impacts if impact.customer != "klant-3")
    assert first is not None
    assert second is not None
    assert {step.by for step in first.steps} == {NOW + timedelta(days=400)}
    assert not [step for step in first.steps if "trust" in step.what]
    assert [step for step in second.steps if "have the adapters trust its issuer 'CN=TSP CA - G1'" in step.what]


def test_a_certificate_that_ends_before_the_cpa(customers: Path, tmp_path: Path) -> None:
    new = NewCertificate.read(certificate(tmp_path / "new.pem", PREPROD, days=90), on=NOW)
    touched = ask(customers, new).impacts[0].touched
    assert touched is not None
    assert touched.variables == ("certificates.partner", "cpa.end")
    assert {step.by for step in touched.steps} == {NOW}


def test_a_certificate_for_no_endpoint_of_the_partner(customers: Path, tmp_path: Path) -> None:
    with pytest.raises(KitError, match=r"names ebms\.overheid\.nl, the partner's endpoints are"):
        ask(customers, NewCertificate.read(certificate(tmp_path / "new.pem", "ebms.overheid.nl")))


def test_a_certificate_of_somebody_else(customers: Path, tmp_path: Path) -> None:
    new = NewCertificate.read(certificate(tmp_path / "new.pem", PREPROD, oin="00000001000000001000"))
    with pytest.raises(KitError, match="is of OIN 00000001000000001000, the partner's is 00000004003214345001"):
        ask(customers, new)


def test_files_that_are_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="can't be read"):
        NewCertificate.read(tmp_path / "nowhere.pem")
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(KitError, match="holds no PEM certificate"):
        NewCertificate.read(tmp_path / "key.pem")
    with pytest.raises(KitError, match="bears no OIN"):
        NewCertificate.read(certificate(tmp_path / "new.pem", PREPROD, oin=""))


def test_an_end_touches_everybody(customers: Path) -> None:
    end = NOW + timedelta(days=60)
    change(customers / "klant-3/preprod/group_vars/all/connection.yml", "end: ", f'end: "{NOW + timedelta(days=9)}" #')
    answer = ask(customers, CertificateEnds(end))
    assert len(answer.impacts) == 5
    beyond = {impact.customer: impact.touched.variables for impact in answer.impacts if impact.touched}
    assert beyond["gemeente-1"] == ("certificates.partner", "cpa.end")
    assert beyond["klant-3"] == ("certificates.partner",), "its CPA ends before the certificate does"
    assert {step.by for impact in answer.impacts if impact.touched for step in impact.touched.steps} == {end}


def test_an_endpoint_of_one_environment(customers: Path) -> None:
    new = NewEndpoint("https://ebms2.overheid.nl/ebms")
    with pytest.raises(KitError, match=r"say with --environment which https://ebms2\.overheid\.nl/ebms replaces"):
        ask(customers, new)
    answer = ask(customers, new, Environment.PRODUCTION)
    assert names(answer) == ["gemeente-1.production", "gemeente-2.production"]
    assert all(impact.touched and impact.touched.cpa for impact in answer.impacts)
    assert ask(customers, NewEndpoint(f"https://{PREPROD}/ebms"), Environment.PREPROD).impacts == ()


def test_an_endpoint_that_the_present_certificate_does_not_name(customers: Path) -> None:
    certificate(customers / "gemeente-1/files/production/certificates/partner.pem", "ebms.production.overheid.nl")
    answer = ask(customers, NewEndpoint("https://ebms2.overheid.nl/ebms"), Environment.PRODUCTION)
    first = answer.impacts[0].touched
    assert first is not None
    assert "does not name ebms2.overheid.nl: ask for the new one" in first.steps[0].what


def test_a_partner_by_name_in_any_case(customers: Path) -> None:
    assert len(ask(customers, CertificateEnds(NOW), partner="mijnoverheid").impacts) == 5


def test_a_partner_that_nobody_has(customers: Path) -> None:
    with pytest.raises(
        KitError, match=r"no connection has partner 'Logius'; known are MijnOverheid \(00000004003214345001\)"
    ):
        ask(customers, CertificateEnds(NOW), partner="Logius")


def test_an_inventory_that_can_not_be_asked_is_named(customers: Path) -> None:
    file = customers / "gemeente-1/preprod/group_vars/all/connection.yml"
    change(file, "sender_id: AFZ-1", "sender_id: TODO")
    answer = ask(customers, CertificateEnds(NOW))
    [unasked] = answer.unasked
    assert (unasked.inventory, unasked.problems) == (customers / "gemeente-1/preprod", 1)
    assert str(unasked.reason).startswith(f"{file}:")
    assert "connection_sender_id: is still to be filled in" in str(unasked.reason)
    assert "gemeente-1.preprod" not in names(answer)
