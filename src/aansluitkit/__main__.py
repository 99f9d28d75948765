"""``python -m aansluitkit``: the command, for those who don't have it on PATH."""

from aansluitkit.cli import main

main()
