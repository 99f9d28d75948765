"""How long the check of many customers takes, and how much memory: ``make bench``.

``python tests/bench/check.py [CUSTOMERS…]`` makes that many customers of two environments each, in a folder that is
thrown away, and does what ``aansluitkit check`` does with them: each is judged, and all are held against each other.
Then one of them alone, for which the others are read at first and not again while they stay the same; a new one with
its check; and a few with Ansible's own loader. 5000 shows whether it stays linear.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from rich.console import Console
from rich.table import Table

from aansluitkit.connection import Environment, Kind
from aansluitkit.connection.ansible_loader import hosts_by_ansible
from aansluitkit.connection.loading import PREFIX
from aansluitkit.fleet import new
from aansluitkit.fleet.beside import GRAIN_SECONDS
from aansluitkit.fleet.survey import Result, find, survey
from aansluitkit.project import ROOT, use_own_tools

PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
CORES = len(os.sched_getaffinity(0))
BY_ANSIBLE = 20  # inventories; it is slow
EXAMPLE = ROOT / "inventories/voorbeeldgemeente"
MODEL_OIN = "00000001999991000000"


def certificate(path: Path, host: str, oin: str, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a certificate as a partner would accept it to ``path``."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host), x509.NameAttribute(NameOID.SERIAL_NUMBER, oin)])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TSP")])
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=800))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(Encoding.PEM))


def addresses_of(number: int, text: str) -> str:
    """``text`` of the example with addresses that no other customer has, for up to 6,000 of them."""

    def inside(found: re.Match[str]) -> str:
        index = number * 8 + int(found[1]) * 4 + int(found[2]) - 1
        return f"10.{index // 256}.{index % 256}."

    def outside(found: re.Match[str]) -> str:
        part, last = divmod(int(found[1]), 32)
        index = number * 2 + part
        return f"10.{200 + index // 2048}.{index // 8 % 256}.{index % 8 * 32 + last}"

    return re.sub(r"\b203\.0\.113\.(\d+)", outside, re.sub(r"\b10\.2([01])\.([1-4])\.", inside, text))


def make(root: Path, customers: int) -> None:
    """Make ``customers`` below ``root``, each with preprod and production, addresses and certificates of its own."""
    shutil.copytree(EXAMPLE.parent / "shared", root / "shared")
    for path in (root / "shared").glob("*.yml"):
        text = path.read_text().replace("198.51.100.", "10.255.2.").replace(".example", ".internal")
        path.write_text(text.replace("network: internet", "network: diginetwerk"))
    for number in range(customers):
        name, oin = f"klant-{number:05}", f"00000003{number + 10_000_000:08}0000"
        shutil.copytree(EXAMPLE, root / name, symlinks=True, ignore=shutil.ignore_patterns("compliance"))
        for path in (root / name).rglob("*.yml"):
            if path.is_symlink():
                continue
            text = path.read_text().replace("connection_example: true\n", "").replace(MODEL_OIN, oin)
            text = text.replace("voorbeeldgemeente", name).replace(".example", ".internal")
            text = addresses_of(number, text).replace('end: "2028', 'end: "2027')
            path.write_text(text)
        for environment, prefix in (("preprod", "preprod."), ("production", "")):
            folder = root / name / environment / "certificates"
            folder.mkdir()
            key = ec.generate_private_key(ec.SECP256R1())
            certificate(folder / "organisation.pem", f"ebms.{prefix}{name}.internal", oin, key)
            partner = "00000004999999001000" if prefix else "00000004999999002000"
            certificate(folder / "partner.pem", f"ebms.{prefix}mijnoverheid.internal", partner, key)


def check(inventories: list[Path]) -> tuple[float, float, int]:
    """Check ``inventories``: seconds on the clock, seconds of computing on all cores, and how many are valid."""
    begun, computed = time.perf_counter(), computing()
    entries = survey(inventories)
    valid = sum(entry.result is Result.VALID for entry in entries)
    return time.perf_counter() - begun, computing() - computed, valid


def computing() -> float:
    """Seconds that this process and its ended children have computed."""
    return sum(sum(resource.getrusage(who)[:2]) for who in PROCESSES)


def make_and_check(root: Path) -> float:
    """Seconds for a customer more, as ``aansluitkit new`` makes it and checks it."""
    begun = time.perf_counter()
    endpoints = {Environment.PREPROD: "https://ebms.preprod.klant-new.internal/ebms"}
    survey(new.make(new.Order("klant-new", Kind.VENDOR, "Klant", "00000003999999990000", endpoints), root))
    return time.perf_counter() - begun


def main(counts: list[int]) -> None:
    """Measure each of ``counts`` customers and print the table."""
    columns = ("inventories", "s", "ms each", "valid", "MiB", "per worker", "s one", "again", "new + check")
    table = Table(
        *columns, title="check: time on the clock, computing of each, memory at most; then of one customer alone"
    )
    for count in counts:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as kept:
            os.environ["XDG_CACHE_HOME"] = kept
            make(Path(folder), count)
            time.sleep(GRAIN_SECONDS)
            inventories = find([Path(folder)])
            seconds, computed, valid = check(inventories)
            most = (f"{resource.getrusage(who).ru_maxrss / 1024:.0f}" for who in PROCESSES)
            single = (check(inventories[:1])[0], check(inventories[:1])[0], make_and_check(Path(folder)))
            each = computed / len(inventories) * 1000
            figures = (str(len(inventories)), f"{seconds:.1f}", f"{each:.1f}", str(valid), *most)
            table.add_row(*figures, *(f"{one:.2f}" for one in single))
            begun = time.perf_counter()
            for path in inventories[:BY_ANSIBLE]:
                hosts_by_ansible(path / "hosts.yml", PREFIX)
            slow = (time.perf_counter() - begun) / BY_ANSIBLE * 1000
    console = Console()
    console.print(table)
    console.print(f"{CORES} cores; Ansible's loader alone takes {slow:.0f} ms for one inventory")


if __name__ == "__main__":
    use_own_tools()
    main([int(count) for count in sys.argv[1:]] or [200, 1000])
