"""What is written is archived; the passphrase is for root and PostgreSQL alone."""

import json


def test_repository_is_in_order(host):
    info = json.loads(host.check_output("runuser -u postgres -- pgbackrest --output=json info"))
    assert [stanza["status"]["code"] for stanza in info] == [0]
    assert info[0]["cipher"] == "aes-256-cbc"


def test_segments_are_archived(host):
    host.check_output("runuser -u postgres -- pgbackrest --stanza=aansluitkit check")


def test_passphrase_is_kept_from_others(host):
    settings = host.file("/etc/pgbackrest.conf")
    assert (settings.mode, settings.user, settings.group) == (0o640, "root", "postgres")
    assert "of this test" not in host.check_output("ps -eo args")
