"""TLS goes through to the server that is ready; nothing else goes through."""

import pytest


@pytest.fixture
def address(host):
    return host.check_output("ip -4 -oneline address show dev test").split()[3].partition("/")[0]


def connect(host, address, name):
    return host.run(f"openssl s_client -connect {address}:443 {name} </dev/null 2>&1").stdout


@pytest.mark.parametrize("name", ["-servername ebms.voorbeeldstad.test", "-noservername"])
def test_tls_goes_through(host, address, name):
    assert "CN = ebms.voorbeeldstad.test" in connect(host, address, name)


def test_other_name_is_refused(host, address):
    assert "no peer certificate" in connect(host, address, "-servername other.test")


def test_plain_http_is_refused(host, address):
    assert host.run(f"curl --silent --max-time 10 http://{address}:443/").rc != 0


def test_tells_of_itself(host, address):
    """Its health to this host, and its figures to those who may ask: nobody, here."""
    own = "curl --silent --fail --max-time 10 http://127.0.0.1:8404"
    assert host.run(f"{own}/health").rc == 0
    assert 'haproxy_server_status{proxy="adapters",server="ready",state="UP"} 1' in host.check_output(f"{own}/metrics")
    assert host.run(f"{own}/").rc != 0
    assert host.run(f"curl --silent --max-time 10 http://{address}:8404/metrics").rc != 0


def test_survives_a_reboot(host):
    service = host.service("haproxy")
    assert service.is_running
    assert service.is_enabled
