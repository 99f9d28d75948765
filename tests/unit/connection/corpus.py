"""Broken inventories: named mutations of the shipped ones, each with what its error must say.

A row of ``_ROWS`` replaces one text, which stands in its file once, by another; where the error names another file
than the one that was changed, both are written, as 'changed > named'. Rows of ``_WHOLE`` do what replacing can't.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aansluitkit.connection import load_connection
from aansluitkit.lab.migration import VARIABLES as MOVE
from aansluitkit.lab.migration import declare

ROOT = Path(__file__).parents[3]
LAB = "lab"
COMPLIANCE = "voorbeeldgemeente/compliance"
PREPROD = "voorbeeldgemeente/preprod"
PRODUCTION = "voorbeeldgemeente/production"
VENDOR = "voorbeeldleverancier/preprod"

OWN = "group_vars/all/connection.yml"
WHO = "group_vars/all/customer.yml"  # of the lab
CUSTOMER = "group_vars/all/10-customer.yml"
SHARED = "group_vars/all/05-shared.yml"
DEFAULTS = "group_vars/all/00-shared.yml"
OF_LAB = "group_vars/all/lab.yml"
SECRETS = "group_vars/all/secrets.yml"
HOSTS = "hosts.yml"
BLANK, REFUSED = 1, 2


@dataclass(frozen=True)
class Mutation:
    """``apply`` breaks the inventory ``base``; the error names ``file`` and ``variable`` and holds ``words``.

    ``status`` is that of ``aansluitkit check``.
    """

    name: str
    base: str
    file: str
    variable: str
    words: str
    apply: Callable[[Path], None]
    status: int = REFUSED

    def __str__(self) -> str:
        return self.name


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Replaces ``old``, which stands in ``file`` once, by ``new``."""

    def apply(folder: Path) -> None:
        path = folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        path.write_text(text.replace(old, new))

    return apply


def added(file: str, text: str) -> Callable[[Path], None]:
    """Adds ``text`` at the end of ``file``."""
    return lambda folder: (folder / file).open("a").write(text) and None


def moving(old: str, new: str) -> Callable[[Path], None]:
    """Declares a move to another network, and replaces ``old`` in what is declared by ``new``."""

    def apply(folder: Path) -> None:
        declare(folder, load_connection(folder), sends=False)
        replaced(MOVE, old, new)(folder)

    return apply


def written(file: str, content: bytes) -> Callable[[Path], None]:
    """Makes ``file`` hold ``content``; a link is replaced by a file."""

    def apply(folder: Path) -> None:
        path = folder / file
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return apply


