"""``python -m aansluitkit.ebms.migrate URL``: brings the tables of a database to the version of this adapter.

The URL names the tables' owner; PGPASSWORD has its password. The adapter itself needs, and has, no right to do it.
Prints what it did; exit status 1 when it could not.
"""

from __future__ import annotations

import sys

from aansluitkit.ebms.database import connect
from aansluitkit.ebms.tables import VERSION
from aansluitkit.errors import KitError


def main() -> None:
    """Migrate."""
    try:
        database = connect(sys.argv[1], None)
        changed = database.migrate()
        database.close()
    except KitError as error:
        sys.exit(f"aansluitkit: {error}")
    print(f"{'migrated to' if changed else 'is of'} version {VERSION}")


if __name__ == "__main__":
    main()
