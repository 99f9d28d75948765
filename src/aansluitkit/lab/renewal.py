"""Renewal of the lab's certificates, as a provider and a partner would do it.

``python -m aansluitkit.lab.renewal order INVENTORY [--generation g1|g4]`` makes the next certificates of both parties
beside those in force; ``adopt`` puts them in their place. What hosts trust and show is for playbook ``rotate``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import load_connection
from aansluitkit.errors import KitError
from aansluitkit.lab.pki import adopt_renewals, order_renewals


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="renewal")
    parser.add_argument("action", choices=["order", "adopt"])
    parser.add_argument("inventory", type=Path)
    parser.add_argument("--generation", type=Generation, choices=list(Generation), default=Generation.G4)
    given = parser.parse_args()
    try:
        connection = load_connection(given.inventory)
        act = order_renewals if given.action == "order" else adopt_renewals
        act(connection, given.generation, connection.certificates.partner.parents[1])
    except KitError as error:
        sys.exit(f"renewal: {error}")
    except FileNotFoundError as error:
        sys.exit(f"renewal: {error.filename} is not there: make the lab, and order before you adopt")


if __name__ == "__main__":
    main()
