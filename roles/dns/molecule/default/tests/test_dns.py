"""The name server answers for its zone, and this host asks it."""


def test_record_is_answered(host):
    assert host.check_output("dig +short ebms.voorbeeldstad.test") == "203.0.113.10"


def test_client_resolves_short_names(host):
    assert "203.0.113.10" in host.check_output("getent ahostsv4 ebms")


def test_zone_is_not_given_away(host):
    assert "Transfer failed" in host.check_output("dig voorbeeldstad.test axfr")


def test_survives_a_reboot(host):
    service = host.service("named")
    assert service.is_running
    assert service.is_enabled
