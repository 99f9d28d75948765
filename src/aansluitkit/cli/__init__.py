"""The ``aansluitkit`` command: a thin face of the package.

Exit status: 0 done and proved, 1 something failed or is not finished, 2 an inventory or the command line is wrong,
130 broken off.
"""

from __future__ import annotations

import signal
import sys

import typer

# The help tells the commands in this order.
from aansluitkit.cli import inventories

# isort: split
from aansluitkit.cli import cpa

# isort: split
from aansluitkit.cli import flows

# isort: split
from aansluitkit.cli import records

# isort: split
from aansluitkit.cli import certificates

# isort: split
from aansluitkit.cli import hosts

# isort: split
from aansluitkit.cli import status

# isort: split
from aansluitkit.cli import compliance

# isort: split
from aansluitkit.cli import drill

# isort: split
from aansluitkit.cli import bundle

# isort: split
from aansluitkit.cli import lab
from aansluitkit.cli.app import app
from aansluitkit.errors import InventoryError, KitError
from aansluitkit.project import use_own_tools

__all__ = [
    "app",
    "bundle",
    "certificates",
    "compliance",
    "cpa",
    "drill",
    "flows",
    "hosts",
    "inventories",
    "lab",
    "main",
    "records",
    "status",
]


_BROKEN_OFF = 130  # as a shell reports a command that Ctrl-C ended


def main() -> None:
    """Run the command; every failure is one sentence per cause, never a traceback."""
    use_own_tools()
    # A stopped job is broken off as by Ctrl-C: what it started ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(_run())


def _run() -> int:  # noqa: PLR0911 - one for each way to end
    try:
        status = int(app(prog_name="aansluitkit", standalone_mode=False) or 0)
        return _broken_off() if status == _BROKEN_OFF else status  # typer turns Ctrl-C into that status
    except InventoryError as error:
        return _tell(f"the inventory is refused, nothing was changed:\n{error}", 2)
    except KitError as error:
        return _tell(str(error), 1)
    except typer.TyperException as error:
        return _tell_usage(error)
    except BrokenPipeError:
        return 1
    except OSError as error:
        return _tell(f"{error.filename or 'the machine'}: {error.strerror}: mend that and start it again", 1)
    except (KeyboardInterrupt, typer.Abort):
        return _broken_off()


def _broken_off() -> int:
    return _tell("broken off; start it again to go on", _BROKEN_OFF)


def _tell_usage(error: typer.TyperException) -> int:
    """The command alone asks for its help; anything else wrong on the command line is one sentence."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return 2
    hint = f": see {context.command_path} --help" if context else ""
    words = " ".join(error.format_message().split()).rstrip(".")
    return _tell(f"{words[:1].lower()}{words[1:]}{hint}", error.exit_code)


def _tell(message: str, code: int) -> int:
    print(f"aansluitkit: {message}", file=sys.stderr)
    return code
