"""A connection goes on over the other firewall, also when only the side that did not begin it has something to say."""

import os
import time
from itertools import pairwise

import pytest
import testinfra

FIREWALLS = ("pair-first", "pair-second")
GATEWAY = " 198.18.0.254/"
SETTLED_SECONDS = 30
CUT_SECONDS = 15
# Says the time five times a second to whoever comes.
SERVE = """
import socket, time
with socket.create_server(("198.18.1.1", 9000)) as server:
    talking, _ = server.accept()
    while True:
        talking.send(b"%f\\n" % time.time())
        time.sleep(0.2)
"""
# Listens, says nothing, and writes down when it heard something.
LISTEN = """
import socket, time
with socket.create_connection(("198.18.1.1", 9000), timeout=60) as talking, open("/run/heard", "w") as heard:
    while talking.recv(4096):
        print(time.time(), file=heard, flush=True)
"""


@pytest.fixture(scope="module")
def hosts():
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    names = (*FIREWALLS, "pair-client", "pair-server")
    return {name: testinfra.get_host(f"ansible://{name}", ansible_inventory=inventory) for name in names}


def soon(what):
    until = time.monotonic() + SETTLED_SECONDS
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.2)
    return found


def active(hosts):
    held = [name for name in FIREWALLS if GATEWAY in hosts[name].check_output("ip -4 -oneline address show")]
    return held[0] if len(held) == 1 else ""


def heard(hosts):
    return [float(line) for line in hosts["pair-client"].run("cat /run/heard").stdout.split()]


@pytest.fixture(scope="module")
def talk(hosts):
    """The client is connected, and has heard something."""
    soon(lambda: active(hosts))
    for host, unit, code in (("pair-server", "serve", SERVE), ("pair-client", "listen", LISTEN)):
        hosts[host].check_output("systemd-run --unit=%s python3 -c %s", unit, code)
        time.sleep(1)
    return soon(lambda: heard(hosts))


def test_other_firewall_knows_the_connection(hosts, talk):
    other = next(name for name in FIREWALLS if name != active(hosts))
    soon(lambda: "dport=9000" in hosts[other].check_output("conntrackd -e"))


def test_connection_goes_on(hosts, talk):
    former = active(hosts)
    # It comes back by itself, as its only way in is cut too.
    hosts[former].check_output(
        "systemd-run --collect sh -c 'sleep 1; ip link set test down; sleep %s; ip link set test up'", str(CUT_SECONDS)
    )
    other = soon(lambda: (now := active_of_the_rest(hosts, former)) and now)
    moment = hosts[other].check_output("date +%s")
    soon(lambda: heard(hosts)[-1] > float(moment) + 1)
    times = heard(hosts)
    print(f"longest silence {max(after - before for before, after in pairwise(times)):.1f} s")
    time.sleep(CUT_SECONDS)  # until it can be asked again
    assert soon(lambda: active(hosts)) == other, "who comes back does not take over again"


def active_of_the_rest(hosts, former):
    other = next(name for name in FIREWALLS if name != former)
    return other if GATEWAY in hosts[other].check_output("ip -4 -oneline address show") else ""


@pytest.mark.parametrize("name", FIREWALLS)
@pytest.mark.parametrize("unit", ["conntrackd", "keepalived", "nftables"])
def test_survives_a_reboot(hosts, name, unit):
    assert hosts[name].service(unit).is_enabled
