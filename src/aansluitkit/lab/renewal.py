"""Renewal of the lab's certificates, as administrators, a provider and a partner would do it.

``python -m aansluitkit.lab.renewal order INVENTORY [--generation g1|g4] [--party organisation|partner]`` makes the next
certificates beside those in force and declares the renewal in the inventory, with a CPA of its own; ``adopt`` puts them
in the place of those, and the next CPA in that of the one before. What hosts do is for playbook ``rotate``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import Connection, load_connection
from aansluitkit.connection.model import PARTIES
from aansluitkit.errors import KitError
from aansluitkit.lab.pki import NEXT, adopt_renewals, order_renewals
from aansluitkit.lab.variables import write_variables

VARIABLES = "group_vars/all/renewal.yml"  # sorts after what it overrides
VERSION = "lab_cpa_version"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="renewal")
    parser.add_argument("action", choices=["order", "adopt"])
    parser.add_argument("inventory", type=Path)
    parser.add_argument("--generation", type=Generation, choices=list(Generation), default=Generation.G4)
    parser.add_argument("--party", choices=PARTIES, action="append", help="who renews; both without it")
    given = parser.parse_args()
    try:
        connection = load_connection(given.inventory)
        act = order if given.action == "order" else adopt
        act(given.inventory, connection, given.generation, given.party or PARTIES)
    except KitError as error:
        sys.exit(f"renewal: {error}")
    except FileNotFoundError as error:
        sys.exit(f"renewal: {error.filename} is not there: make the lab, and order before you adopt")


def order(inventory: Path, connection: Connection, generation: Generation, parties: tuple[str, ...]) -> None:
    """Make the next certificates of ``parties`` and declare that they come."""
    order_renewals(connection, generation, _folder(connection), parties)
    cpa, files = connection.cpa, connection.certificates
    names = [name for party in parties for name in (party, *(f"{party}_{use}" for use in files.apart(party)))]
    renewal = {
        "cpa": {"id": _next_id(cpa.id), "start": cpa.start.isoformat(), "end": cpa.end.isoformat()},
        "certificates": {name: str(_next(getattr(files, name))) for name in names},
    }
    write_variables(inventory / VARIABLES, {VERSION: _version(cpa.id), "connection_renewal": renewal})


def adopt(inventory: Path, connection: Connection, generation: Generation, _: tuple[str, ...]) -> None:
    """Put what came next in the place of what was in force."""
    adopt_renewals(connection, generation, _folder(connection))
    if connection.renewal:
        write_variables(
            inventory / VARIABLES,
            {VERSION: _version(connection.renewal.cpa.id), "lab_cpa_retired": [connection.cpa.id]},
        )


def _folder(connection: Connection) -> Path:
    return connection.certificates.partner.parents[1]


def _next(path: Path) -> Path:
    return path.parent / NEXT / path.name


def _version(identity: str) -> str:
    return identity.rpartition("_")[2]


def _next_id(identity: str) -> str:
    rest, _, version = identity.rpartition("_")
    return f"{rest}_{int(version) + 1:04d}"


if __name__ == "__main__":
    main()
