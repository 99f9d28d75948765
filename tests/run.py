"""Everything that proves the project; ends with one line of totals.

``python tests/run.py [lint|unit|molecule|lab]…`` runs some of it, ``python tests/run.py long`` also the tests
that take too much time for each commit, ``python tests/run.py walk`` a first own connection on bare hosts; status 1
when something failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from aansluitkit.lab.ansible import PLAIN
from aansluitkit.project import ROOT, STATE, use_own_tools

LOG = STATE / "log"
LONGEST_SECONDS = 1200  # of one tool; what hangs fails
AT_ONCE = 2  # scenarios, each of which starts many short processes, or files of unit tests
LINTERS = (
    "ruff check .",
    "ruff format --check .",
    "mypy",
    "mypy tests/run.py tests/bench tests/lab tests/verify tests/walk roles/monitoring/files",
    "yamllint --strict .",
    "ansible-lint --offline --profile production",
    "sh -n bootstrap",
)


class Totals:
    """Counts of what passed, failed and was skipped."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def add(self, passed: int = 0, failed: int = 0, skipped: int = 0) -> None:
        """Add to the counts."""
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def add_junit(self, path: Path) -> None:
        """Add what pytest wrote to ``path``; nothing there is a failure."""
        if not path.is_file():
            self.add(failed=1)
            return
        suite = ElementTree.parse(path).getroot().find("testsuite")  # noqa: S314 - of our own making
        count = (
            {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
            if suite is not None
            else {}
        )
        failed = count.get("failures", 0) + count.get("errors", 0)
        self.add(count.get("tests", 0) - failed - count.get("skipped", 0), failed, count.get("skipped", 0))


def lint(totals: Totals) -> None:
    """Run each linter."""
    for linter in LINTERS:
        ended = _tell(linter, _run(linter.split(), LOG / f"lint-{linter.split()[0]}.log"))
        totals.add(passed=ended, failed=not ended)


def unit(totals: Totals) -> None:
    """Run the unit tests, those of one file in one process."""
    _pytest("unit", totals, f"--numprocesses={AT_ONCE}", "--dist=loadfile")


def molecule(totals: Totals) -> None:
    """Run the scenarios of each role, a few at once."""
    found = sorted(path.parent for path in (ROOT / "roles").glob("*/molecule/*/molecule.yml"))
    scenarios = [scenario for scenario in found if scenario.name != "ebms_admin" or os.environ.get("EBMS_ADMIN_JAR")]
    for scenario in sorted(set(found) - set(scenarios)):
        print(f"skipped molecule {_name(scenario)}: EBMS_ADMIN_JAR names no jar of ebms-admin", flush=True)
        totals.add(skipped=1)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for ended, report in pool.map(_scenario, scenarios):
            totals.add(passed=ended, failed=not ended)
            if ended:
                totals.add_junit(report)


def lab(totals: Totals) -> None:
    """Make the lab, prove it, break it, and remove it."""
    _pytest("lab", totals, "-m", "not long")


def long(totals: Totals) -> None:
    """Run every test of the lab, those that take too much time for each commit too."""
    _pytest("lab", totals)


def walk(totals: Totals) -> None:
    """Deploy a first own connection on hosts that nobody prepared."""
    _pytest("walk", totals)


def _pytest(suite: str, totals: Totals, *options: str) -> None:
    report = LOG / f"{suite}.xml"
    report.unlink(missing_ok=True)
    command = ["pytest", "-ra", "--durations=15", f"--junit-xml={report}", *options, str(ROOT / "tests" / suite)]
    subprocess.run(command, check=False, cwd=ROOT)
    totals.add_junit(report)


def _name(scenario: Path) -> str:
    """The role's, and the scenario's where the role has more than one."""
    role = scenario.parents[1].name
    return role if scenario.name == "default" else f"{role}-{scenario.name}"


def _scenario(scenario: Path) -> tuple[bool, Path]:
    name = _name(scenario)
    report = LOG / f"molecule-{name}.xml"
    report.unlink(missing_ok=True)
    environment = {
        "AANSLUITKIT_ROOT": str(ROOT),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(STATE / "molecule" / name),
        "PYTEST_ADDOPTS": f"--junit-xml={report}",
        "NO_COLOR": "1",
    }
    command = ["molecule", "-c", str(ROOT / "tests/molecule/base.yml"), "test", "--scenario-name", scenario.name]
    ended = _run(command, LOG / f"molecule-{name}.log", scenario.parents[1], environment)
    return _tell(f"molecule {name}", ended), report


Ended = tuple[int, float, Path]


def _run(command: list[str], log: Path, folder: Path = ROOT, environment: dict[str, str] | None = None) -> Ended:
    began = time.monotonic()
    with log.open("w") as file:
        try:
            status = subprocess.run(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=LONGEST_SECONDS,
                cwd=folder,
                env={**os.environ, **(environment or {})},
            ).returncode
        except subprocess.TimeoutExpired:
            file.write(f"not done within {LONGEST_SECONDS} s\n")
            status = 124
    return status, time.monotonic() - began, log


def _tell(what: str, ended: Ended) -> bool:
    status, seconds, log = ended
    print(f"{'passed' if status == 0 else 'FAILED'}  {what} ({seconds:.0f} s)", flush=True)
    if status != 0:
        print("\n".join(log.read_text(errors="replace").splitlines()[-80:]), flush=True)
    return status == 0


EACH_COMMIT: dict[str, Callable[[Totals], None]] = {"lint": lint, "unit": unit, "molecule": molecule, "lab": lab}
STAGES = {**EACH_COMMIT, "long": long, "walk": walk}


def main() -> None:
    """Run the stages that are named, or those of each commit."""
    use_own_tools()
    os.environ.update(PLAIN, ANSIBLE_HOME=str(STATE / "ansible"))
    LOG.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    totals = Totals()
    for name in sys.argv[1:] or EACH_COMMIT:
        print(f"==> {name}", flush=True)
        STAGES[name](totals)
    minutes = (time.monotonic() - began) / 60
    print(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped in {minutes:.1f} minutes")
    sys.exit(1 if totals.failed or not totals.passed else 0)


if __name__ == "__main__":
    main()
