"""The adapter has the CPA."""

import json


def test_cpa_is_loaded(host):
    address = host.check_output("ip -4 -oneline address show dev test").split()[3].partition("/")[0]
    name = "mijnoverheid.voorbeeldstad.test:8080"
    trust = "/etc/aansluitkit/certificates/internal-trust.pem"
    command = (
        f"curl --silent --cacert {trust} --resolve {name}:{address} --user ebms:%s https://{name}/service/rest/v19/cpas"
    )
    found = json.loads(host.check_output(command, "a password of this test"))
    assert found == ["MIJNOVERHEID-LZ-LAB_00000099000000001000-00000099000000002000_0001"]
