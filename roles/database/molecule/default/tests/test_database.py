"""Each role gets in over TLS, where and as far as it is to. After a promotion one host is the primary, one follows."""

import pytest

SECRETS = {
    "ebms_adapter": 'it\'s a "secret" of this test',
    "ebms_adapter_owner": "another: secret\\",
    "replication": "a third: secret\\",
}
PRIMARY = "database-2"  # since the promotion


@pytest.fixture
def address(host):
    return host.check_output("ip -4 -oneline address show dev test").split()[3].partition("/")[0]


def psql(host, address, statement, user="ebms_adapter", password=None, options="sslmode=verify-full"):
    trust = "/etc/aansluitkit/certificates/internal-trust.pem"
    place = (
        f"host=db.voorbeeldstad.test hostaddr={address} user={user} dbname=ebms_adapter {options} sslrootcert={trust}"
    )
    command = "PGPASSWORD=%s psql --no-password --tuples-only --no-align --command=%s %s"
    return host.run(command, password or SECRETS.get(user, "x"), statement, f"{place} {options} sslrootcert={trust}")


def local(host, user, statement, database="postgres"):
    return host.run(f"runuser -u {user} -- psql --tuples-only --no-align --command=%s --dbname={database}", statement)


@pytest.fixture
def _primary(host):
    if host.check_output("hostname") != PRIMARY:
        pytest.skip("a standby changes nothing")


@pytest.mark.parametrize("user", ["ebms_adapter", "ebms_adapter_owner"])
def test_role_gets_in(host, address, user):
    assert psql(host, address, "select 1", user).stdout.strip() == "1"


def test_wrong_password_does_not(host, address):
    assert "password authentication failed" in psql(host, address, "select 1", password="wrong").stderr  # noqa: S106


def test_plain_connection_does_not(host, address):
    assert "no encryption" in psql(host, address, "select 1", options="sslmode=disable").stderr


@pytest.mark.parametrize("user", ["postgres", "backup", "monitoring", "replication"])
def test_others_do_not(host, address, user):
    assert "no pg_hba.conf entry" in psql(host, address, "select 1", user).stderr


@pytest.mark.usefixtures("_primary")
def test_adapter_has_rows_and_no_tables(host, address):
    assert psql(host, address, "create table if not exists row (x int)", "ebms_adapter_owner").rc == 0
    assert psql(host, address, "insert into row values (1) returning x").stdout.split()[0] == "1"
    for statement in ("create table mine (x int)", "drop table row", "truncate row"):
        assert (
            "permission denied" in psql(host, address, statement).stderr
            or "must be owner" in psql(host, address, statement).stderr
        )


def test_monitoring_sees_statistics_and_no_rows(host):
    host.run("useradd --system prometheus")
    assert local(host, "prometheus", "select 1 from pg_stat_activity limit 1", "postgres -U monitoring").stdout
    refused = local(host, "prometheus", "select * from pg_authid", "postgres -U monitoring").stderr
    assert "permission denied" in refused


@pytest.mark.usefixtures("_primary")
def test_backup_may_do_no_more(host):
    assert local(host, "postgres", "select pg_create_restore_point('x')", "postgres -U backup").rc == 0
    assert "permission denied" in local(host, "postgres", "select pg_promote()", "postgres -U backup").stderr


def test_adapters_get_so_many_connections(host):
    limit = "select rolconnlimit from pg_roles where rolname = 'ebms_adapter'"
    assert int(local(host, "postgres", limit).stdout) == 32
    assert int(local(host, "postgres", "show max_connections").stdout) > 32


def test_primary_waits_for_the_standby(host):
    followers = local(host, "postgres", "select application_name, sync_state from pg_stat_replication").stdout.strip()
    primary = host.check_output("hostname") == PRIMARY
    assert followers == ("database|sync" if primary else "")
    assert local(host, "postgres", "select pg_is_in_recovery()").stdout.strip() == ("f" if primary else "t")


def test_survives_a_reboot(host):
    assert host.service("postgresql").is_enabled
    assert host.service("postgresql@15-main").is_enabled
