"""How long the check of many customers takes, and how much memory: ``make bench``.

``python tests/bench/check.py [CUSTOMERS…]`` makes that many customers of two environments each, in a folder that is
thrown away, and examines them with one process per core: first as they come, then with Ansible's loader for a few.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from rich.console import Console
from rich.table import Table

from aansluitkit.connection import examine, find_inventories
from aansluitkit.connection.ansible_loader import hosts_by_ansible
from aansluitkit.connection.loading import PREFIX
from aansluitkit.project import ROOT, use_own_tools

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


def make(root: Path, customers: int) -> None:
    """Make ``customers`` below ``root``, each with preprod and production, addresses and certificates of its own."""
    shutil.copytree(EXAMPLE.parent / "shared", root / "shared")
    for path in (root / "shared").glob("*.yml"):
        text = path.read_text().replace("198.51.100.", "10.255.2.").replace(".example", ".internal")
        path.write_text(text.replace("network: internet", "network: diginetwerk"))
    for number in range(customers):
        name, oin = f"klant-{number:05}", f"00000003{number + 10_000_000:08}0000"
        shutil.copytree(EXAMPLE, root / name, symlinks=True)
        for path in (root / name).rglob("*.yml"):
            if path.is_symlink():
                continue
            text = path.read_text().replace("connection_example: true\n", "").replace(MODEL_OIN, oin)
            text = (
                text.replace("voorbeeldgemeente", name)
                .replace(".example", ".internal")
                .replace("10.20.", f"10.{number % 100 + 100}.")
            )
            text = text.replace("203.0.113.", f"10.254.{number % 250}.").replace('end: "2028', 'end: "2027')
            path.write_text(text)
        for environment, prefix in (("preprod", "preprod."), ("production", "")):
            folder = root / name / environment / "certificates"
            folder.mkdir()
            key = ec.generate_private_key(ec.SECP256R1())
            certificate(folder / "organisation.pem", f"ebms.{prefix}{name}.internal", oin, key)
            partner = "00000004999999001000" if prefix else "00000004999999002000"
            certificate(folder / "partner.pem", f"ebms.{prefix}mijnoverheid.internal", partner, key)


def judge(path: Path) -> tuple[bool, float, int]:
    """Whether the inventory ``path`` is valid, the seconds of computing, and the KiB that this process held at most."""
    begun = time.process_time()
    valid = examine(path).connection is not None
    return valid, time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(counts: list[int]) -> None:
    """Measure each of ``counts`` customers and print the table."""
    table = Table("inventories", "seconds", "ms of computing each", "valid", "MiB at most, per process", title="check")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), count)
            begun = time.perf_counter()
            inventories = find_inventories(Path(folder))
            with ProcessPoolExecutor(CORES) as pool:
                found = list(pool.map(judge, inventories, chunksize=20))
            seconds = time.perf_counter() - begun
            each = sum(computing for _, computing, _ in found) / len(found) * 1000
            most = max(memory for _, _, memory in found) / 1024
            row = (
                len(inventories),
                f"{seconds:.1f}",
                f"{each:.1f}",
                sum(valid for valid, _, _ in found),
                f"{most:.0f}",
            )
            table.add_row(*map(str, row))
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
