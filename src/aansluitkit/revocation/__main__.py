"""``python -m aansluitkit.revocation --crls FILE CERTIFICATES…``: fetches the CRLs that the certificates name.

Exit status: 0 all are fresh, 1 something is wrong, with a line for each thing; what was there is kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aansluitkit.errors import KitError
from aansluitkit.revocation.refresh import refresh


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="aansluitkit-crl", description="fetch the CRLs that certificates name")
    parser.add_argument("--crls", type=Path, required=True, metavar="FILE", help="where the CRLs are kept (PEM)")
    parser.add_argument("certificates", type=Path, nargs="+", help="both parties' chains and the roots (PEM)")
    given = parser.parse_args()
    try:
        problems = refresh(given.certificates, given.crls)
    except KitError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"aansluitkit-crl: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
