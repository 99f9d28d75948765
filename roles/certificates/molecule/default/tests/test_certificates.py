"""Files are where the other roles look, and keys are nobody else's."""

import pytest

FOLDER = "/etc/aansluitkit/certificates"


@pytest.mark.parametrize("name", ["key.pem", "internal-key.pem"])
def test_key_is_for_its_group_alone(host, name):
    file = host.file(f"{FOLDER}/{name}")
    assert (file.user, file.group, file.mode) == ("root", "ssl-cert", 0o640)


@pytest.mark.parametrize("prefix", ["", "internal-"])
def test_chain_ends_in_trust(host, prefix):
    chain = f"{FOLDER}/{prefix}certificate.pem"
    assert host.run(f"openssl verify -CAfile {FOLDER}/{prefix}trust.pem -untrusted {chain} {chain}").rc == 0


def test_key_belongs_to_certificate(host):
    public = [f"openssl x509 -noout -pubkey -in {FOLDER}/certificate.pem", f"openssl pkey -pubout -in {FOLDER}/key.pem"]
    assert host.check_output(public[0]) == host.check_output(public[1])
