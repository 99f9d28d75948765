"""Who may come in reaches the adapter, with the certificate in the header; the load balancer refuses all others."""

import time
from urllib.parse import quote

import pytest

NAME = "ebms.voorbeeldstad.test"
HEADER = "X-SSL-Client-Cert"
PARTNER = "mijnoverheid"
SETTLED_SECONDS = 30


@pytest.fixture
def address(host):
    return host.check_output("ip -4 -oneline address show dev test").split()[3].partition("/")[0]


def post(host, address, client="", options="", name=NAME):
    """Status, body and complaint of something that is no ebMS, sent with the certificate in folder ``client``."""
    own = f"--cert /srv/{client}/certificate.pem --key /srv/{client}/key.pem" if client else ""
    done = host.run(
        f"curl --silent --show-error --max-time 20 --cacert /etc/aansluitkit/certificates/trust.pem {own} {options} "
        f"--data '<not-ebms/>' --header 'Content-Type: text/xml' --write-out '\n%{{http_code}}' "
        f"--resolve {name}:443:{address} https://{name}/ebms"
    )
    body, _, status = done.stdout.rpartition("\n")
    return status, body, done.stderr


def reached_the_adapter(answer):
    """The adapter says 403 when no certificate was passed on, and else what is wrong with the message."""
    status, _, complaint = answer
    return status in ("400", "415", "500") and not complaint


def test_partner_gets_in(host, address):
    answer = post(host, address, PARTNER)
    assert reached_the_adapter(answer), answer


@pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max 1.2"])
def test_allowed_version(host, address, version):
    answer = post(host, address, PARTNER, version)
    assert reached_the_adapter(answer), answer


@pytest.mark.parametrize(
    "options", ["--tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0", "--tls-max 1.2 --ciphers ECDHE-RSA-AES256-SHA384"]
)
def test_old_tls_is_refused(host, address, options):
    status, _, complaint = post(host, address, PARTNER, options)
    assert status == "000"
    assert "alert" in complaint


@pytest.mark.parametrize(
    ("client", "alert"),
    [
        ("", "certificate required"),
        ("refused-foreign-authority", "unknown ca"),
        ("refused-expired", "certificate expired"),
        ("refused-revoked", "certificate revoked"),
    ],
)
def test_tls_refuses(host, address, client, alert):
    status, _, complaint = post(host, address, client)
    assert status == "000"
    assert alert in complaint


def test_another_oin_is_refused(host, address):
    status, body, _ = post(host, address, "refused-wrong-oin")
    assert status == "403"
    assert "load balancer" in body


def test_another_name_is_refused(host, address):
    status, _, _ = post(host, address, PARTNER, "--insecure", name="other.test")
    assert status == "000"


@pytest.mark.parametrize("name", [HEADER, HEADER.lower()])
def test_forged_header_is_dropped(host, address, name):
    answer = post(host, address, PARTNER, f"--header '{name}: forged'")
    assert reached_the_adapter(answer), answer


def test_adapter_believes_the_load_balancer_alone(host, address):
    """The very header that the load balancer would set, from another address."""
    pem = host.check_output("openssl x509 -in /srv/%s/certificate.pem", PARTNER)

    def direct(options):
        return host.check_output(
            f"curl --silent {options} --header '{HEADER}: {quote(pem)}' --header 'Content-Type: text/xml' "
            f"--data '<not-ebms/>' --output /dev/null --write-out '%{{http_code}}' http://{address}:8443/ebms"
        )

    assert direct("--interface 127.0.0.1") == "403"
    assert direct(f"--interface {address}") in ("400", "415", "500")


def test_new_crl_is_read(host):
    def last_read():
        return host.check_output("systemctl show --property ExecMainStartTimestampMonotonic aansluitkit-haproxy-crl")

    before = last_read()
    host.check_output("echo >> /var/lib/aansluitkit-crl/crls.pem")
    until = time.monotonic() + SETTLED_SECONDS
    while last_read() == before:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert host.service("haproxy").is_running


def test_nobody_else_reads_the_key(host):
    assert host.file("/etc/haproxy/endpoint.pem").mode == 0o600
