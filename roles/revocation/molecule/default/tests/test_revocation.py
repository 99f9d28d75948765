"""The CRLs of all levels of both chains are here, fresh, and fetched from a sandbox."""

CRLS = "/var/lib/aansluitkit-crl/crls.pem"
FETCH = "aansluitkit-crl"


def journal(host):
    """The unit's last lines; the journal may still have to read what a process that has ended wrote."""
    host.check_output("journalctl --sync")
    return host.check_output(f"journalctl --unit {FETCH} --no-pager --lines 20 --output cat")


def test_crls_are_fetched_by_a_timer(host):
    assert host.service(f"{FETCH}.timer").is_enabled
    assert host.service(f"{FETCH}.timer").is_running
    file = host.file(CRLS)
    assert (file.user, file.mode) == (FETCH, 0o644)
    assert file.content_string.count("BEGIN X509 CRL") == 3


def test_unreachable_crl_is_told_and_the_old_one_stays(host):
    """And a fetch that brings all mends the unit."""
    before = host.file(CRLS).content_string
    host.check_output("systemctl stop aansluitkit-crl-publisher")
    assert host.run(f"systemctl start {FETCH}").rc != 0
    assert "http://crl.mijnoverheid.test/g4-tsp.crl can't be fetched from here: " in journal(host)
    assert host.file(CRLS).content_string == before
    host.check_output("systemctl start aansluitkit-crl-publisher")
    host.check_output(f"systemctl start {FETCH}")


def test_runs_as_nobody_in_particular(host):
    assert host.check_output(f"systemctl show --property=User --value {FETCH}") == FETCH
    exposure = host.run(f"systemd-analyze security --threshold=20 {FETCH}")
    assert exposure.rc == 0, exposure.stdout[-200:]


def test_systemd_understands_each_line(host):
    """What it can't read it passes over: a sandbox with a hole."""
    assert "ignoring" not in host.run(f"systemd-analyze verify {FETCH}.service").stderr
