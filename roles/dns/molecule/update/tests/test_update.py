"""Records at a name server of others: entered, changed, left alone, and refused with a sentence that says why."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(os.environ["AANSLUITKIT_ROOT"])
SCENARIO = Path(__file__).parents[1]
CONTROLLER = "aansluitkit-test"  # the network namespace from which the hosts of scenarios are reached
KEY, WORD = "aansluitkit.gemeente.test", "one"
ENDPOINT, REVERSE = "ebms.lz.gemeente.test", "10.2.0.192.in-addr.arpa"


def record(name, value, kind="A"):
    return {"name": name, "type": kind, "value": value}


RECORDS = [record(ENDPOINT, "192.0.2.10"), record(REVERSE, ENDPOINT, "PTR")]


def update(*options, key=KEY, word=WORD, records=RECORDS):
    given = json.dumps({"key": key, "word": word, "records": records})
    words = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], "--extra-vars", given, *options]
    command = ["ip", "netns", "exec", CONTROLLER, *words, str(SCENARIO / "update.yml")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def given(host, name, kind="A"):
    return host.check_output(f"dig +short {name} {kind} @127.0.0.1").split()


def test_records_are_entered_once_and_others_stay(host):
    status, said = update("--check", "--diff")
    assert status == 0, said
    assert f"+{ENDPOINT} A 192.0.2.10" in said
    assert given(host, ENDPOINT) == []
    status, said = update()
    assert (status, "changed=1" in said) == (0, True), said
    assert given(host, ENDPOINT) == ["192.0.2.10"]
    assert given(host, REVERSE, "PTR") == [f"{ENDPOINT}."]
    status, said = update()
    assert (status, "changed=0" in said) == (0, True), said
    assert update(records=[record(ENDPOINT, "192.0.2.11")])[0] == 0
    assert given(host, ENDPOINT) == ["192.0.2.11"]
    assert given(host, "www.gemeente.test") == ["192.0.2.80"]
    assert update()[0] == 0


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"key": "other.gemeente.test"}, "does not know key other.gemeente.test with hmac-sha256"),
        ({"word": "three"}, "has another secret for key aansluitkit.gemeente.test"),
        ({"key": "reader.gemeente.test", "word": "two"}, "have its operator allow this key to change these names"),
        ({"records": [*RECORDS, record("www.gemeente.test", "192.0.2.81")]}, "nothing of it was changed there"),
        ({"records": [record("ebms.elders.test", "192.0.2.10")]}, "has no zone that ebms.elders.test lies in"),
        ({"records": [record("alias.gemeente.test", "192.0.2.10")]}, "is an alias (CNAME)"),
    ],
)
def test_refusal_is_explained(host, changed, sentence):
    records = changed.get("records", [record(ENDPOINT, "192.0.2.99")])
    status, said = update(**{**changed, "records": records})
    assert status != 0
    assert sentence in said
    assert "Traceback" not in said
    assert given(host, ENDPOINT) == ["192.0.2.10"]


def test_silent_name_server_is_told(host):
    host.check_output("systemctl stop named")
    status, said = update()
    host.check_output("systemctl start named")
    assert status != 0
    assert "can't be reached on TCP port 53" in said
