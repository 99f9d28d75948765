"""The command as people and machines meet it: exit status, sentences, help, and nothing half made."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aansluitkit.cli import app

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "check",
    "new",
    "what-if",
    "documents",
    "cpa",
    "package",
    "flows",
    "records",
    "certificate",
    "expiry",
    "plan",
    "up",
    "destroy",
    "deploy",
    "verify",
    "ping",
    "status",
    "compliance",
    "drill",
    "bundle",
    "lab up",
    "lab down",
)
WITHIN = 60  # seconds


def run(*arguments: str | Path, folder: Path = ROOT, **environment: str) -> tuple[int, str, str]:
    """Status, standard output and standard error of the command in a process of its own, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "aansluitkit", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    """A folder of customers with the kit's shared defaults and pools, and nobody in it."""
    shared = Path(shutil.copytree(ROOT / "inventories/shared", tmp_path / "inventories/shared"))
    with (shared / "all.yml").open("a") as file:
        file.write("connection_network: diginetwerk\n")
        file.write("new_inside_network: 10.64.0.0/12\nnew_external_network: 10.32.0.0/16\n")
    text = (shared / "all.yml").read_text()
    (shared / "all.yml").write_text(text.replace("connection_network: internet\n", ""))
    return shared.parent


VENDOR = (
    "--kind",
    "vendor",
    "--organisation",
    "Klant B.V.",
    "--oin",
    "00000003123456780000",
    "--endpoint",
    "ebms.klant.nl",
)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_tells_examples_and_status(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"aansluitkit {command}".strip() in result.output
    assert "Exit status: 0 done" in result.output
    assert "130 broken off" in result.output


def test_every_command_is_helped() -> None:
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    found = re.findall(r"^│ ([a-z][a-z-]+) {2,}\S", listed, re.MULTILINE)
    assert found == list(dict.fromkeys(command.split()[0] for command in COMMANDS))


def test_examples_of_the_help_are_commands() -> None:
    """What the help shows can be typed: each example is parsed, with --help behind it."""
    for command in ("", *COMMANDS):
        output = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"}).output
        examples = re.findall(r"^ {3}aansluitkit (.+?) *$", output, re.MULTILINE)
        assert examples, command
        for example in examples:
            assert CliRunner().invoke(app, [*example.split(), "--help"]).exit_code == 0, example


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    status, output, _ = run("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert status == 0
    assert "COMPLETE" in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check"], "missing argument 'PATH': see aansluitkit check --help"),
        (["chekc"], "no such command 'chekc'. Did you mean 'check'?: see aansluitkit --help"),
        (["check", "--all", "x"], "no such option: --all"),
        (["deploy", "x", "--workers", "0"], "invalid value for '--workers'"),
        (["certificate", "x.pem", "--partner"], "--partner: say of which inventory, with --inventory"),
        (["what-if", "inventories"], "missing option '--partner'"),
        (["what-if", "inventories", "--partner", "x"], "give exactly one of them"),
        (["what-if", "inventories", "--partner", "x", "--address", "10.1.2.3"], "write OLD=NEW"),
        (["what-if", "inventories", "--partner", "x", "--endpoint", "http://x.nl/ebms"], "is not https"),
        (["what-if", "inventories", "--partner", "x", "--ends", "morgen"], "invalid value for '--ends'"),
        (["new", "klant-1", "--kind", "vendor"], "--organisation is not given, and nobody can be asked here"),
        (["new", "klant-1", "--kind", "leverancier"], "invalid value for '--kind'"),
        (["destroy", "inventories/lab"], "add --yes when it is meant"),
        (["status", "inventories/voorbeeldgemeente/preprod", "-K"], "--ask-become-pass: nobody can be asked here"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(arguments: list[str], words: str) -> None:
    status, output, error = run(*arguments)
    assert status == 2
    assert output == ""
    assert words in error
    assert error.startswith("aansluitkit: ")
    assert error.count("\n") == 1


def test_without_a_command_it_tells_what_it_can() -> None:
    status, output, error = run()
    assert (status, error) == (2, "")
    assert "what-if" in output


def test_version() -> None:
    assert run("--version")[:2] == (0, "0.1.0\n")


def test_check_of_the_shipped_inventories() -> None:
    status, output, error = run("check", "inventories")
    assert (status, error) == (0, "")
    assert "valid, 0 blanks, 0 refused" in output


def test_check_from_another_folder(tmp_path: Path) -> None:
    relative = os.path.relpath(ROOT / "inventories/lab", tmp_path)
    status, output, _ = run("check", relative, folder=tmp_path)
    assert status == 0
    assert re.search(r"^lab +lab +valid", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("path", "words"),
    [("nowhere", "does not exist"), (".", "holds no inventory"), ("notes", "is a file, and no hosts.yml")],
)
def test_check_of_what_is_no_inventory(tmp_path: Path, path: str, words: str) -> None:
    (tmp_path / "notes").touch()
    status, _, error = run("check", path, folder=tmp_path)
    assert status == 2
    assert words in error


def test_check_for_machines(customers: Path) -> None:
    assert run("new", "klant-1", *VENDOR, "--folder", customers)[0] == 0
    hosts = customers / "klant-1/preprod/hosts.yml"
    hosts.write_text(hosts.read_text().replace("dmz: 10.64.0.53", "dmz: 10.64.1.53"))
    status, output, error = run("check", customers, "--json", "-")
    assert status == 2
    [entry] = json.loads(output)["inventories"]
    assert (entry["customer"], entry["environment"], entry["result"]) == ("klant-1", "preprod", "refused")
    problem = next(one for one in entry["problems"] if one["variable"] == "preprod-ns: connection_addresses.dmz")
    assert problem["file"] == str(hosts)
    assert "10.64.1.53" in hosts.read_text().splitlines()[problem["line"] - 1]
    assert "lies outside" in problem["message"]
    assert "1 refused" in error, "people read the other stream"


def test_json_goes_to_a_file_whole(customers: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert run("check", "inventories/lab", "--json", report)[0] == 0
    assert json.loads(report.read_text())["inventories"][0]["customer"] == "lab"
    status, _, error = run("check", "inventories/lab", "--json", tmp_path / "nowhere/report.json")
    assert status == 1
    assert "is not there: make it first" in error


def test_blanks_alone_are_not_wrong_but_not_finished(customers: Path) -> None:
    status, output, error = run("new", "klant-201", *VENDOR, "--folder", customers)
    assert (status, error) == (0, "")
    assert "0 valid, 1 blanks, 0 refused" in output
    assert "connection_sender_id: is still to be filled in (the afzenderID, which Logius sends (seed 4.3.4))" in output
    assert run("check", customers)[0] == 1


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--oin", "0000000312345678000", "has 19 characters; an OIN or HRN has 20 digits"),
        ("--oin", "00000002123456789000", "is no HRN"),
        ("--endpoint", "localhost", "is not a fully qualified domain name"),
        ("--organisation", "{{ x }}", "can't be an organisation's name"),
    ],
)
def test_new_refuses_at_once(customers: Path, option: str, value: str, words: str) -> None:
    arguments = [*VENDOR]
    arguments[arguments.index(option) + 1] = value
    status, _, error = run("new", "klant-1", *arguments, "--folder", customers)
    assert status == 2
    assert f"{option}: " in error
    assert words in error
    assert [path.name for path in customers.iterdir()] == ["shared"]


def test_new_makes_a_lab_that_is_ready(customers: Path) -> None:
    """The vendor has said the rest once, in the shared defaults."""
    shutil.copytree(ROOT / "inventories/lab", customers / "lab")
    shutil.copy(ROOT / "inventories/lab/group_vars/all/customer.yml", customers / "shared/desks.yml")
    said = (customers / "shared/desks.yml").read_text().replace("voorbeeldstad.test", "klantenservice.nl")
    contacts = said.partition("\nconnection_contacts")
    with (customers / "shared/all.yml").open("a") as file:
        file.write("".join(contacts[1:]))
    status, output, error = run("new", "klant-201", *VENDOR, "--lab", "--folder", customers)
    assert (status, error) == (0, "")
    assert "1 valid, 1 blanks, 0 refused" in output
    assert f"in the lab: aansluitkit lab up {customers}/klant-201/lab" in output
    status, output, error = run("check", customers / "klant-201/lab")
    assert (status, error) == (0, "")


def test_new_overwrites_nothing(customers: Path) -> None:
    assert run("new", "klant-1", *VENDOR, "--folder", customers)[0] == 0
    before = {path: path.read_bytes() for path in customers.rglob("*") if path.is_file()}
    status, _, error = run("new", "klant-1", *VENDOR, "--folder", customers)
    assert status == 2
    assert "is there already; nothing is overwritten" in error
    assert {path: path.read_bytes() for path in customers.rglob("*") if path.is_file()} == before


def test_a_vendor_gets_no_production(customers: Path) -> None:
    status, _, error = run("new", "klant-1", *VENDOR, "--production-endpoint", "ebms.x.nl", "--folder", customers)
    assert status == 2
    assert "a vendor has no production (seed 1.2)" in error


def test_three_answers_make_a_customer(customers: Path) -> None:
    """On a terminal; the vendor has said once in the shared defaults what kind its customers are."""
    with (customers / "shared/all.yml").open("a") as file:
        file.write("connection_kind: vendor\n")
    answers = ["Klant 201 B.V.", "00000003123", "00000003123456780000", "ebms.klant-201.nl"]  # the second is too short
    output = answered(["new", "klant-201", "--folder", str(customers)], answers)
    assert "has 11 characters; an OIN or HRN has 20 digits" in output
    assert "0 valid, 1 blanks, 0 refused" in output
    assert "connection_kind" not in (customers / "klant-201/customer.yml").read_text()


def answered(arguments: list[str], answers: list[str]) -> str:
    """Run the command on a terminal, type ``answers``, and return what was on the screen."""
    parent, child = pty.openpty()
    command: Any = subprocess.Popen(
        [sys.executable, "-m", "aansluitkit", *arguments], stdin=child, stdout=child, stderr=child, close_fds=True
    )
    os.close(child)
    os.write(parent, "".join(f"{answer}\n" for answer in answers).encode())
    screen = b""
    try:
        while part := os.read(parent, 65536):
            screen += part
    except OSError:
        pass  # the other end is closed: the command is done
    assert command.wait(WITHIN) == 0, screen.decode()
    os.close(parent)
    return screen.decode()


def test_what_if_for_people_and_machines(tmp_path: Path) -> None:
    arguments = (
        "what-if",
        "inventories",
        "--partner",
        "00000004999999001000",
        "--address",
        "198.51.100.3=198.51.100.99",
    )
    status, output, _ = run(*arguments, "--on", "2027-03-01", "--json", tmp_path / "answer.json")
    assert status == 0
    assert "2 touched, 3 not touched, 0 not asked" in output
    assert "by 2027-03-01: have 198.51.100.99 in connection_partner.inbound_addresses" in output
    assert f"write it in {ROOT / 'inventories/shared/example-preprod.yml'}:" in output
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert [one["customer"] for one in answer["impacts"]] == ["voorbeeldgemeente", "voorbeeldleverancier"]
    assert answer["impacts"][0]["touched"]["flows"] == [
        "ebms-outbound-adapter-preprod-1",
        "ebms-outbound-adapter-preprod-2",
    ]


def test_what_if_of_an_unknown_partner() -> None:
    status, _, error = run("what-if", "inventories", "--partner", "Logius", "--ends", "2027-03-01")
    assert status == 1
    assert "no connection has partner 'Logius'; known are " in error


@pytest.mark.parametrize("name", ["voorbeeldgemeente/preprod", "voorbeeldgemeente/production"])
def test_compliance_run_is_not_for_mijnoverheid(name: str) -> None:
    status, _, error = run("compliance", f"inventories/{name}")
    assert status == 1
    assert "the Compliancevoorziening alone" in error
    status, _, error = run("compliance", "inventories/voorbeeldgemeente/compliance")
    assert status == 2
    assert "is an example" in error


@pytest.mark.parametrize("command", ["deploy", "plan", "up"])
def test_examples_are_nowhere_deployed(command: str) -> None:
    status, _, error = run(command, "inventories/voorbeeldgemeente/preprod")
    assert status == 2
    assert "10-customer.yml:4: connection_example: is true" in error
    assert "is an example" in error


def test_an_unreadable_terminal_width_is_no_matter() -> None:
    assert run("check", "inventories/lab", COLUMNS="20")[0] == 0
