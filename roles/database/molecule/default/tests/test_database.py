"""The owner gets in over TLS with its password, and nobody else at all."""

import pytest

PASSWORD = 'it\'s a "secret" of this test'  # noqa: S105


@pytest.fixture
def address(host):
    return host.check_output("ip -4 -oneline address show dev test").split()[3].partition("/")[0]


def login(host, address, password=PASSWORD, user="ebms_adapter", mode="verify-ca"):
    trust = "/etc/aansluitkit/certificates/internal-trust.pem"
    place = f"host={address} user={user} dbname=ebms_adapter sslmode={mode} sslrootcert={trust}"
    return host.run("PGPASSWORD=%s psql --no-password --tuples-only --command=%s %s", password, "select 1", place)


def test_owner_gets_in(host, address):
    assert login(host, address).stdout.strip() == "1"


def test_wrong_password_does_not(host, address):
    assert "password authentication failed" in login(host, address, password="wrong").stderr  # noqa: S106


def test_plain_connection_does_not(host, address):
    assert "no encryption" in login(host, address, mode="disable").stderr


def test_superuser_does_not(host, address):
    assert "no pg_hba.conf entry" in login(host, address, user="postgres").stderr


def test_survives_a_reboot(host):
    assert host.service("postgresql").is_enabled
