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


def verify(inventory: Path, say: Callable[[Check], None], only: str = "") -> Report:
    """Run every check of ``inventory``, or those whose name matches ``only`` (pytest's -k), and return the report.

    ``say`` is called with each check as it ends.

    Raises:
        InventoryError: when the inventory is refused; nothing is tried then.
        KitError: when the checks can't be run at all.
    """
    # Imported here: the adapter's hosts have no pytest.
    import pytest  # noqa: PLC0415

    from aansluitkit.verification.plugin import Verification  # noqa: PLC0415

    verification = Verification(load_connection(inventory), str(inventory), say)
    arguments = [str(SUITE), "--rootdir", str(ROOT), "-q", "--no-header", "-p", "no:cacheprovider", "--tb=short"]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), _without(*_PYTEST_SETTINGS):
        status = pytest.main([*arguments, *(["-k", only] if only else [])], plugins=[verification])
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
