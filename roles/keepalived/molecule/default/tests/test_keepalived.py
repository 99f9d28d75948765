"""One host has the shared addresses; another takes over when it stops or fails its check, and nobody else can."""

import json
import os
import time

import pytest
import testinfra

SHARED = {"198.18.0.253", "198.18.0.254"}
FIRST, SECOND, STRANGER = "shared-first", "shared-second", "shared-stranger"
SETTLED_SECONDS = 30
# Version 3, router 7, the highest priority, one shared address; the checksum is over the pseudo header too.
FORGE = """
import socket, struct, sys
own, other = sys.argv[1:]
body = struct.pack("!BBBBHH4s", 0x31, 7, 254, 1, 1, 0, socket.inet_aton("198.18.0.253"))
whole = socket.inet_aton(own) + socket.inet_aton(other) + struct.pack("!HH", 112, len(body)) + body
total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
total = (total >> 16) + (total & 0xFFFF)
total = ~(total + (total >> 16)) & 0xFFFF
sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
for _ in range(10):
    sender.sendto(body[:6] + struct.pack("!H", total) + body[8:], (other, 0))
"""


@pytest.fixture(scope="module")
def hosts():
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    return {
        name: testinfra.get_host(f"ansible://{name}", ansible_inventory=inventory) for name in (FIRST, SECOND, STRANGER)
    }


def own(host):
    return host.check_output("ip -4 -oneline address show dev test").split()[3].partition("/")[0]


def addresses(host):
    found = json.loads(host.check_output("ip -json -4 address show dev test"))
    return {info["local"] for entry in found for info in entry.get("addr_info", [])}


def holder(hosts):
    """Who has the shared addresses, once one host has them all and the others none."""
    until = time.monotonic() + SETTLED_SECONDS
    while True:
        having = {name: addresses(hosts[name]) & SHARED for name in (FIRST, SECOND)}
        names = [name for name, found in having.items() if found]
        if len(names) == 1 and having[names[0]] == SHARED:
            return names[0]
        assert time.monotonic() < until, having
        time.sleep(0.2)


def moved(hosts, former):
    """Who has them now, which is not ``former``."""
    until = time.monotonic() + SETTLED_SECONDS
    while (now := holder(hosts)) == former:
        assert time.monotonic() < until
    return now


def told(host, state):
    """Whether the last that was told is ``state``, soon."""
    until = time.monotonic() + SETTLED_SECONDS
    while not host.check_output("tail -1 /run/told").startswith(f"GROUP service {state}"):
        assert time.monotonic() < until, host.check_output("cat /run/told")
        time.sleep(0.2)
    return True


def test_one_host_has_all_addresses(hosts):
    holder(hosts)


def test_another_takes_over_and_keeps_them(hosts):
    former = holder(hosts)
    hosts[former].check_output("systemctl stop keepalived")
    now = moved(hosts, former)
    assert told(hosts[now], "MASTER")
    hosts[former].check_output("systemctl start keepalived")
    time.sleep(4)  # longer than a takeover takes
    assert holder(hosts) == now


def test_failed_check_gives_them_up(hosts):
    former = holder(hosts)
    hosts[former].check_output("rm /srv/wanted")
    now = moved(hosts, former)
    assert told(hosts[former], "FAULT")
    hosts[former].check_output("touch /srv/wanted")
    assert moved(hosts, "") == now


def test_stranger_takes_nothing(hosts):
    former = holder(hosts)
    here, there = own(hosts[STRANGER]), own(hosts[former])
    sent = hosts[STRANGER].run("python3 -c %s %s %s", FORGE, here, there)
    assert sent.rc == 0, sent.stderr
    assert holder(hosts) == former
    assert told(hosts[former], "MASTER")


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_survives_a_reboot(hosts, name):
    service = hosts[name].service("keepalived")
    assert service.is_running
    assert service.is_enabled
