"""What is declared is in force, everything else is dropped, and nobody was locked out for long."""

import pytest

# The order that Debian's package ifupdown gives its unit.
NETWORKING = """[Unit]
DefaultDependencies=no
Wants=network.target
After=local-fs.target network-pre.target systemd-sysctl.service systemd-modules-load.service
Before=network.target shutdown.target network-online.target
Conflicts=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
"""


def chain_of(host, chain):
    return host.check_output(f"nft list chain inet aansluitkit {chain}")


@pytest.mark.parametrize("chain", ["input", "output", "forward"])
def test_everything_else_is_dropped(host, chain):
    assert "policy drop" in chain_of(host, chain)


@pytest.mark.parametrize(
    ("chain", "rule"),
    [
        ("input", "ip saddr 198.18.0.1 ip daddr 198.18.0.0/24 tcp dport 22"),
        ("output", "ip saddr 198.18.0.0/24 ip daddr 192.0.2.53 udp dport 53"),
        ("forward", "ip saddr @partner ip daddr 192.0.2.10 tcp dport 443 ct original ip daddr 198.18.0.251"),
        ("prerouting", "ip saddr @partner ip daddr 198.18.0.251 tcp dport 443 dnat ip to 192.0.2.10"),
        ("postrouting", "ip saddr 198.51.100.11 ip daddr @partner tcp dport 443 snat ip to 198.18.0.252"),
    ],
)
def test_declared_flow_is_in_force(host, chain, rule):
    assert rule in chain_of(host, chain)


def test_flow_between_two_hosts_is_an_element_that_counts(host):
    declared = host.check_output("nft list set inet aansluitkit forward")
    assert "198.51.100.11 . 198.51.100.70 . tcp . 5432 counter packets" in declared
    assert 'comment "database"' in declared
    assert "ip saddr . ip daddr . meta l4proto . th dport @forward accept" in chain_of(host, "forward")


def test_nothing_else_is_begun_here(host):
    def refused():
        return chain_of(host, "output").splitlines()[-3]

    before = refused()
    assert host.run("timeout 1 bash -c '</dev/tcp/198.18.0.1/8081'").rc != 0
    assert refused() != before


def test_declared_way_is_taken_and_no_other(host):
    assert "via 198.18.0.1 dev test" in host.check_output("ip route get 203.0.113.129")
    assert host.run("ip route get 203.0.113.1").rc != 0


def test_ranges_are_a_set(host):
    assert "203.0.113.100, 203.0.113.128/28" in host.check_output("nft list set inet aansluitkit partner")


def test_next_boot_has_the_rules_that_let_management_in(host):
    assert host.file("/etc/nftables.conf").contains('"configuration"')
    assert "198.18.0.0/24 tcp dport 22" in chain_of(host, "input")


def test_too_many_new_connections_are_dropped(host):
    """Each check comes over a connection that is there, so these are the only new ones from this address."""
    assert "limit rate over 5/second burst 10 packets" in chain_of(host, "outsiders")
    assert "198.18.0.1" in host.check_output("nft list set inet aansluitkit newcomers")


def test_ipv6_is_dropped_but_for_neighbour_discovery(host):
    assert "nd-neighbor-solicit" in chain_of(host, "input")
    assert "ip6" not in chain_of(host, "forward")


def test_addresses_and_forwarding(host):
    assert "198.18.0.251/32" in host.check_output("ip -4 address show dev test")
    assert host.sysctl("net.ipv4.ip_forward") == 1


@pytest.mark.parametrize("unit", ["nftables", "aansluitkit-addresses"])
def test_is_in_force_after_a_power_cut(host, unit):
    """The scenario cut the power last, so all tests above look at what a boot has put in force."""
    assert host.service(unit).is_enabled
    assert host.service(unit).is_running
    assert host.check_output("systemctl list-units --state=failed --no-legend --plain") == ""


@pytest.mark.parametrize("manager", ["systemd-networkd", "networking"])
def test_boot_has_no_ordering_cycle(host, manager):
    """With each of Debian's network managers."""
    folder = f"/run/boot-with-{manager}"
    host.check_output(f"mkdir -p {folder}/multi-user.target.wants {folder}/network-online.target.wants")
    if manager == "networking":
        host.check_output(f"printf '%%s' %s > {folder}/networking.service", NETWORKING)
        place = f"{folder}/networking.service"
        host.check_output(f"ln -sf {place} {folder}/network-online.target.wants/networking.service")
    else:
        place = "/lib/systemd/system/systemd-networkd.service"
    host.check_output(f"ln -sf {place} {folder}/multi-user.target.wants/{manager}.service")
    verified = host.run(f"SYSTEMD_UNIT_PATH={folder}: systemd-analyze verify --man=no multi-user.target")
    assert "cycle" not in verified.stderr
