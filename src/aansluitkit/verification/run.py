"""Running ``tests/verify`` against one inventory."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from aansluitkit.connection import load_connection
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT
from aansluitkit.verification.checks import Check, Report

SUITE = ROOT / "tests/verify"
# Of whoever develops with pytest; they would leave checks out, or stop after the first that fails.
_PYTEST_SETTINGS = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")
LIMIT_SECONDS = 600


def verify(inventory: Path, say: Callable[[Check], None], only: str = "", limit: float = LIMIT_SECONDS) -> Report:
    """Run every check of ``inventory``, or those whose name matches ``only`` (pytest's -k), and return the report.

    ``say`` is called with each check as it ends. What is left after ``limit`` seconds is not checked.

    Raises:
        InventoryError: when the inventory is refused; nothing is tried then.
        KitError: when the checks can't be run at all.
        KeyboardInterrupt: when it is broken off, by Ctrl-C or SIGTERM; nothing that it started runs on.
    """
    # Imported here: the adapter's hosts have no pytest.
    import pytest  # noqa: PLC0415

    from aansluitkit.verification.plugin import Verification  # noqa: PLC0415

    verification = Verification(load_connection(inventory), str(inventory), say, limit)
    arguments = [str(SUITE), "--rootdir", str(ROOT), "-q", "--no-header", "-p", "no:cacheprovider", "--tb=short"]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), _without(*_PYTEST_SETTINGS):
        status = pytest.main([*arguments, *(["-k", only] if only else [])], plugins=[verification])
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt  # which pytest takes for its own
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not verification.report.checks:
        raise KitError(f"the checks could not be run ({pytest.ExitCode(status).name}):\n{output.getvalue()}")
    return verification.report


@contextlib.contextmanager
def _without(*names: str) -> Iterator[None]:
    """The environment without the variables ``names`` while the block runs."""
    held = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(held)
