"""How long a backup of 100,000 messages takes, and its restore, in the lab: ``make bench``.

Ratios within one run say something, seconds of different machines do not.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from aansluitkit.connection import Component, load_connection, refuse_load
from aansluitkit.errors import KitError
from aansluitkit.lab.ansible import in_lab
from aansluitkit.playbook import play
from aansluitkit.project import ROOT, STATE, use_own_tools
from aansluitkit.verification.site import Site
from lab import INVENTORY, measure, remove

MESSAGES = 100_000
# Envelopes of 2 kB and payloads of 1 kB that can't be compressed.
FILL = f"""
insert into message (direction, message_id, cpa_id, action, at, envelope, status, webhook_attempts)
select 'received', 'bench-' || n, 'bench', 'bench', now(),
  decode(string_agg(md5(random()::text), ''), 'hex'), 'PROCESSED', 0
from generate_series(1, {MESSAGES}) n, generate_series(1, 125) group by n;
insert into payload (direction, message_id, number, content_id, content_type, content)
select direction, message_id, 1, 'bench', 'text/xml', substr(envelope, 1, 1000) from message where cpa_id = 'bench';
"""  # noqa: S608 - a number of our own


def fill() -> float:
    """Store the messages in the database of the lab, and return its size in MB."""
    connection = load_connection(INVENTORY)
    refuse_load(connection)
    site = Site(connection, str(INVENTORY))
    try:
        psql = "runuser -u postgres -- psql --quiet --tuples-only --no-align --dbname=ebms_adapter --command=%s"
        host = connection.host_of(Component.DATABASE)
        done = site.run(host, psql, FILL)
        if done.rc != 0:
            raise KitError(f"{MESSAGES} messages could not be stored: {done.stderr}")
        return int(site.run(host, psql, "select pg_database_size('ebms_adapter')").stdout) / 1e6
    finally:
        site.close()


def timed(playbook: str, *options: str) -> float:
    """Seconds that ``playbook`` takes."""
    began = time.monotonic()
    log = STATE / "log/bench.log"
    play(ROOT / "playbooks" / playbook, INVENTORY, log, lambda _: None, options=options, environment=in_lab())
    return time.monotonic() - began


def main() -> None:
    """Measure and tell."""
    use_own_tools()
    measure()
    table = Table("", "value", box=None, title=f"Backup and restore of {MESSAGES:,} messages")
    with tempfile.TemporaryDirectory() as folder:
        try:
            table.add_row("database", f"{fill():.0f} MB")
            table.add_row("backup", f"{timed('backup.yml', '-e', f'backup_folder={folder}'):.0f} s")
            [backup] = Path(folder).glob("*/*")
            size = sum(path.stat().st_size for path in backup.iterdir()) / 1e6
            told = ("-e", f"backup={backup}", "-e", "restore_over=lab.lab", "-e", "restore_discards=messages")
            table.add_row("size of the backup", f"{size:.0f} MB")
            table.add_row("restore and proof", f"{timed('restore.yml', *told):.0f} s")
        finally:
            remove()
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except KitError as error:
        sys.exit(f"bench: {error}")
