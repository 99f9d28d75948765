"""How long it takes to render and validate CPA and consumerspecificatie of many customers: ``make bench``.

``python tests/bench/documents.py [CUSTOMERS…]`` makes that many customers in a folder that is thrown away, and for the
preprod environment of each, with one process per core, reads the inventory, renders both documents and judges the
result: form, rules of Digikoppeling, and its agreement with the inventory as of a CPA that came from outside.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from check import CORES, make
from rich.console import Console
from rich.table import Table

from aansluitkit.agreement.differences import remarks_on
from aansluitkit.connection import load_connection
from aansluitkit.documents.cpa import cpa_document, render_consumerspecificatie
from aansluitkit.project import use_own_tools

MOST_SECONDS = 20  # for a thousand customers on two cores, the reading of their inventories apart


def produce(path: Path) -> tuple[float, float, float, int]:
    """Seconds of computing to read inventory ``path``, to render and validate, to compare; and bytes rendered."""
    begun = time.process_time()
    connection = load_connection(path)
    read = time.process_time()
    document, specification = cpa_document(connection), render_consumerspecificatie(connection)
    rendered = time.process_time()
    if remarks_on(document, connection):
        raise SystemExit(f"{path}: the CPA differs from its inventory")
    return read - begun, rendered - read, time.process_time() - rendered, len(document) + len(specification)


def main(counts: list[int]) -> None:
    """Measure each of ``counts`` customers and print the table."""
    columns = ("customers", "seconds", "ms to read", "ms to render and validate", "ms to compare", "KiB each")
    table = Table(*columns, title="documents, computing of each customer")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), count)
            inventories = sorted(Path(folder).glob("klant-*/preprod"))
            begun = time.perf_counter()
            with ProcessPoolExecutor(CORES) as pool:
                found = list(pool.map(produce, inventories, chunksize=20))
            seconds = time.perf_counter() - begun
        read, rendered, compared, size = (sum(part) / count for part in zip(*found, strict=True))
        parts = (f"{part * 1000:.1f}" for part in (read, rendered, compared))
        table.add_row(str(count), f"{seconds:.1f}", *parts, f"{size / 1024:.0f}")
    console = Console()
    console.print(table)
    whole = rendered * count / CORES
    console.print(
        f"{CORES} cores; rendering and validating alone takes {whole:.1f} s for {count}, at most {MOST_SECONDS}"
    )


if __name__ == "__main__":
    use_own_tools()
    main([int(count) for count in sys.argv[1:]] or [200, 1000])
