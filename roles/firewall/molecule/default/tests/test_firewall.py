"""What is declared is in force, everything else is dropped."""

import pytest


@pytest.mark.parametrize("chain", ["input", "forward"])
def test_everything_else_is_dropped(host, chain):
    assert "policy drop" in host.check_output(f"nft list chain inet aansluitkit {chain}")


@pytest.mark.parametrize(
    ("chain", "rule"),
    [
        ("input", "ip saddr 198.18.0.1 ip daddr 198.18.0.0/24 tcp dport 22"),
        ("forward", "ip saddr 203.0.113.100 ip daddr 192.0.2.10 tcp dport 443 ct original ip daddr 198.18.0.251"),
        ("prerouting", "ip saddr 203.0.113.100 ip daddr 198.18.0.251 tcp dport 443 dnat ip to 192.0.2.10"),
        ("postrouting", "ip saddr 198.51.100.11 ip daddr 203.0.113.100 tcp dport 443 snat ip to 198.18.0.252"),
    ],
)
def test_declared_flow_is_in_force(host, chain, rule):
    assert rule in host.check_output(f"nft list chain inet aansluitkit {chain}")


def test_addresses_and_forwarding(host):
    assert "198.18.0.251/32" in host.check_output("ip -4 address show dev test")
    assert host.sysctl("net.ipv4.ip_forward") == 1


@pytest.mark.parametrize("unit", ["nftables", "aansluitkit-addresses"])
def test_survives_a_reboot(host, unit):
    assert host.service(unit).is_enabled
