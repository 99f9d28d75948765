"""What ends is seen in time, over all customers."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aansluitkit.certificates.expiry import End, Kind, Level, watch
from aansluitkit.certificates.revocation import fetcher
from aansluitkit.cli import app

from .makers import HOST, PARTNER_HOST, PARTNER_OIN, Authority, CrlServer, Wish

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "level"),
    [(0, "expired"), (1, "urgent"), (14 * 24 + 23, "urgent"), (15 * 24, "soon"), (30 * 24, "soon"), (31 * 24, "ahead"),
     (60 * 24, "ahead"), (61 * 24, "fine")],
)  # fmt: skip
def test_levels(hours: int, level: str) -> None:
    end = End(Kind.CERTIFICATE, "x", NOW + timedelta(hours=hours), (), "x")
    assert end.level(NOW) == level


def test_crl_is_fine_until_it_has_expired() -> None:
    assert End(Kind.CRL, "x", NOW + timedelta(hours=1), (), "x").level(NOW) is Level.FINE
    assert End(Kind.CRL, "x", NOW, (), "x").level(NOW) is Level.EXPIRED


def files(inventory: Path) -> Path:
    return inventory.parent / "files" / inventory.name / "certificates"


@pytest.fixture
def filled(authority: Authority, inventory: Path, crl_server: CrlServer) -> Path:
    """The inventory with certificates of both sides, of which the partner's ends first, and one of a host."""
    folder = files(inventory)
    (folder / "db").mkdir(parents=True)
    own = authority.leaf(Wish(ends=50, crl=f"{crl_server.url}/tsp.crl"))
    partner = authority.leaf(Wish(number=PARTNER_OIN, names=(PARTNER_HOST,), ends=20))
    (folder / "organisation.pem").write_bytes(own.pem + authority.intermediates)
    (folder / "partner.pem").write_bytes(partner.pem)
    (folder / "db/internal-certificate.pem").write_bytes(authority.leaf(Wish(names=("db.internal",), ends=5)).pem)
    (folder / "tsp.crl").write_bytes(authority.crl(ends=-1))
    for unused in ("received", "before-2026-01-01"):
        (folder / unused).mkdir()
        (folder / unused / "old.pem").write_bytes(authority.leaf(Wish(begins=-9, ends=-2)).pem)
    return inventory


def test_everything_is_watched_soonest_first(filled: Path) -> None:
    watched = watch([filled])
    moments = [end.moment for end in watched.ends]
    assert moments == sorted(moments)
    assert [end.name for end in watched.ends[:4]] == [
        "tsp.crl",
        "db.internal (db/internal-certificate.pem)",
        f"{PARTNER_HOST} (of the partner)",
        f"{HOST} (of the organisation)",
    ]
    assert {(end.kind, end.name) for end in watched.ends[4:]} == {
        (Kind.CPA, "MIJNOVERHEID-LZ-VOORBEELD-PREPROD_00000001999991000000-00000004999999001000_0001"),
        (Kind.ISSUER, "Voorbeeld G4 Domein"),
        (Kind.ISSUER, "Voorbeeld G4 TSP"),
        (Kind.ROOT, "Voorbeeld G4 Root"),
    }
    assert not watched.unread
    assert not watched.gaps


def test_what_comes_next_is_watched_too(filled: Path, authority: Authority) -> None:
    """And certificates that are for one purpose."""
    folder = files(filled)
    for name, days in (("next", 300), ("signing", 200)):
        (folder / f"{name}.pem").write_bytes(authority.leaf(Wish(ends=days)).pem)
    own = filled / "group_vars/all/connection.yml"
    told = 'connection_certificates:\n  organisation_signing: "{{ files_folder }}/certificates/signing.pem"\n'
    own.write_text(own.read_text().replace("connection_certificates:\n", told))
    (filled / "group_vars/all/renewal.yml").write_text(
        'connection_renewal:\n  cpa: {id: NEXT, start: "2026-06-01T00:00:00Z", end: "2029-01-01T00:00:00Z"}\n'
        '  certificates: {organisation: "{{ files_folder }}/certificates/next.pem"}\n'
    )
    ends = watch([filled]).ends
    assert {f"{HOST} (of the organisation, signing)", "NEXT"} <= {end.name for end in ends}
    assert [end.name for end in ends].count(f"{HOST} (of the organisation)") == 2


def test_what_many_rest_on_is_one_line(filled: Path) -> None:
    other = filled.parents[1] / "anders/preprod"
    shutil.copytree(filled.parent, other.parent, symlinks=True)
    customer = other.parent / "customer.yml"
    customer.write_text(customer.read_text().replace("connection_name: voorbeeldgemeente", "connection_name: anders"))
    whose = {end.name: end.whose for end in watch([filled, other]).ends}
    assert whose[f"{PARTNER_HOST} (of the partner)"] == ("voorbeeldgemeente.preprod", "anders.preprod")


def test_crls_are_fetched_once_and_the_unreachable_is_told(
    filled: Path, authority: Authority, crl_server: CrlServer
) -> None:
    (gap,) = watch([filled], fetcher()).gaps
    assert gap.startswith(f"CRL {crl_server.url}/tsp.crl can't be fetched from here")
    crl_server.asked.clear()
    crl_server.files["/tsp.crl"] = authority.crl(ends=3)
    ends = [end for end in watch([filled, filled], fetcher()).ends if end.name == f"{crl_server.url}/tsp.crl"]
    assert [end.kind for end in ends] == [Kind.CRL]
    assert crl_server.asked == ["/tsp.crl"]


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["expiry", *map(str, arguments)], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout


def test_command(filled: Path, authority: Authority) -> None:
    status, output = run(filled)
    assert status == 1
    lines = output.splitlines()
    assert lines[0].startswith("expired")
    assert lines[1].startswith("urgent      4 days")
    assert "soon       19 days" in output
    assert "ahead      49 days" in output
    status, output = run(filled, "--within", "20", "--json", "-")
    told = json.loads(output)
    assert [one["level"] for one in told["ends"]] == ["expired", "urgent", "soon"]
    (files(filled) / "tsp.crl").write_bytes(authority.crl())
    (files(filled) / "db/internal-certificate.pem").unlink()
    assert run(filled)[0] == 0


def test_what_is_not_there_yet_is_told(filled: Path) -> None:
    customer = filled.parent / "customer.yml"
    customer.write_text(customer.read_text().replace("connection_example: true\n", ""))
    (files(filled) / "organisation.pem").unlink()
    own = filled / "group_vars/all/connection.yml"
    own.write_text(own.read_text().replace("connection_cpa:", "connection_cpa: TODO\nnot_cpa:"))
    gaps = "\n".join(watch([filled]).gaps)
    assert "connection_certificates.organisation" in gaps
    assert "connection_cpa is wrong or blank, so it is not watched" in gaps


def test_inventory_that_cannot_be_read(filled: Path) -> None:
    (filled / "hosts.yml").write_text("all: [")
    status, output = run(filled)
    assert status == 1
    assert "can't be read, so nothing of it is watched" in output
