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


def test_partner_has_its_chain(host):
    chain = f"{FOLDER}/partner.pem"
    assert host.run(f"openssl verify -CAfile {FOLDER}/trust.pem -untrusted {chain} {chain}").rc == 0


@pytest.mark.parametrize("layer", ["root", "domein", "tsp"])
def test_crl_is_published(host, layer):
    address = host.check_output("ip -4 -oneline address show dev test").split()[3].partition("/")[0]
    host.check_output(f"curl --silent --fail --output /tmp/{layer}.crl http://{address}/g4-{layer}.crl")
    assert "CRL Number" in host.check_output(f"openssl crl -inform DER -noout -text -in /tmp/{layer}.crl")


def test_publisher_is_in_a_sandbox(host):
    exposure = host.run("systemd-analyze security --threshold=25 aansluitkit-crl-publisher")
    assert exposure.rc == 0, exposure.stdout[-200:]


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem", "internal-key.pem"])
def test_former_ones_were_there_before_the_new_ones(host, name):
    """Who looks while files change finds at every moment what others still use."""
    former, new = host.file(f"{FOLDER}/former-{name}"), host.file(f"{FOLDER}/{name}")
    assert former.content_string != new.content_string
    assert host.run(f"find {FOLDER}/{name} -newer {FOLDER}/former-{name}").stdout
    assert (former.user, former.group, former.mode) == (new.user, new.group, new.mode)
    assert host.run(f"ls {FOLDER}/next-*").rc != 0
