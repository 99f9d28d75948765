"""Two name servers: what they say inside and outside, what they keep to themselves, and that the second follows."""

import pytest

NAME = "ebms.voorbeeldstad.test"
INSIDE, OUTSIDE, OTHER_NETWORK = "192.0.2.10", "203.0.113.10", "198.51.100.10"


def dig(host, *words):
    return host.check_output("dig +time=2 +tries=2 " + " ".join(words))


def own(host):
    return host.check_output("hostname -I").split()[0]


def other(host):
    """The address of the name server on the other host, for which this one is outside."""
    listed = host.check_output(
        "sed -n 's/.*\\(198.18.0.[0-9]*\\) key aansluitkit-external.*/\\1/p' /etc/bind/named.conf"
    )
    return listed.split()[0]


def test_inside_gets_inside_addresses(host):
    assert dig(host, "+short", NAME, f"@{own(host)}").strip() == INSIDE
    assert dig(host, "+short -x", INSIDE, f"@{own(host)}").strip() == f"{NAME}."


def test_inside_gets_foreign_names(host):
    """From a forwarder that knows nothing of DNSSEC."""
    assert dig(host, "+short ebms.partner.test", f"@{own(host)}").strip() == "198.51.100.129"


def test_other_zone_gets_foreign_names(host):
    """From the name server of the other host, which is in no network of this zone."""
    source = f"-b 10.20.2.{host.check_output('hostname')[-1]}"
    assert dig(host, "+short", source, "ebms.partner.test", f"@{other(host)}").strip() == "198.51.100.129"


def test_client_resolves_short_names(host):
    assert INSIDE in host.check_output("getent ahostsv4 ebms")


def test_outside_gets_outside_addresses_signed(host):
    answer = dig(host, "+dnssec", NAME, f"@{other(host)}")
    assert OUTSIDE in answer
    assert INSIDE not in answer
    assert "RRSIG" in answer


def test_other_network_gets_its_own_addresses_signed(host):
    """Also of the second name server, which has fetched each view by its own key."""
    answer = dig(host, "-b 127.0.0.2 +dnssec", NAME, "@127.0.0.1")
    assert OTHER_NETWORK in answer
    assert OUTSIDE not in answer
    assert "RRSIG" in answer


@pytest.mark.parametrize("source", ["", "-b 127.0.0.2"])
def test_signatures_hold(host, source):
    """Against the key that the DS record of the parent zone names, which is one for all who are outside."""
    server = "127.0.0.1" if source else other(host)
    key = dig(host, "+short voorbeeldstad.test DNSKEY", source, f"@{server}").split(None, 3)
    anchor = f'trust-anchors {{ voorbeeldstad.test. static-key {key[0]} {key[1]} {key[2]} "{key[3].strip()}"; }};'
    host.check_output("printf '%%s' %s > /tmp/anchor", anchor)
    delv = f"delv {source} -a /tmp/anchor +root=voorbeeldstad.test {NAME} @{server} 2>&1"
    assert "fully validated" in host.check_output(delv)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ("voorbeeldstad.test axfr", "Transfer failed"),
        ("-x 192.0.2.10", "REFUSED"),
        ("nl. NS", "REFUSED"),
        ("ns-1.voorbeeldstad.test", "203.0.113.53"),
    ],
)
def test_outside_gets_no_more(host, asked, refusal):
    assert refusal in dig(host, asked, f"@{other(host)}")


def test_zone_is_not_given_away_inside(host):
    assert "Transfer failed" in dig(host, "voorbeeldstad.test axfr", f"@{own(host)}")


def test_version_is_not_told(host):
    assert "9." not in dig(host, "+short version.bind txt chaos", f"@{other(host)}")


def test_unsigned_update_is_refused(host):
    script = "server {}\nzone voorbeeldstad.test\nupdate add x.voorbeeldstad.test 60 A 192.0.2.99\nsend\n"
    refused = host.run("printf '%%b' %s | nsupdate", script.format(own(host)))
    assert refused.rc != 0
    assert "REFUSED" in refused.stderr + refused.stdout


def test_keys_are_no_one_elses(host):
    folder = host.file("/var/lib/bind/aansluitkit-keys")
    assert (folder.user, folder.mode) == ("bind", 0o700)
    assert host.file("/etc/bind/aansluitkit-transfer.key").mode == 0o640


def test_survives_a_reboot(host):
    service = host.service("named")
    assert service.is_running
    assert service.is_enabled