def _recoded(file: str, encoding: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        text = (folder / file).read_text().replace("Voorbeeldstad", "Súdwest-Fryslân")
        (folder / file).write_bytes(text.encode(encoding))

    return apply


def _as_folder(file: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / file).unlink()
        (folder / file).mkdir()

    return apply


def _as_file(folder: str) -> Callable[[Path], None]:
    def apply(inventory: Path) -> None:
        shutil.rmtree(inventory / folder)
        (inventory / folder).touch()

    return apply


def _as_pipe(file: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / file).unlink()
        os.mkfifo(folder / file)

    return apply


def _linked(file: str, target: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to(target)

    return apply


def _without(*files: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for file in files:
            path = folder / file
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return apply


def _copied_from(other: str, file: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / file).write_bytes((folder.parents[1] / other / file).read_bytes())

    return apply


def _bomb() -> bytes:
    lines = ["connection_a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"bomb_{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    return ("\n".join(lines) + "\n").encode()


def _merge_bomb() -> bytes:
    lines = ["m0: &m0 {a: 1}"]
    lines += [f"m{level}: &m{level} {{<<: [{', '.join([f'*m{level - 1}'] * 9)}]}}" for level in range(1, 12)]
    return ("\n".join(lines) + "\n").encode()


# base, file, old, new, variable, words
_ROWS: list[tuple[str, str, str, str, str, str]] = [
    # Organisation and numbers
    (LAB, WHO, 'oin: "00000099000000001000"', 'oin: "0000009900000001000"', "connection_organisation.oin", "20 digits"),
    (LAB, WHO, 'oin: "00000099000000001000"', 'oin: "000000990000000010000"', "connection_organisation.oin", "21 characters"),
    (LAB, WHO, 'oin: "00000099000000001000"', "oin: 99000000001000", "connection_organisation.oin", "between quotes"),
    (LAB, WHO, 'oin: "00000099000000001000"', 'oin: "00000055000000001000"', "connection_organisation.oin", "no register"),
    (LAB, WHO, 'oin: "00000099000000001000"', 'oin: "00000005000000001000"', "connection_organisation.oin", "no register"),
    (LAB, WHO, 'oin: "00000099000000001000"', 'oin: "0000009900000000100A"', "connection_organisation.oin", "letters"),
    (LAB, WHO, 'oin: "00000099000000001000"', 'oin: "00000099 00000001000"', "connection_organisation.oin", "20 digits"),
    (LAB, WHO, 'oin: "00000099000000001000"', "oin: ''", "connection_organisation.oin", "20 digits"),
    (LAB, WHO, 'oin: "00000099000000001000"', "oni: '00000099000000001000'", "connection_organisation.oni", "nearest known one is 'oin'"),
    (LAB, OWN, 'oin: "00000099000000002000"', 'oin: "00000099000000001000"', "connection_partner.oin", "organisation's own"),
    (LAB, OWN, 'oin: "00000099000000002000"', 'oin: "00000098000000002000"', "connection_partner.oin", "no register"),
    (LAB, WHO, "name: Gemeente Voorbeeldstad", "name: ''", "connection_organisation.name", "1 to 200 characters"),
    (LAB, WHO, "name: Gemeente Voorbeeldstad", "name: [Gemeente]", "connection_organisation.name", "between quotes"),
    (LAB, WHO, "connection_kind: government", "connection_kind: leverancier", "connection_kind", "'leverancier'"),
    (LAB, WHO, "connection_kind: government", "connection_kind: Government", "connection_kind", "'Government'"),
    (LAB, f"{WHO} > {OWN}", "connection_kind: government\n", "", "connection_kind", "is not set"),
    (LAB, WHO, "connection_name: lab", "connection_nmae: lab", "connection_nmae", "nearest known one is 'name'"),
    (LAB, WHO, "connection_name: lab", "connection_name: Mijn Lab", "connection_name", "'Mijn Lab'"),
    (LAB, WHO, "connection_name: lab", "connection_name: 12", "connection_name", "'12'"),
    (LAB, WHO, "connection_name: lab", "connection_name: ../lab", "connection_name", "'../lab'"),
    (LAB, WHO, "connection_network: internet", "connection_network: netwerk", "connection_network", "diginetwerk"),
    (LAB, WHO, "connection_network: internet", "connection_network: true", "connection_network", "'True'"),
    (LAB, WHO, "connection_message_stream: mo-bericht", "connection_message_stream: StUF", "connection_message_stream", "'StUF'"),
    (LAB, OWN, "connection_environment: lab", "connection_environment: productie", "connection_environment", "production"),
    (LAB, f"{OWN} > {WHO}", "connection_environment: lab", "connection_environment: production", "connection_organisation.oin", "test OIN"),
    (LAB, OWN, "connection_environment: lab", "connection_environment: preprod", "connection_partner.oin", "only where the partner asked"),
    (LAB, OWN, "connection_environment: lab", "connection_environment: preprod", "connection_inbound_address", "RFC 5737"),
    (LAB, OWN, "connection_environment: lab", "connection_environment: preprod", "connection_zones.dmz.network", "RFC 5737"),
    (LAB, OWN, "connection_environment: lab", "connection_environment: preprod", "connection_partner.inbound_addresses.0", "RFC 5737"),
    (LAB, OWN, "connection_environment: lab", "connection_environment: preprod", "connection_endpoint", "RFC 6761"),
    (LAB, f"{OWN} > {WHO}", "connection_environment: lab", "connection_environment: preprod", "connection_contacts.tester.email", "RFC 6761"),
    (LAB, OWN, "connection_environment: lab", "connection_environment: compliance", "connection_partner.endpoint", "RFC 6761"),
    (PREPROD, CUSTOMER, "connection_example: true", "connection_example: maybe", "connection_example", "boolean"),
    (PREPROD, CUSTOMER, "connection_example: true", "connection_exmaple: true", "connection_exmaple", "nearest known one is 'example'"),
    (PREPROD, f"{CUSTOMER} > {SHARED}", "connection_example: true", "connection_example: false", "connection_partner.outbound_addresses.0", "RFC 5737"),
    (PREPROD, f"{CUSTOMER} > {OWN}", "connection_example: true", "connection_example: false", "connection_certificates.organisation", "is not there"),
    (PRODUCTION, f"{CUSTOMER} > {SHARED}", "connection_kind: government", "connection_kind: vendor", "connection_environment", "never be 'production'"),
    (PRODUCTION, CUSTOMER, 'oin: "00000001999991000000"', 'oin: "00000099999991000000"', "connection_organisation.oin", "never allowed in production"),
    (VENDOR, CUSTOMER, 'oin: "00000003999999990000"', 'oin: "00000004999999990000"', "connection_organisation.oin", "no HRN"),
    (VENDOR, SHARED, "connection_environment: preprod", "connection_environment: production", "connection_environment", "never be 'production'"),
    (VENDOR, f"{SHARED} > {OWN}", "connection_environment: preprod", "connection_environment: production",
     "connection_test_certificates_allowed", "production never takes"),
    (VENDOR, OWN, "reason: the partner asked", "reden: the partner asked", "connection_test_certificates_allowed.reden", "known are reason"),
    (VENDOR, OWN, "reason: the partner asked the vendor to connect with a TRIAL certificate until its own is issued", "reason: ja",
     "connection_test_certificates_allowed.reason", "at least 10"),
    # Endpoints
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "http://ebms.voorbeeldstad.test/ebms", "connection_endpoint", "https"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "ebms.voorbeeldstad.test/ebms", "connection_endpoint", "https"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://203.0.113.10/ebms", "connection_endpoint", "names a host"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://ebms/ebms", "connection_endpoint", "fully qualified"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://voorbeeldstad.test/ebms", "connection_endpoint", "a domain that is not ours"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://ebms.voorbeeldstad.test:8443/ebms", "connection_endpoint", "443"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://ebms.voorbeeldstad.test:poort/ebms", "connection_endpoint", "port"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://ebms.voorbeeldstad.test", "connection_endpoint", "no path"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://ebms.voorbeeldstad.test/ebms?x=1", "connection_endpoint", "more than host"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://jan@ebms.voorbeeldstad.test/ebms", "connection_endpoint", "more than host"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://ebms_1.voorbeeldstad.test/ebms", "connection_endpoint", "fully qualified"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://[::1/ebms", "connection_endpoint", "'https://[::1/ebms'"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https:///ebms", "connection_endpoint", "fully qualified"),
    (LAB, OWN, "https://ebms.mijnoverheid.test/ebms", "http://ebms.mijnoverheid.test/ebms", "connection_partner.endpoint", "https"),
    (LAB, OWN, "https://ebms.mijnoverheid.test/ebms", "https://ebms.voorbeeldstad.test/ebms", "connection_partner.endpoint", "our own endpoint"),
    (LAB, OWN, "  endpoint: https://ebms.mijnoverheid.test/ebms\n", "", "connection_partner.endpoint", "is not set"),
    # Addresses and zones
    (LAB, OWN, "connection_inbound_address: 203.0.113.10", "connection_inbound_address: 203.0.113.300", "connection_inbound_address", "203.0.113.300"),
    (LAB, OWN, "connection_inbound_address: 203.0.113.10\n", "", "connection_inbound_address", "is not set"),
    (LAB, OWN, "connection_inbound_address: 203.0.113.10", "connection_inbound_address: 192.0.2.10", "connection_inbound_address", "lies outside"),
    (LAB, OWN, "connection_inbound_address: 203.0.113.10", "connection_inbound_address: 203.0.113.255", "connection_inbound_address", "network or broadcast address"),
    (LAB, f"{OWN} > {HOSTS}", "connection_inbound_address: 203.0.113.10", "connection_inbound_address: 203.0.113.1", "fw: connection_addresses.external", "already taken"),
    (LAB, OWN, "connection_inbound_address: 203.0.113.10", "connection_inbound_address: '2001:db8::1'", "connection_inbound_address", "2001:db8::1"),
    (LAB, OWN, "connection_outbound_address: 203.0.113.11", "connection_outbound_address: 203.0.113.10", "connection_outbound_address", "inbound address as well"),
    (LAB, OWN, "connection_outbound_address: 203.0.113.11", "connection_outbound_address: fw", "connection_outbound_address", "'fw'"),
    (LAB, OWN, "  inbound_addresses: [203.0.113.100]", "  inbound_addresses: [0.0.0.0/0]", "connection_partner.inbound_addresses.0", "4294967296 addresses"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbound_addresses: [128.0.0.0/1]", "connection_partner.outbound_addresses.0", "wider than /16"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbound_addresses: [203.0.113.100/24]", "connection_partner.outbound_addresses.0", "host bits"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbound_addresses: [mijnoverheid]", "connection_partner.outbound_addresses.0", "'mijnoverheid'"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbound_addresses: []", "connection_partner.outbound_addresses", "at least 1"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbound_addresses: 203.0.113.100", "connection_partner.outbound_addresses", "a list is expected"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbound_addresses: [192.0.2.0/28]", "connection_partner.outbound_addresses.0", "overlaps our zone 'dmz'"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbound_addresses: [203.0.113.8/29]", "connection_partner.outbound_addresses.0", "our own inbound"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbound_addresses: [127.0.0.1]", "connection_partner.outbound_addresses.0", "loopback"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbond_addresses: [203.0.113.100]", "connection_partner.outbond_addresses", "'outbound_addresses'"),
    (PRODUCTION, SHARED, "  inbound_addresses: [198.51.100.128/28]", "  inbound_addresses: [0.0.0.0/0]", "connection_partner.inbound_addresses.0", "far more than the partner"),
    (PREPROD, SHARED, "inbound_addresses: [198.51.100.0/28]", "inbound_addresses: [10.0.0.0/8]", "connection_partner.inbound_addresses.0", "wider than /16"),
    (PREPROD, SHARED, "inbound_addresses: [198.51.100.0/28]", "inbound_addresses: [10.9.0.0/28]", "connection_partner.inbound_addresses.0", "is private"),
    (LAB, OWN, "192.0.2.0/24", "192.0.2.1/24", "connection_zones.dmz.network", "host bits"),
    (LAB, OWN, "192.0.2.0/24", "192.0.2.0/33", "connection_zones.dmz.network", "'192.0.2.0/33'"),
    (LAB, OWN, "198.51.100.64/26", "198.51.100.0/25", "connection_zones.data.network", "overlaps"),
    (LAB, OWN, "192.0.2.0/24", "128.0.0.0/2", "connection_zones.dmz.network", "wider than /8"),
    (LAB, OWN, "  external: {network", "  buiten: {network", "connection_zones", "no zone is named 'external'"),
    (LAB, f"{OWN} > {HOSTS}", "  dmz: {network: 192.0.2.0/24}\n", "", "lb-1: connection_addresses.dmz", "zone 'dmz' is not declared"),
    (LAB, OWN, "  dmz: {network: 192.0.2.0/24}", "  DMZ 1: {network: 192.0.2.0/24}", "connection_zones.DMZ 1", "DMZ 1"),
    (LAB, OWN, "  dmz: {network: 192.0.2.0/24}", "  dmz: {netwerk: 192.0.2.0/24}", "connection_zones.dmz.netwerk", "nearest known one is 'network'"),
    (LAB, OWN, "  dmz: {network: 192.0.2.0/24}", "  dmz: 192.0.2.0/24", "connection_zones.dmz", "'192.0.2.0/24'"),
    (LAB, HOSTS, "data: 198.51.100.70", "dta: 198.51.100.70", "db: connection_addresses.dta", "zone 'dta' is not declared"),
    (LAB, HOSTS, "data: 198.51.100.70", "data: 192.0.2.70", "db: connection_addresses.data", "lies outside"),
    (LAB, HOSTS, "data: 198.51.100.70", "data: 198.51.100.127", "db: connection_addresses.data", "broadcast"),
    (LAB, HOSTS, "data: 198.51.100.70", "data: db.test", "db: connection_addresses.data", "'db.test'"),
    (LAB, HOSTS, "data: 198.51.100.70", "data: 198.51.100.65", "db: connection_addresses.data", "already taken"),
    (LAB, HOSTS, "data: 198.51.100.70", "data: 198.51.100.70\n            application: 198.51.100.30", "db: connection_addresses", "only the firewall"),
    (LAB, HOSTS, "management: 198.51.100.130", "management: 198.51.100.128", "controller: connection_addresses.management", "network or broadcast address"),
    (LAB, HOSTS, "application: 198.51.100.12", "application: 198.51.100.11", "adapter-2: connection_addresses.application", "already taken"),
    (LAB, HOSTS, "            dmz: 192.0.2.1\n", "", "fw: connection_addresses", "no address in zone 'dmz'"),
    (LAB, HOSTS, "          connection_addresses:\n            data: 198.51.100.70\n", "", "db: connection_addresses", "has an address"),
    (LAB, HOSTS, "connection_addresses:\n            data: 198.51.100.70", "connection_adresses:\n            data: 198.51.100.70", "connection_adresses", "nearest known name"),
    (LAB, HOSTS, "connection_addresses:\n            data: 198.51.100.70", "connection_addresses: 198.51.100.70", "db: connection_addresses", "'198.51.100.70'"),
    (LAB, HOSTS, "            data: 198.51.100.70", "            data: 198.51.100.70\n          connection_network: diginetwerk", "connection_network", "differs between hosts"),
    (LAB, HOSTS, "            data: 198.51.100.70", "            data: 198.51.100.70\n          connection_ports: {ebms: 9443}", "connection_ports", "differs between hosts"),
    # Variables of roles
    (LAB, OF_LAB, "database_memory_mb: 512", "database_memory: 512", "database_memory", "'database_memory_mb'"),
    (LAB, OF_LAB, "database_memory_mb: 512", "database_memory_mb: veel", "database_memory_mb", "'veel'; role database takes a whole number"),
    (LAB, OF_LAB, "database_memory_mb: 512", "database_memory_mb: 0", "database_memory_mb", "takes a whole number from 1 ("),
    (LAB, OF_LAB, "ebms_adapter_heap_percent: 5", "ebms_adapter_heap_percent: 500", "ebms_adapter_heap_percent", "from 1 to 100"),
    (LAB, OF_LAB, "monitoring_ping_minutes: 5", "monitoring_ping_minutes: 3", "monitoring_ping_minutes", "from 5 or 0"),
    (LAB, OF_LAB, "database_memory_mb: 512", "firewall_new_connections_per_second: -5", "firewall_new_connections_per_second", "from 1 ("),
    (LAB, OF_LAB, "database_memory_mb: 512", "keepalived_advertisement_seconds: 0.0", "keepalived_advertisement_seconds", "a number above 0"),
    (LAB, OF_LAB, "database_memory_mb: 512", "connection_tls_ends_at: firewall", "connection_tls_ends_at", "input should be 'adapter' or 'load_balancer'"),
    (LAB, OF_LAB, "database_memory_mb: 512", "certificates_stage: later", "certificates_stage", "one of current, trust, use"),
    (LAB, OF_LAB, "database_memory_mb: 512", "certificates_request_extra_names: {a: b}", "certificates_request_extra_names", "a list"),
    (LAB, OF_LAB, "database_memory_mb: 512", "certificates_folder: [a]", "certificates_folder", "a path"),
    (LAB, HOSTS, "            data: 198.51.100.70", "            data: 198.51.100.70\n          database_prt: 5432", "database_prt", "'database_port'"),
    # Addresses that hosts share
    (LAB, f"{HOSTS} > {OWN}", "            data: 198.51.100.65\n", "            data: 198.51.100.65\n        fw-2:\n          connection_addresses: {management: 198.51.100.131, external: 203.0.113.2, dmz: 192.0.2.2, application: 198.51.100.2, data: 198.51.100.66}\n", "connection_virtual_addresses", "hosts fw, fw-2 must share an address"),
    (LAB, OWN, "{dmz: 192.0.2.10}", "{dmz: 192.0.2.11}", "connection_virtual_addresses.load_balancer.dmz", "already taken by host 'lb-1'"),
    (LAB, OWN, "{dmz: 192.0.2.10}", "{dmz: 198.51.100.30}", "connection_virtual_addresses.load_balancer.dmz", "lies outside 192.0.2.0/24"),
    (LAB, OWN, "{dmz: 192.0.2.10}", "{dmz: 192.0.2.255}", "connection_virtual_addresses.load_balancer.dmz", "network or broadcast address"),
    (LAB, OWN, "{dmz: 192.0.2.10}", "{dzm: 192.0.2.10}", "connection_virtual_addresses.load_balancer.dzm", "zone 'dzm' is not declared"),
    (LAB, OWN, "{dmz: 192.0.2.10}", "{data: 198.51.100.100}", "connection_virtual_addresses.load_balancer.data", "host 'lb-1' does not stand in zone 'data'"),
    (LAB, OWN, "{dmz: 192.0.2.10}", "{}", "connection_virtual_addresses.load_balancer", "name zones"),
    (LAB, OWN, "  load_balancer: {dmz: 192.0.2.10}", "  load_balancer: {dmz: 192.0.2.10}\n  adapter: {application: 198.51.100.10}", "connection_virtual_addresses.adapter", "no address in common"),
    (LAB, OWN, "connection_virtual_addresses:\n  load_balancer: {dmz: 192.0.2.10}\n", "", "connection_virtual_addresses", "hosts lb-1, lb-2 must share an address"),
    (LAB, f"{HOSTS} > {OWN}", "        lb-2:\n          connection_addresses:\n            dmz: 192.0.2.12\n", "", "connection_virtual_addresses.load_balancer", "group 'load_balancer' holds lb-1"),
    (LAB, f"{HOSTS} > {OWN}", "            dmz: 192.0.2.12", "            data: 198.51.100.100", "connection_virtual_addresses.load_balancer.dmz", "host 'lb-2' does not stand in zone 'dmz'"),
    # Groups and hosts
    (LAB, HOSTS, "    load_balancer:\n", "    loadbalancer:\n", "group loadbalancer", "nearest is 'load_balancer'"),
    (LAB, HOSTS, "    adapter:\n", "    adapters:\n", "group adapters", "nearest is 'adapter'"),
    (LAB, HOSTS, "    database:\n", "    databse:\n", "group databse", "nearest is 'database'"),
    (LAB, HOSTS, "    firewall:\n", "    muur:\n", "fw: group", "no group that is a component"),
    (LAB, HOSTS, "    management:\n", "    beheer:\n", "controller: group", "no group that is a component"),
    (LAB, HOSTS, "        ns:\n          connection_addresses:\n            dmz: 192.0.2.53\n", "", "hosts", "group 'name_server' holds none"),
    (LAB, HOSTS, "        adapter-2:\n", "        adapter_2:\n", "adapter_2: group", "adapter_2"),
    (LAB, HOSTS, "        adapter-2:\n", "        dmz:\n", "dmz: group", "name of a zone"),
    (LAB, HOSTS, "        adapter-2:\n", "        partner:\n", "partner: group", "has the name of a group"),
    (LAB, HOSTS, "        adapter-2:\n", "        pkioverheid:\n", "pkioverheid: group", "what flows call others outside"),
    (LAB, HOSTS, "        app:\n", "        12:\n", "group application", "between quotes"),
    (LAB, HOSTS, "        app:\n          connection_addresses:\n            application: 198.51.100.20\n", "        - app\n", "group application", "a list as hosts"),
    (LAB, HOSTS, "        app:\n          connection_addresses:\n            application: 198.51.100.20\n", "        app: 198.51.100.20\n", "app", "is a text"),
    (LAB, HOSTS, "    application:\n      hosts:\n", "    application:\n      host:\n", "group application", "has 'host'"),
    (LAB, HOSTS, "all:\n  children:\n", "all:\n  childern:\n", "group all", "has 'childern'"),
    (LAB, HOSTS, "    database:\n      hosts:\n", "    database:\n      children: {adapter: {children: {database: }}}\n      hosts:\n", "group adapter", "its own child"),
    (LAB, HOSTS, "    database:\n      hosts:\n        db:\n", "    database:\n      hosts:\n        db-3:\n          connection_addresses: {data: 198.51.100.72}\n        db:\n", "hosts", "holds db-3, db, db-2"),
    (PREPROD, HOSTS, "    application:\n", "    partner:\n", "zaaksysteem-preprod: group", "someone else's"),
    # Contacts
    (LAB, WHO, "email: tester@voorbeeldstad.test", "email: tester", "connection_contacts.tester.email", "'tester'"),
    (LAB, WHO, 'phone: "+31 70 000 00 04"', "phone: 31700000004", "connection_contacts.tester.phone", "between quotes"),
    (LAB, WHO, 'phone: "+31 70 000 00 04"', "phone: bellen", "connection_contacts.tester.phone", "'bellen'"),
    (LAB, WHO, "  tester: {name", "  testers: {name", "connection_contacts.testers", "nearest known one is 'tester'"),
    (LAB, OWN, "email: servicecentrum@mijnoverheid.test", "e-mail: servicecentrum@mijnoverheid.test", "connection_partner.contact.e-mail", "nearest known one is 'email'"),
    # CPA
    (LAB, OWN, 'id: "MIJNOVERHEID-LZ-LAB_{{ connection_organisation.oin }}-{{ connection_partner.oin }}_{{ lab_cpa_version }}"', "id: MIJN OVERHEID", "connection_cpa.id", "'MIJN OVERHEID'"),
    (LAB, OWN, 'id: "MIJNOVERHEID-LZ-LAB_{{ connection_organisation.oin }}-{{ connection_partner.oin }}_{{ lab_cpa_version }}"', "id: ../cpa", "connection_cpa.id", "'../cpa'"),
    (LAB, OWN, 'end: "2036', 'end: "2025', "connection_cpa.end", "not after start"),
    (LAB, OWN, 'end: "2036', 'end: "2058', "connection_cpa.end", "over ten years"),
    (LAB, OWN, 'end: "2036-01-01T00:00:00Z"', 'end: "2036-01-01T00:00:00"', "connection_cpa.end", "timezone"),
    (LAB, OWN, 'end: "2036-01-01T00:00:00Z"', "end: morgen", "connection_cpa.end", "'morgen'"),
    (LAB, OWN, 'end: "2036-01-01T00:00:00Z"', "end: 2028-02-31T00:00:00Z", "file", "day is out of range"),
    (LAB, OWN, "profile: osb-rm", "profile: osb-xx", "connection_cpa.services.0.profile", "osb-rm-s"),
    (LAB, OWN, "  services:\n    - name: MIJNOVERHEID.ebMS.LZ.1.0\n      profile: osb-rm", "  retries: {count: 3}\n  services:\n    - name: MIJNOVERHEID.ebMS.LZ.1.0\n      profile: osb-be", "connection_cpa.retries", "best effort"),
    (LAB, OWN, "  services:\n    - name: MIJNOVERHEID.ebMS.LZ.1.0\n      profile: osb-rm", "  sync_reply: true\n  services:\n    - name: MIJNOVERHEID.ebMS.LZ.1.0\n      profile: osb-be", "connection_cpa.sync_reply", "best effort"),
    (LAB, OWN, "  services:\n", "  retries: {count: 30}\n  services:\n", "connection_cpa.retries.persist_duration", "shorter than"),
    (LAB, OWN, "  services:\n", "  retries: {count: -1}\n  services:\n", "connection_cpa.retries.count", "greater than or equal to 0"),
    (LAB, OWN, "  services:\n", "  retries: {interval: PT0S}\n  services:\n", "connection_cpa.retries.interval", "greater than"),
    (LAB, OWN, "  services:\n", "  retries: {interval: soms}\n  services:\n", "connection_cpa.retries.interval", "'soms'"),
    (LAB, OWN, "  services:\n", "  retry: {count: 8}\n  services:\n", "connection_cpa.retry", "nearest known one is 'retries'"),
    (PREPROD, OWN, "  services:\n", "  retries: {count: 2, interval: PT5M}\n  services:\n", "connection_cpa.retries", "outlast an outage"),
    (LAB, OWN, "{name: foutbericht, sender: SP}", "{name: foutbericht, sender: XX}", "connection_cpa.services.0.actions.1.sender", "'XX'"),
    (LAB, OWN, "{name: foutbericht, sender: SP}", "{name: fout bericht, sender: SP}", "connection_cpa.services.0.actions.1.name", "'fout bericht'"),
    (LAB, OWN, "{name: foutbericht, sender: SP}", "{name: zaakbericht, sender: SR}", "connection_cpa.services.0.actions.1.name", "stands twice"),
    (LAB, OWN, "  services:\n", "  services:\n    - {name: MIJNOVERHEID.ebMS.LZ.1.0, actions: [{name: vraag, sender: SR}]}\n", "connection_cpa.services.1.name", "stands twice"),
    (LAB, OWN, "  services:\n", "  service:\n", "connection_cpa.service", "nearest known one is 'services'"),
    (PREPROD, OWN, "  services:\n", "  services:\n    - {name: Ander, profile: osb-rm-s, actions: [{name: vraag, sender: SR}]}\n", "connection_cpa.services.1.profile", "CPA of their own"),
    (LAB, OWN, "https://ebms.mijnoverheid.test/ebms", "https://ebms.mijnoverheid.test:8888/ebms", "connection_partner.endpoint", "TLS005"),
    (PREPROD, OWN, "connection_sender_id: AFZ-VOORBEELD-0101\n", "", "connection_sender_id", "afzenderID"),
    (PREPROD, OWN, "connection_sender_id: AFZ-VOORBEELD-0101", "connection_sender_id: AFZ 1", "connection_sender_id", "'AFZ 1'"),
    (PREPROD, SHARED, "  name: MijnOverheid (preproductie)", "  name: MijnOverheid\n  party_id_type: urn:cv:oin", "connection_partner.party_id_type", "urn:osb:oin"),
    (LAB, "group_vars/all/lab.yml", '  partner: "', '  partners: "', "connection_certificates.partners", "nearest known one is 'partner'"),
    # Flows and ports
    (LAB, OWN, "destination: mijnoverheid", "destination: nergens", "connection_extra_flows.0.destination", "neither a host"),
    (LAB, OWN, "destination: mijnoverheid", "destination: controller", "connection_extra_flows.0.destination", "the source as well"),
    (LAB, OWN, "source: controller\n    destination: mijnoverheid", "source: external\n    destination: management", "connection_extra_flows.0.destination", "opens management"),
    (LAB, OWN, "source: controller\n    destination: mijnoverheid", "source: mijnoverheid\n    destination: controller", "connection_extra_flows.0.destination", "opens management"),
    (LAB, OWN, "source: controller\n    destination: mijnoverheid", "source: mijnoverheid\n    destination: db", "connection_extra_flows.0.destination", "opens management"),
    (LAB, OWN, "source: controller\n    destination: mijnoverheid", "source: external\n    destination: application", "connection_extra_flows.0.destination", "opens management"),
    (LAB, OWN, "source: controller\n    destination: mijnoverheid\n    port: 22", "source: external\n    destination: fw\n    port: 443", "connection_extra_flows.0.destination", "opens management"),
    (LAB, OWN, "destination: mijnoverheid", "destination: adapter-1", "connection_extra_flows.0", "without being declared (configuration by Ansible over SSH)"),
    (LAB, OWN, "source: controller\n    destination: mijnoverheid", "source: controler\n    destination: mijnoverheid", "connection_extra_flows.0.source", "neither a host"),
    (LAB, OWN, "    port: 22\n", "    port: 0\n", "connection_extra_flows.0.port", "greater than or equal to 1"),
    (LAB, OWN, "    port: 22\n", "    port: 70000\n", "connection_extra_flows.0.port", "65535"),
    (LAB, OWN, "    port: 22\n", "    port: ssh\n", "connection_extra_flows.0.port", "'ssh'"),
    (LAB, OWN, "    port: 22\n", "    port: true\n", "connection_extra_flows.0.port", "'True'"),
    (LAB, OWN, "    port: 22\n", "    port: 99999999999999999999999999\n", "connection_extra_flows.0.port", "65535"),
    (LAB, OWN, "    port: 22\n", "    port: 22\n    protocol: icmp\n", "connection_extra_flows.0.protocol", "'icmp'"),
    (LAB, OWN, "    reason: the lab itself operates its partner, over the same firewall as everything else\n", "", "connection_extra_flows.0.reason", "is not set"),
    (LAB, OWN, "reason: the lab itself operates its partner, over the same firewall as everything else", "reason: nodig", "connection_extra_flows.0.reason", "at least 10"),
    (LAB, WHO, "connection_network: internet", "connection_network: internet\nconnection_ports: {rest: 8443}", "connection_ports.rest", "used twice"),
    (LAB, WHO, "connection_network: internet", "connection_network: internet\nconnection_ports: {health: 8080}", "connection_ports.health", "used twice"),
    (LAB, WHO, "connection_network: internet", "connection_network: internet\nconnection_ports: {ebms: 22}", "connection_ports.ebms", "used twice"),
    (LAB, WHO, "connection_network: internet", "connection_network: internet\nconnection_ports: {databse: 5433}", "connection_ports.databse", "nearest known one is 'database'"),
    # Whom to trust
    (PREPROD, DEFAULTS, '"0257ce27b52408e24ee2c0945640b723c5bc66ddbda4ada58c60357604f0e675"', '"0257ce"', "connection_trust.roots.g1.sha256", "64 hexadecimal digits"),
    (PREPROD, DEFAULTS, "ends: 2028-11-14", "ends: november 2028", "connection_trust.roots.g1.ends", "'november 2028'"),
    (PREPROD, DEFAULTS, "ends: 2028-11-14", "einde: 2028-11-14", "connection_trust.roots.g1.einde", "nearest known one is 'ends'"),
    (PREPROD, DEFAULTS, "  roots:", "  root:", "connection_trust.root", "nearest known one is 'roots'"),
    # Between environments
    (PREPROD, SHARED, "connection_environment: preprod", "connection_environment: production", "connection_environment", "as well"),
    (PREPROD, OWN, "connection_inbound_address: 203.0.113.42", "connection_inbound_address: 203.0.113.10", "connection_inbound_address", "share no address"),
    (PREPROD, HOSTS, "{application: 10.21.2.11}", "{application: 10.20.2.11}", "adapter-preprod-1: connection_addresses.application", "share no address"),
    (PREPROD, OWN, "https://ebms.preprod.voorbeeldgemeente.example/ebms", "https://ebms.voorbeeldgemeente.example/ebms", "connection_endpoint", "share no endpoint"),
    (PREPROD, OWN, '"{{ files_folder }}/certificates/organisation.pem"', '"{{ inventory_dir }}/../files/production/certificates/organisation.pem"',
     "connection_certificates.organisation", "share no certificate"),
    (PREPROD, OWN, "id: MIJNOVERHEID-LZ-VOORBEELD-PREPROD_00000001999991000000-00000004999999001000_0001",
     "id: MIJNOVERHEID-LZ-VOORBEELD-PRODUCTION_00000001999991000000-00000004999999002000_0001", "connection_cpa.id", "share no CPA"),
    # Templates
    (LAB, WHO, "name: Gemeente Voorbeeldstad", 'name: "{{ onbekend }}"', "connection_organisation", "onbekend"),
    (LAB, WHO, "connection_name: lab", 'connection_name: "{{ onbekend | lower }}"', "connection_name", "onbekend"),
    (LAB, WHO, "connection_name: lab", 'connection_name: "{{ connection_name }}"', "connection_name", "can't be filled in"),
    (LAB, WHO, "connection_name: lab", 'connection_name: "{{ lab_a }}"\nlab_a: "{{ connection_name }}"', "connection_name", "can't be filled in"),
    (LAB, WHO, "connection_name: lab", 'connection_name: "{{ 1 +"', "connection_name", "can't be filled in"),
    (LAB, WHO, "connection_name: lab", 'connection_name: "{{ inventory_hostname }}"', "connection_name", "differs between hosts"),
    (LAB, WHO, "connection_name: lab", "connection_name: {{ naam }}", "file", "quote"),
    (LAB, WHO, "connection_name: lab", "connection_name: \"{{ 'x' * 10**10 }}\"", "connection_name", "which no inventory needs"),
    (LAB, WHO, "connection_name: lab", "connection_name: \"{{ 'x' * 10**7 }}\"", "connection_name", "which no inventory needs"),
    (LAB, WHO, "connection_name: lab", 'connection_name: "{{ range(10**10) | list }}"', "connection_name", "which no inventory needs"),
    (LAB, WHO, "connection_name: lab", 'connection_name: "{{ 1 / 0 }}"', "connection_name", "division by zero"),
    (LAB, WHO, "connection_name: lab", "connection_name: \"{{ lookup('file', '/nowhere') }}\"", "connection_name", "can't be filled in"),
    (LAB, WHO, "connection_name: lab", 'connection_name: "{{ inventory_dir.__class__ }}"', "connection_name", "can't be filled in"),
    # YAML
    (LAB, WHO, "connection_name: lab\n", "connection_name: lab\nconnection_name: lab2\n", "file", "stands there twice"),
    (LAB, WHO, "  oin: \"00000099000000001000\"", "  oin: \"00000099000000001000\"\n  oin: '1'", "file", "stands there twice"),
    (LAB, HOSTS, "    database:\n", "    adapter:\n      hosts: {}\n    database:\n", "file", "stands there twice"),
    (LAB, WHO, "connection_organisation:\n  name", "connection_organisation:\n\tname", "file", "tab"),
    (LAB, OWN, "connection_zones:\n", "connection_zones: [\n", "file", "correct it"),
    (LAB, WHO, "connection_kind: government", "connection_kind: 'government", "file", "correct it"),
    (LAB, WHO, "connection_kind: government", "connection_kind: !!python/object/apply:os.system [id]", "file", "tag"),
    (LAB, WHO, "connection_kind: government", "connection_kind: !geheim x", "file", "!geheim"),
    (LAB, WHO, "connection_kind: government", "connection_kind: *anker", "file", "undefined alias"),
    (LAB, WHO, "connection_kind: government", "connection_kind: government\n---", "file", "more than one document"),
    (LAB, WHO, "connection_kind: government", "connection_kind: &k [*k]", "file", "has no end"),
    (LAB, WHO, "connection_kind: government", "connection_kind: government\n12: x", "12", "a variable named 12, a number"),
    (LAB, WHO, "connection_kind: government", "connection_kind: government\n2026-01-01: x", "2026-01-01", "2026-01-01, a date"),
    (LAB, WHO, "connection_kind: government", "connection_kind: government\n!vault x: y", "file", "never a name"),
    (LAB, WHO, "connection_kind: government", "connection_kind: government\n<<: 3", "file", "for merging"),
    (LAB, WHO, "connection_kind: government", f"connection_kind: 0x{'f' * 9999}", "file", "thousands of digits"),
    (LAB, WHO, "connection_kind: government", "connection_kind: 2026-01-01", "connection_kind", "'2026-01-01'"),
    (LAB, WHO, "connection_kind: government", 'connection_kind: "\\0"', "connection_kind", "'\\x00'"),
    (LAB, HOSTS, "            data: 198.51.100.70", "            data: 198.51.100.70\n          12: x", "db", "a variable named 12, a number"),
    (LAB, WHO, "connection_kind: government", "connection_kind: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162", "connection_kind", "encrypted with Ansible Vault"),
    (LAB, HOSTS, "data: 198.51.100.70", "data: !vault |\n              $ANSIBLE_VAULT;1.1;AES256\n              6162", "connection_addresses.data", "encrypted with Ansible Vault"),
    # Signs and kinds that would reach a configuration file
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "'https://ebms.voorbeeldstad.test/eb ms'", "connection_endpoint", "no URL has"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", '"https://ebms.voorbeeldstad.test/ebms\\n"', "connection_endpoint", "no URL has"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://ebms.fryslân.test/ebms", "connection_endpoint", "no URL has"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "'https://*.voorbeeldstad.test/ebms'", "connection_endpoint", "fully qualified"),
    (LAB, OWN, "https://ebms.voorbeeldstad.test/ebms", "https://[2001:db8::1]/ebms", "connection_endpoint", "fully qualified"),
    (LAB, WHO, "name: Gemeente Voorbeeldstad", 'name: "Gemeente\\nVoorbeeldstad"', "connection_organisation.name", "Gemeente\\x0aVoorbeeldstad"),
    (LAB, WHO, "name: Gemeente Voorbeeldstad", "name: '   '", "connection_organisation.name", "1 to 200 characters"),
    (LAB, WHO, "name: Gemeente Voorbeeldstad", f"name: {'x' * 9999}", "connection_organisation.name", "xxx..."),
    (LAB, WHO, "name: Gemeente Voorbeeldstad", "name: !!binary aGFsbG8=", "file", "no value of an inventory"),
    (LAB, WHO, "email: tester@voorbeeldstad.test", 'email: "tester@voorbeeldstad.test\\nbcc: x@y.nl"', "connection_contacts.tester.email", "\\x0abcc"),
    (LAB, WHO, "connection_kind: government", "connection_kind: [government]", "connection_kind", "['government']"),
    (LAB, OWN, "connection_cpa:", "connection_cpa: []\nrest:", "connection_cpa", "a mapping is expected"),
    (LAB, OWN, "connection_zones:", "connection_zones: {}\nrest:", "connection_zones", "at least 2 is expected"),
    (LAB, OWN, "connection_zones:", "connection_zones: [dmz]\nrest:", "connection_zones", "a mapping is expected"),
    (LAB, OWN, "connection_extra_flows:", "connection_extra_flows: {a: b}\nrest:", "connection_extra_flows", "a list is expected"),
    (LAB, OWN, "    port: 22\n", "    port: .inf\n", "connection_extra_flows.0.port", "a whole number"),
    # IPv6
    (LAB, OWN, "203.0.113.0/24", "'2001:db8::/64'", "connection_zones.external.network", "IPv6 is not supported"),
    (LAB, OWN, "  outbound_addresses: [203.0.113.100]", "  outbound_addresses: ['2001:db8::1']", "connection_partner.outbound_addresses.0", "IPv6 is not supported"),
    (LAB, OWN, "connection_outbound_address: 203.0.113.11", "connection_outbound_address: '2001:db8::1'", "connection_outbound_address", "IPv6 is not supported"),
    (LAB, HOSTS, "data: 198.51.100.70", "data: '2001:db8::70'", "db: connection_addresses.data", "IPv6 is not supported"),
    # Names
    (LAB, OWN, "https://ebms.mijnoverheid.test/ebms", "https://mijnoverheid.voorbeeldstad.test/ebms", "connection_partner.endpoint", "the zone of our own name servers"),
    (LAB, HOSTS, "        app:\n", "        ebms:\n", "ebms: group", "the endpoint's name"),
    (LAB, f"{HOSTS} > {OWN}", "            dmz: 192.0.2.53\n", "            dmz: 192.0.2.53\n        ns-2:\n          connection_addresses:\n            dmz: 192.0.2.54\n",
     "secret_dns_transfer", "is not set; name servers ns and ns-2"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: internet\nconnection_diginetwerk: {ranges: [203.0.113.0/24], router: 203.0.113.254, resolvers: [203.0.113.253]}", "connection_diginetwerk", "connection_network is 'internet'"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: diginetwerk\nconnection_diginetwerk: {ranges: [203.0.113.0/24, 0.0.0.0/1], router: 203.0.113.254, resolvers: [203.0.113.253]}", "connection_diginetwerk.ranges.1", "the internet would be sought there"),
    (LAB, WHO, "connection_network: internet", "connection_network: internet\nconnection_tls_ends_at: firewall", "connection_tls_ends_at", "adapter"),
    (LAB, f"{WHO} > {OWN}", "connection_network: internet", "connection_network: diginetwerk\nconnection_diginetwerk: {ranges: [203.0.113.128/25], router: 203.0.113.254, resolvers: [203.0.113.253]}", "connection_inbound_address", "in none of connection_diginetwerk.ranges"),
    (LAB, f"{WHO} > {OWN}", "connection_network: internet", "connection_network: diginetwerk\nconnection_diginetwerk: {ranges: [203.0.113.128/25], router: 203.0.113.254, resolvers: [203.0.113.253]}", "connection_partner.inbound_addresses.0", "in none of connection_diginetwerk.ranges"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: diginetwerk\nconnection_diginetwerk: {ranges: [203.0.113.0/24], router: 203.0.113.254, resolvers: [8.8.8.8]}", "connection_diginetwerk.resolvers.0", "8.8.8.8 lies in none"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: diginetwerk\nconnection_diginetwerk: {ranges: [203.0.113.0/24], router: 192.0.2.254, resolvers: [203.0.113.253]}", "connection_diginetwerk.router", "zone 'external'"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: internet\nconnection_dns: {way: list}", "connection_dns.way", "holds ns"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: internet\nconnection_dns: {way: list}", "connection_dns.resolvers", "with way 'list'"),
    (LAB, f"{WHO} > {OWN}", "connection_network: internet", "connection_network: internet\nconnection_dns: {updates: {internal: {server: 192.0.2.99, key: kit.test}}}", "secret_dns_update_internal", "put the key's secret there"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: internet\nsecret_dns_update_external: x\nconnection_dns: {updates: {external: {server: 192.0.2.99, key: kit.test}}}", "connection_dns.updates", "belongs to way 'list'"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: internet\nconnection_dns: {updates: {inside: {server: 192.0.2.99, key: kit.test}}}", "connection_dns.updates.inside", "'internal'"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: internet\nconnection_dns: {updates: {internal: {server: 192.0.2.99, key: kit.test, algorithm: hmac-md5}}}", "connection_dns.updates.internal.algorithm", "'hmac-sha256'"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: internet\nconnection_dns: {way: bind}", "connection_dns.way", "'bind'"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: internet\nconnection_dns: {resolvers: [192.0.2.99]}", "connection_dns.resolvers", "take out either"),
    (LAB, f"{WHO} > {WHO}", "connection_network: internet", "connection_network: internet\nconnection_dns: {forwarder: [192.0.2.99]}", "connection_dns.forwarder", "'forwarders'"),
    # Names of hosts
    (LAB, HOSTS, "        adapter-2:\n", "        adapter-:\n", "adapter-: group", "none at its ends"),
    (LAB, HOSTS, "        adapter-2:\n", "        adaptér:\n", "adaptér: group", "small letters"),
    (LAB, HOSTS, "        adapter-2:\n", "        all:\n", "all: group", "name of a group"),
    (LAB, HOSTS, "        adapter-2:\n", "        database:\n", "database: group", "name of a group"),
    (LAB, HOSTS, "        adapter-2:\n", '        "adapter-[3:2]":\n', "adapter-[3:2]", "runs backwards"),
    (LAB, HOSTS, "        adapter-2:\n", '        "adapter-[2:999999999]":\n', "adapter-[2:999999999]", "more than 1000 hosts"),
    (LAB, HOSTS, "        adapter-2:\n", '        "adapter-[2:3":\n', "adapter-[2:3", "brackets that are no range"),
    (LAB, HOSTS, "        adapter-2:\n", '        "adapter-[a:zz]":\n', "adapter-[a:zz]", "brackets that are no range"),
    (LAB, HOSTS, "        adapter-2:\n", "        adapter-2.voorbeeldstad.test:\n", "adapter-2.voorbeeldstad.test: group", "small letters"),
    (LAB, HOSTS, "        db:\n", "        ns:\n        db:\n", "hosts", "group 'database' holds ns, db, db-2"),
]  # fmt: skip

# Nothing is wrong, but a person still has to fill in a value.
_BLANKS: list[tuple[str, str, str, str, str, str]] = [
    (LAB, WHO, 'oin: "00000099000000001000"', "oin: null", "connection_organisation.oin", "filled in"),
    (LAB, WHO, "name: Gemeente Voorbeeldstad", "name: TODO", "connection_organisation.name", "filled in"),
    (LAB, OWN, "connection_inbound_address: 203.0.113.10", "connection_inbound_address: null", "connection_inbound_address", "filled in"),
    (LAB, OWN, "connection_inbound_address: 203.0.113.10", "connection_inbound_address: 'TODO: from the operator'", "connection_inbound_address", "from the operator"),
    (LAB, HOSTS, "data: 198.51.100.70", "data: TODO", "db: connection_addresses.data", "filled in"),
    (PREPROD, CUSTOMER, "email: tester@voorbeeldgemeente.example", "email: TODO", "connection_contacts.tester.email", "filled in"),
    (LAB, OWN, 'end: "2036-01-01T00:00:00Z"', "end: TODO", "connection_cpa.end", "filled in"),
    (LAB, OWN, "name: MIJNOVERHEID.ebMS.LZ.1.0", "name: TODO from Logius", "connection_cpa.services.0.name", "from Logius"),
    (PREPROD, OWN, "connection_sender_id: AFZ-VOORBEELD-0101", "connection_sender_id: TODO", "connection_sender_id", "filled in"),
]  # fmt: skip


def _unplugged(folder: Path) -> None:
    """A move for which the firewall has no interface."""
    declare(folder, load_connection(folder), sends=False)
    (folder / "host_vars/fw/migration.yml").unlink()


def _managed_by_the_move(folder: Path) -> None:
    """A move whose network may reach the controller."""
    declare(folder, load_connection(folder), sends=False)
    flow = "  - {source: migration, destination: controller, port: 22, reason: from home as well}\n"
    added(OWN, flow)(folder)


_WHOLE: list[tuple[str, str, str, str, str, Callable[[Path], None]]] = [
    ("no hosts.yml", LAB, ".", HOSTS, "is not there", _without(HOSTS)),
    ("hosts.yml is a folder", LAB, HOSTS, "file", "is a directory", _as_folder(HOSTS)),
    ("hosts.yml is a broken link", LAB, HOSTS, "file", "is not there", _linked(HOSTS, "nergens.yml")),
    ("hosts.yml links to itself", LAB, HOSTS, "file", "can't be read", _linked(HOSTS, HOSTS)),
    ("hosts.yml is empty", LAB, HOSTS, "groups", "holds nothing", written(HOSTS, b"")),
    ("hosts.yml is a list", LAB, HOSTS, "groups", "holds a list", written(HOSTS, b"- fw\n")),
    ("hosts.yml is a text", LAB, HOSTS, "groups", "holds a text", written(HOSTS, b"fw\n")),
    ("hosts.yml has no hosts", LAB, HOSTS, "hosts", "are none", written(HOSTS, b"all: {}\n")),
    ("hosts.yml is an INI file", LAB, HOSTS, "groups", "holds a list", written(HOSTS, b"[adapter]\n")),
    ("variables are a list", LAB, OWN, "file", "holds a list", written(OWN, b"- connection_name: lab\n")),
    ("variables are a text", LAB, OWN, "file", "holds a text", written(OWN, b"lab\n")),
    ("variables are empty", LAB, WHO, "connection_cpa", "is not set", written(OWN, b"")),
    ("no variables", LAB, HOSTS, "connection_cpa", "is not set", _without("group_vars")),
    ("a shared file is gone", PREPROD, SHARED, "file", "is a link to", lambda folder: (folder.parents[1] / "shared/example-preprod.yml").unlink()),
    ("hosts.yml is a pipe", LAB, HOSTS, "file", "neither a file", _as_pipe(HOSTS)),
    ("variables are a pipe", LAB, OWN, "file", "neither a file", _as_pipe(OWN)),
    ("variables are a device", LAB, OWN, "file", "neither a file", _linked(OWN, "/dev/zero")),
    ("variables link to themselves", LAB, OWN, "file", "in a circle", _linked(OWN, "connection.yml")),
    ("hosts in a second file", LAB, "more.yml", "file", "stands beside hosts.yml", written("more.yml", b"all: {hosts: {x: {}}}\n")),
    ("a program beside hosts.yml", LAB, "ssh", "file", "stands beside hosts.yml", written("ssh", b"#!/bin/sh\n")),
    ("quote that is never closed", LAB, OWN, "file", "correct it", added(OWN, "\nconnection_x: 'a\n")),
    ("UTF-16", LAB, OWN, "file", "UTF-16", _recoded(OWN, "utf-16")),
    ("Latin-1", LAB, WHO, "file", "no UTF-8", _recoded(WHO, "latin-1")),
    ("NUL byte", LAB, OWN, "file", "control character", added(OWN, "connection_x: a\0b\n")),
    ("NUL byte in hosts.yml", LAB, HOSTS, "file", "control character", added(HOSTS, "\0")),
    ("binary", LAB, OWN, "file", "no UTF-8", written(OWN, bytes(range(128, 256)))),
    ("number of 5,000 digits", LAB, OWN, "file", "thousands of digits", added(OWN, f"connection_x: {'9' * 5000}\n")),
    ("aliases bomb", LAB, "group_vars/all/bomb.yml", "file", "by its aliases", written("group_vars/all/bomb.yml", _bomb())),
    ("merging bomb", LAB, "group_vars/all/bomb.yml", "file", "by merging", written("group_vars/all/bomb.yml", _merge_bomb())),
    ("nested lists", LAB, "group_vars/all/deep.yml", "file", "levels deep", written("group_vars/all/deep.yml", b"x: " + b"[" * 200_000)),
    ("nested dashes", LAB, "group_vars/all/deep.yml", "file", "levels deep", written("group_vars/all/deep.yml", b"- " * 100_000 + b"x")),
    ("variables in UTF-32", LAB, OWN, "file", "UTF-32", written(OWN, "connection_name: x\n".encode("utf-32"))),
    ("hosts as an INI file", LAB, HOSTS, "file", "is no YAML", written(HOSTS, b"[firewall]\nfw ansible_host=10.1.2.3\n")),
    ("group_vars as a file", LAB, "group_vars", "folder", "not a directory", _as_file("group_vars")),
    ("host_vars as a link to itself", LAB, "host_vars", "folder", "symbolic links", _linked("host_vars", "host_vars")),
    ("folder of variables in itself", LAB, "group_vars/all/loop", "folder", "that it stands in", _linked("group_vars/all/loop", ".")),
    ("file beside a folder of one name", LAB, "group_vars/all.yml", "file", "is passed over", written("group_vars/all.yml", b"connection_name: x\n")),
    ("file of 2 MB", LAB, "group_vars/all/long.yml", "file", "longer than", written("group_vars/all/long.yml", b"# x\n" * 500_000)),
    ("variables vaulted whole", LAB, WHO, "connection_cpa", "is encrypted", written(OWN, b"$ANSIBLE_VAULT;1.1;AES256\n6162\n")),
    ("template asks for a vaulted secret", PREPROD, OWN, "connection_name", "can't be filled in", added(OWN, 'connection_name: "{{ secret_rest_password }}"\n')),
    ("secret in clear", PREPROD, SECRETS, "secret_rest_password", "stands there in clear", written(SECRETS, b"secret_rest_password: geheim\n")),
    ("TSIG secret in clear", PREPROD, SECRETS, "secret_dns_transfer", "stands there in clear", added(SECRETS, "\nsecret_dns_transfer: geheim\n")),
    ("secret is a number", PREPROD, SECRETS, "secret_rest_password", "stands there in clear", written(SECRETS, b"secret_rest_password: 1234\n")),
    ("secret from a file in clear", PREPROD, SECRETS, "secret_rest_password", "stands there in clear",
     written(SECRETS, b"secret_rest_password: \"{{ lookup('file', 'wachtwoord.txt') }}\"\n")),
    ("secret by way of another in clear", PREPROD, SECRETS, "secret_rest_password", "stands there in clear",
     written(SECRETS, b'secret_rest_password: "{{ wachtwoord }}"\nwachtwoord: geheim\n')),
    ("secrets of production", PREPROD, SECRETS, "secret_rest_password", "share no secret", _copied_from(PRODUCTION, SECRETS)),
    ("hosts of production", PREPROD, HOSTS, "adapter-productie-1: connection_addresses.application", "share no address", _copied_from(PRODUCTION, HOSTS)),
    ("host variables in a folder of their own", LAB, "host_vars/db.yml", "db: connection_addresses.data", "lies outside",
     written("host_vars/db.yml", b"connection_addresses: {data: 192.0.2.70}\n")),
    ("variable of one group", LAB, "group_vars/adapter.yml", "connection_network", "differs between hosts",
     written("group_vars/adapter.yml", b"connection_network: diginetwerk\n")),
    ("typing error in a group's variables", LAB, "group_vars/adapter.yml", "connection_port", "differs between hosts",
     written("group_vars/adapter.yml", b"connection_port: 1\n")),
    ("names for our own hosts as for others", LAB, OWN, "connection_dns.published_to.1", "ask without that",
     added(OWN, "connection_dns: {published_to: [0.0.0.0/0, 198.51.100.8/29]}\n")),
    ("names for others where they are given by others", LAB, OWN, "connection_dns.published_to", "belongs to way 'role'",
     added(OWN, "connection_dns: {way: list, resolvers: [192.0.2.53], published_to: [8.8.8.8]}\n")),
    ("zone of a move that is none", LAB, OWN, "connection_zones.migration", "would count as inside",
     replaced(OWN, "  external: {network: 203.0.113.0/24}\n", "  external: {network: 203.0.113.0/24}\n  migration: {network: 198.18.5.0/24}\n")),
    ("move without a zone", LAB, MOVE, "connection_zones", "no zone is named 'migration'", moving("  migration:\n", "  elsewhere:\n")),
    ("move without a firewall", LAB, HOSTS, "fw: connection_addresses", "no address in zone 'migration'", _unplugged),
    ("move within one network", LAB, MOVE, "connection_migration.network", "not a known name", moving("  sends: false", "  network: internet")),
    ("move without Diginetwerk", LAB, OWN, "connection_diginetwerk", "during a migration", moving("connection_diginetwerk:", "diginetwerk:")),
    ("move to where the partner is already", LAB, OWN, "connection_partner.inbound_addresses.0", "this is the address on the internet",
     moving("ranges:\n  - 198.18.0.0/16", "ranges:\n  - 198.18.0.0/16\n  - 203.0.113.100")),
    ("move with the present inbound address", LAB, MOVE, "connection_migration.inbound_address", "lies outside", moving("198.18.5.10\n", "203.0.113.10\n")),
    ("move with one address twice", LAB, MOVE, "connection_migration.outbound_address", "inbound address as well", moving("198.18.5.11", "198.18.5.10")),
    ("move with the address of a firewall", LAB, "host_vars/fw/migration.yml", "fw: connection_addresses.migration", "already taken", moving("198.18.5.11", "198.18.5.1")),
    ("move with the whole world as partner", LAB, MOVE, "connection_migration.partner.outbound_addresses.0", "far more than the partner",
     moving("outbound_addresses:\n    - 198.18.5.100", "outbound_addresses:\n    - 198.0.0.0/8")),
    ("move with a router elsewhere", LAB, MOVE, "connection_diginetwerk.router", "zone 'migration'", moving("router: 198.18.5.254", "router: 203.0.113.254")),
    ("move that half sends", LAB, MOVE, "connection_migration.sends", "a boolean is expected", moving("sends: false", "sends: half")),
    ("names of a move that is none", LAB, OWN, "connection_dns.updates.migration", "take it out",
     added(OWN, "connection_dns: {way: list, resolvers: [192.0.2.53], updates: {migration: {server: 192.0.2.99, key: kit.test}}}\n")),
    ("management from the other network", LAB, OWN, "connection_extra_flows.1.destination", "opens management to the outside",
     _managed_by_the_move),
]  # fmt: skip

MUTATIONS = [
    *(
        Mutation(f"{base} {variable}: {new.strip() or 'left out'} {words}"[:120], base, file.split(" > ")[-1], variable, words,
                 replaced(file.split(" > ")[0], old, new), status)
        for status, rows in ((REFUSED, _ROWS), (BLANK, _BLANKS))
        for base, file, old, new, variable, words in rows
    ),
    *(Mutation(name, base, file, variable, words, apply) for name, base, file, variable, words, apply in _WHOLE),
    Mutation("secret to be filled in", PREPROD, SECRETS, "secret_rest_password", "filled in",
             written(SECRETS, b"secret_rest_password: TODO\n"), BLANK),
]  # fmt: skip
