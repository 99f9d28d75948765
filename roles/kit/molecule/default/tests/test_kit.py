"""The packages work, each release in a folder of its own."""

import pytest


@pytest.fixture
def folder(host):
    [found] = host.check_output("ls --directory /opt/aansluitkit/*/").split()
    return found


@pytest.mark.parametrize("program", ["aansluitkit.ebms", "aansluitkit.revocation"])
def test_program_runs(host, folder, program):
    assert "usage:" in host.check_output(f"{folder}venv/bin/python -m {program} --help")


def test_release_is_for_the_python_of_the_host(host, folder):
    tag = host.check_output("/usr/bin/python3 -c 'import sys; print(\"cp%d%d\" % sys.version_info[:2])'")
    assert f"/aansluitkit-{tag}-" in folder


def test_only_root_changes_it(host, folder):
    assert host.check_output(rf"find {folder} \( -not -user root -o -perm /022 -not -type l \) -print") == ""
