"""SSH by keys alone, a careful kernel, security updates and nothing else, and the right time."""

import os

import pytest
import testinfra


@pytest.fixture(scope="module")
def hardened():
    return testinfra.get_host("ansible://hardening", ansible_inventory=os.environ["MOLECULE_INVENTORY_FILE"])


@pytest.mark.parametrize(
    "setting",
    [
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin without-password",
        "allowtcpforwarding no",
        "allowagentforwarding no",
        "x11forwarding no",
        "loglevel VERBOSE",
    ],
)
def test_ssh_is_as_declared(hardened, setting):
    assert setting in hardened.check_output("sshd -T").splitlines()


def test_only_a_key_is_asked_for(hardened):
    options = "-o PreferredAuthentications=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    refused = hardened.run(f"ssh {options} root@127.0.0.1 true || :")
    assert "Permission denied (publickey)." in refused.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net.ipv4.conf.all.accept_redirects", 0),
        ("net.ipv4.conf.all.send_redirects", 0),
        ("net.ipv4.conf.all.accept_source_route", 0),
        ("net.ipv4.tcp_syncookies", 1),
        ("net.ipv4.tcp_keepalive_time", 600),
    ],
)
def test_kernel_is_as_declared(hardened, name, value):
    assert hardened.sysctl(name) == value


def test_kernel_of_others_is_left_alone(hardened):
    declared = hardened.file("/etc/sysctl.d/60-aansluitkit.conf").content_string
    assert not [line for line in declared.splitlines() if line.startswith(("kernel.", "fs.", "net.core."))]


def test_security_updates_alone_are_installed(hardened):
    said = hardened.run("unattended-upgrade --dry-run --debug")
    told = said.stdout + said.stderr
    assert "Allowed origins are: origin=Debian,codename=bookworm-security,label=Debian-Security\n" in told
    assert "Initial blacklist: ^bind9 ^conntrackd ^haproxy ^keepalived ^nftables ^postgresql\n" in told


@pytest.mark.parametrize("timer", ["apt-daily.timer", "apt-daily-upgrade.timer"])
def test_updates_are_looked_for_each_night(hardened, timer):
    assert hardened.service(timer).is_enabled
    assert hardened.service(timer).is_running


def test_time_is_asked_of_the_declared_server(hardened):
    asked = hardened.run("chronyd -Q -t 20 -f /etc/chrony/chrony.conf")
    assert asked.rc == 0, asked.stderr
    assert "System clock wrong by" in asked.stdout + asked.stderr
