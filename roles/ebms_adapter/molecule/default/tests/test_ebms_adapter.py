"""The adapter runs in its sandbox and lets in whom it should."""

import pytest

CERTIFICATES = "/etc/aansluitkit/certificates"
UNIT = "aansluitkit-adapter"


@pytest.fixture
def address(host):
    return host.check_output("ip -4 -oneline address show dev test").split()[3].partition("/")[0]


@pytest.fixture
def _embedded(host):
    if host.file("/opt/aansluitkit/current/ebms-admin.jar").exists:
        pytest.skip("ebms-admin reads its certificates once, and no CRLs")


def fetch(host, address, port, name, trust, options=""):
    place = f"--cacert {CERTIFICATES}/{trust} --resolve {name}:{port}:{address} https://{name}:{port}"
    return host.run(
        f"curl --silent --show-error --output /dev/null --write-out '%{{http_code}}' {options} {place}/ebms"
    )


def ebms(host, address, options=""):
    return fetch(host, address, 443, "ebms.mijnoverheid.test", "trust.pem", options)


def journal(host, unit):
    """The unit's last lines; the journal may still have to read what a process that has ended wrote."""
    host.check_output("journalctl --sync")
    return host.check_output(f"journalctl --unit {unit} --no-pager --lines 20 --output cat")


def test_certificate_gets_in(host, address):
    own = f"--cert {CERTIFICATES}/certificate.pem --key {CERTIFICATES}/key.pem"
    assert ebms(host, address, own).stdout in ("405", "500")  # no adapter takes a GET


@pytest.mark.usefixtures("_embedded")
def test_revoked_certificate_does_not(host, address):
    revoked = "--cert /tmp/revoked/certificate.pem --key /tmp/revoked/key.pem"
    assert "revoked" in ebms(host, address, revoked).stderr
    assert "certificate revoked" in journal(host, UNIT)


def test_no_certificate_does_not(host, address):
    assert "alert" in ebms(host, address).stderr


@pytest.mark.parametrize("version", ["--tls-max 1.1", "--tls-max 1.2 --ciphers ECDHE-RSA-AES256-SHA384"])
def test_weak_tls_does_not(host, address, version):
    assert ebms(host, address, version).rc != 0


def test_rest_wants_a_password(host, address):
    answer = fetch(host, address, 8080, "mijnoverheid.voorbeeldstad.test", "internal-trust.pem")
    assert answer.stdout == "401"


def test_is_ready(host, address):
    assert host.run(f"curl --silent --fail http://{address}:8008/health/ready").rc == 0


def test_runs_as_nobody_in_particular(host):
    assert host.check_output(f"systemctl show --property=User --value {UNIT}") == "aansluitkit"
    exposure = host.run(f"systemd-analyze security --threshold=20 {UNIT}")
    assert exposure.rc == 0, exposure.stdout[-200:]


def test_systemd_understands_each_line(host):
    """What it can't read it passes over: a sandbox with a hole."""
    assert "ignoring" not in host.run(f"systemd-analyze verify {UNIT}.service").stderr


@pytest.mark.usefixtures("_embedded")
def test_reload_restarts_nothing(host):
    """And a certificate that is there anew is noted as read."""
    process = host.check_output(f"systemctl show --property=MainPID --value {UNIT}")
    host.check_output(f"systemctl reload {UNIT}")
    assert host.check_output(f"systemctl show --property=MainPID --value {UNIT}") == process
    assert host.service(UNIT).is_running


def test_settings_are_for_the_adapter_alone(host):
    files = "/etc/aansluitkit -path '*/certificates' -prune -o -type f"
    assert "/etc/aansluitkit/rest-password" in host.check_output(f"find {files} -print").split()
    others = host.check_output(rf"find {files} -not \( -user root -group aansluitkit -not -perm /027 \) -print")
    assert others == ""


def test_password_is_not_in_the_process_list(host):
    assert "a password of this test" not in host.check_output("ps -eww -o args,environ")


def test_survives_a_reboot(host):
    assert host.service(UNIT).is_enabled
