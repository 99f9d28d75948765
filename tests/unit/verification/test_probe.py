"""What the probe says of a firewall, in a network of its own."""

from __future__ import annotations

import base64
import inspect
import json
import re
import socket
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from aansluitkit.connection import Connection
from aansluitkit.connection.rule_places import rules_file
from aansluitkit.project import ROOT
from aansluitkit.verification import probe

_APART = ["unshare", "--net", "sh", "-e", "-c"]


def ask(shell: str, request: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The probe's answer to ``request`` in a network of its own, after ``shell``."""
    if subprocess.run([*_APART, "nft list ruleset"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace with nftables can be made here")
    (tmp_path / "request").write_text(json.dumps(request))
    code = "import json, sys; sys.path.insert(0, sys.argv[2]); import probe; request = json.load(open(sys.argv[1])); "
    code += "print(json.dumps(getattr(probe, request.pop('do'))(**request)))"
    asking = f'{sys.executable} -c "{code}" {tmp_path}/request {Path(probe.__file__).parent}'
    done = subprocess.run([*_APART, f"{shell}; {asking}"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


RULE = "nft -a list chain inet aansluitkit forward | sed -n 's/.*\"ebms-outbound-adapter-1\" # handle //p'"
CHANGES = [
    ("", [], []),
    ("nft add rule inet aansluitkit forward udp dport 40000 accept", ["udp dport 40000 accept"], []),
    ("nft add chain inet aansluitkit other '{ type filter hook input priority 10; }'", ["other"], []),
    ("nft add element inet aansluitkit partner_outbound '{ 203.0.113.200 }'", ["203.0.113.200"], ["203.0.113.100"]),
    (
        f"nft delete rule inet aansluitkit forward handle $({RULE})",
        [],
        ["forward: ip saddr 198.51.100.11 ", "ebms-outbound-adapter-1"],
    ),
    (
        "nft delete element inet aansluitkit forward '{ 198.51.100.11 . 198.51.100.70 . tcp . 5432 }'",
        [],
        ['forward: 198.51.100.11 . 198.51.100.70 . tcp . 5432 counter comment "adapter-1-db-tcp-5432"'],
    ),
    (
        "nft add element inet aansluitkit forward '{ 198.51.100.20 . 198.51.100.70 . tcp . 5432 }'",
        ["forward: 198.51.100.20 . 198.51.100.70 . tcp . 5432 counter"],
        [],
    ),
    ("nft chain inet aansluitkit forward '{ policy accept; }'", ["policy accept"], ["policy drop"]),
    ("nft delete table inet aansluitkit", ["No such file"], ["adapter-1-db-tcp-5432"]),
    (
        "nft add table ip other; nft add chain ip other c '{ type nat hook prerouting priority 0; }'",
        ["table ip other, chain c of type nat"],
        [],
    ),
    # What the rules collect themselves is no difference.
    ("nft add element inet aansluitkit newcomers '{ 203.0.113.9 limit rate over 5/second }'", [], []),
]


@pytest.mark.parametrize(("change", "undeclared", "missing"), CHANGES, ids=[row[0][:60] for row in CHANGES])
def test_rules_that_differ_are_told(
    lab_connection: Connection, tmp_path: Path, change: str, undeclared: list[str], missing: list[str]
) -> None:
    declared = rules_file(lab_connection, lab_connection.hosts["fw"])
    (tmp_path / "declared.nft").write_text(declared)
    shell = f"nft -f {tmp_path}/declared.nft; {change or 'true'}"
    answer = ask(shell, {"do": "rules", "declared": declared}, tmp_path)
    for kind, words in (("undeclared", undeclared), ("missing", missing)):
        assert bool(answer[kind]) == bool(words), answer[kind]
        assert all(word in "\n".join(answer[kind]) for word in words), answer[kind]


def test_counted_connections_are_told_by_rule(lab_connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "declared.nft").write_text(rules_file(lab_connection, lab_connection.hosts["db"]))
    answer = ask(f"nft -f {tmp_path}/declared.nft", {"do": "counters"}, tmp_path)
    assert ["input", "adapter-1-db-tcp-5432", 0] in answer["counted"]
    assert ["output", "db-ns-udp-53", 0] in answer["counted"]


def test_questions_end_as_they_do(tmp_path: Path) -> None:
    """Over UDP an answer, an ICMP message and silence differ; so does what never left the host."""
    targets = [["127.0.0.1", port] for port in (9, 10000, 5353, 11000)]
    shell = "ip link set lo up; nft add table t; nft add chain t c '{ type filter hook input priority 0; }'; "
    shell += "nft add rule t c udp dport 10000 drop; nft add chain t o '{ type filter hook output priority 0; }'; "
    shell += "nft add rule t o udp dport 11000 drop; "
    server = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 5353))\n"
    server += "while True: s.sendto(*s.recvfrom(99))"
    shell += f'{sys.executable} -c "{server}" & server=$!; trap "kill $server" EXIT; until ss -lun | grep -q :5353; '
    shell += "do sleep 0.1; done"
    answer = ask(shell, {"do": "query", "targets": targets, "timeout": 1}, tmp_path)
    assert answer["outcomes"] == ["refused", "filtered", "open", "filtered"]


def test_time_server_is_asked_for_the_time(tmp_path: Path) -> None:
    """It answers nothing else."""
    server = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 123))\n"
    server += (
        "while True:\n asked, who = s.recvfrom(99)\n if len(asked) == 48 and asked[0] == 0x23: s.sendto(asked, who)"
    )
    shell = f'ip link set lo up; {sys.executable} -c "{server}" & server=$!; trap "kill $server" EXIT; '
    shell += "until ss -lun | grep -q :123; do sleep 0.1; done"
    answer = ask(shell, {"do": "query", "targets": [["127.0.0.1", 123]], "timeout": 1}, tmp_path)
    assert answer["outcomes"] == ["open"]


def test_connections_end_as_they_do(tmp_path: Path) -> None:
    """More targets than files may be open, most of them dropped."""
    dropped = [["127.0.0.1", port] for port in range(10000, 10300)]
    targets = [["127.0.0.1", 9], *dropped, ["127.0.0.1", 8080], ["198.51.100.1", 80]]
    shell = "ip link set lo up; nft add table t; nft add chain t c '{ type filter hook input priority 0; }'; "
    shell += "nft add rule t c tcp dport 10000-10299 drop; ulimit -n 128; "
    shell += f"{sys.executable} -m http.server 8080 --directory {tmp_path} >/dev/null 2>&1 & server=$!; "
    shell += "trap 'kill $server' EXIT; until nc -z 127.0.0.1 8080; do sleep 0.1; done"
    answer = ask(shell, {"do": "connect", "targets": targets, "timeout": 0.5}, tmp_path)
    assert answer["outcomes"] == ["refused", *["filtered"] * 300, "open", "unreachable"]


HEAD = b"\0\0\x84\0\0\1\0\2\0\0\0\0"  # an answer with a question and two records
QUESTION = b"\4ebms\4test\0\0\1\0\1"
SIGNED = b"\xc0\x0c\0\x2e\0\1\0\0\0\x3c\0\2xx"


def told(message: bytes, kind: int) -> dict[str, Any] | None:
    """What the probe makes of ``message``."""
    here, there = socket.socketpair(type=socket.SOCK_DGRAM)
    with here, there:
        there.send(message)
        found: dict[str, Any] | None = probe._answer(here, 0, b"", kind)
        return found


def test_dns_answer_is_read() -> None:
    address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\x0a"
    pointer = b"\xc0\x0c\0\x0c\0\1\0\0\0\x3c\0\5\2ns\xc0\x11"
    assert told(HEAD + QUESTION + address + SIGNED, 1) == {"code": 0, "values": ["203.0.113.10"], "signed": True}
    assert told(HEAD + QUESTION + pointer + SIGNED, 12) == {"code": 0, "values": ["ns.test"], "signed": True}
    assert told(b"\0\0\x84\3\0\1\0\0\0\0\0\0" + QUESTION, 1) == {"code": 3, "values": [], "signed": False}


@pytest.mark.parametrize(
    "message",
    [
        b"",
        HEAD,
        HEAD + QUESTION + SIGNED,
        HEAD.replace(b"\0\0\x84", b"\0\1\x84") + QUESTION + SIGNED + SIGNED,
        HEAD + b"\xc0\x0c\0\1\0\1" + SIGNED + SIGNED,
        HEAD + QUESTION + b"\xff" * 40,
    ],
    ids=["empty", "head", "cut off", "another's", "name that leads to itself", "noise"],
)
def test_what_is_no_dns_answer_is_none(message: bytes) -> None:
    assert told(message, 1) is None


def test_everything_that_is_asked_of_the_probe_it_does() -> None:
    """What ``tests/verify`` and the package name, held against the functions of the probe."""
    files = [*(ROOT / "tests/verify").glob("*.py"), *(ROOT / "src/aansluitkit").rglob("*.py")]
    asked = {name for file in files for name in re.findall(r'\.probe\(\s*[\w.]+,\s*"(\w+)"', file.read_text())}
    known = {name for name, value in vars(probe).items() if inspect.isfunction(value)}
    assert {"ask", "resolvers", "connect"} <= asked <= known


def test_request_of_the_command_line_is_answered() -> None:
    for request in ({"do": "ask", "questions": []}, {"do": "resolvers"}):
        words = [sys.executable, probe.__file__, base64.b64encode(zlib.compress(json.dumps(request).encode())).decode()]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert set(json.loads(done.stdout)) <= {"answers", "servers"}
