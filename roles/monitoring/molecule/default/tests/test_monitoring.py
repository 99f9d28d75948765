"""Prometheus asks, the hosts answer, and alerts say in two languages what is amiss and what to do."""

import json
import os
import time
from pathlib import Path

import pytest
import testinfra

HERE = Path(__file__).parent
CPA = "MIJNOVERHEID-LZ-LAB_00000099000000001000-00000099000000002000_0001"
SETTLED_SECONDS = 120


@pytest.fixture(scope="module")
def monitoring():
    return testinfra.get_host("ansible://monitoring", ansible_inventory=os.environ["MOLECULE_INVENTORY_FILE"])


@pytest.fixture(scope="module")
def monitored():
    return testinfra.get_host("ansible://monitored", ansible_inventory=os.environ["MOLECULE_INVENTORY_FILE"])


def address(host):
    return host.check_output("ip -4 -oneline address show dev test").split()[3].partition("/")[0]


def asked(host, path):
    return json.loads(host.check_output(f"curl --silent --show-error --get http://{address(host)}:9090/api/v1/{path}"))[
        "data"
    ]


def eventually(find, fits):
    until = time.monotonic() + SETTLED_SECONDS
    while not fits(found := find()):
        assert time.monotonic() < until, found
        time.sleep(1)
    return found


def metrics(host, port):
    return host.check_output(f"curl --silent --fail http://{address(host)}:{port}/metrics")


def test_everybody_answers(monitoring):
    def answering():
        found = asked(monitoring, "query --data-urlencode query=up")["result"]
        return {(each["metric"]["job"], each["metric"]["host"]) for each in found if each["value"][1] == "1"}

    eventually(answering, lambda found: found == {(job, "monitored") for job in ("host", "database", "adapter")})


def test_alert_tells_what_to_do_in_both_languages(monitoring):
    def firing():
        """What is amiss for a moment, on a busy machine, is pending at most."""
        return [alert for alert in asked(monitoring, "alerts")["alerts"] if alert["state"] == "firing"]

    [alert] = eventually(firing, lambda found: found)
    assert (alert["labels"]["alertname"], alert["labels"]["severity"]) == ("CertificateExpiresUrgent", "critical")
    said = alert["annotations"]
    assert said["samenvatting"].startswith("Het certificaat soon.pem op monitored verloopt over 9d")
    assert said["summary"].startswith("The certificate soon.pem on monitored expires in 9d")
    assert "docs/rotate.md" in said["actie"]
    assert "docs/rotate.md" in said["action"]


def test_alertmanager_is_told(monitoring, monitored):
    [known] = asked(monitoring, "alertmanagers")["activeAlertmanagers"]
    assert known["url"] == f"http://{address(monitored)}:9093/api/v2/alerts"


def test_alerts_fire_when_they_should(monitoring):
    copied = "cat > /run/alerts_test.yml <<'END'\n" + (HERE / "alerts_test.yml").read_text() + "END\n"
    assert monitoring.run(copied).rc == 0
    tried = monitoring.run("promtool test rules /run/alerts_test.yml")
    assert tried.rc == 0, tried.stdout


def test_dates_are_those_of_the_files(monitored):
    told = metrics(monitored, 9100)
    for name in ("certificate.pem", "internal-certificate.pem", "trust.pem", "soon.pem"):
        end = monitored.check_output(f"openssl x509 -enddate -noout -in /etc/aansluitkit/certificates/{name}")
        seconds = float(monitored.check_output(f"date +%s --date '{end.partition('=')[2]}'"))
        found = f'aansluitkit_certificate_expires_timestamp_seconds{{file="{name}"}} '
        [value] = [line.removeprefix(found) for line in told.splitlines() if line.startswith(found)]
        assert float(value) == seconds
    assert f'aansluitkit_cpa_ends_timestamp_seconds{{cpa="{CPA}"}} 2.0' in told


def test_failed_unit_is_told(monitored):
    monitored.run("systemd-run --unit aansluitkit-fails false")
    failed = '\nnode_systemd_unit_state{name="aansluitkit-fails.service",state="failed",type="simple"} 1\n'
    eventually(lambda: metrics(monitored, 9100), lambda found: failed in found)
    monitored.check_output("systemctl reset-failed aansluitkit-fails.service")


def test_host_tells_how_far_its_clock_is_off(monitored):
    assert "\nnode_timex_offset_seconds " in metrics(monitored, 9100)


def test_database_tells(monitored):
    told = metrics(monitored, 9187)
    assert "\npg_up 1\n" in told
    assert "pg_stat_archiver_failed_count" in told
    assert "pg_settings_max_connections" in told


def test_nothing_of_the_ping_is_left(monitored):
    assert "aansluitkit_ping" not in metrics(monitored, 9100)
    assert "aansluitkit-metrics.timer" in monitored.check_output("systemctl list-timers --all --no-legend")
    assert "ping" not in monitored.check_output("ls /etc/systemd/system /etc/systemd/system/timers.target.wants")


def test_nothing_listens_elsewhere(monitoring, monitored):
    for host, ports in ((monitoring, {9090}), (monitored, {9100, 9187})):
        for port in ports:
            found = host.check_output(f"ss --listening --tcp --numeric --no-header 'sport = :{port}'").split()
            assert found[3] == f"{address(host)}:{port}", found


def test_who_looks_sees_no_key(monitored):
    assert monitored.run("runuser -u aansluitkit-metrics -- cat /etc/aansluitkit/certificates/key.pem").rc != 0
    for unit in ("prometheus-node-exporter", "prometheus-postgres-exporter", "aansluitkit-metrics"):
        exposure = monitored.run(f"systemd-analyze security --threshold=25 {unit}")
        assert exposure.rc == 0, exposure.stdout[-200:]
        assert "ignoring" not in monitored.run(f"systemd-analyze verify {unit}.service").stderr
