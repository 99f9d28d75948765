"""The lab as a user has it: made, made again, damaged, mended, and gone without a trace.

The tests build on each other, in the order of this file. Those marked ``long`` take too much time for each
commit: ``make long`` runs them too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from aansluitkit.connection import load_connection
from aansluitkit.drill.balance import Streams, drilled, under_load
from aansluitkit.drill.drills import DRILLS
from aansluitkit.drill.ground import Ground
from aansluitkit.lab import container, network
from aansluitkit.lab.ansible import PLAIN, in_lab
from aansluitkit.lab.podman import VOLATILE, containers
from aansluitkit.lab.renewal import VARIABLES
from aansluitkit.project import ROOT
from aansluitkit.verification.site import Site
from aansluitkit.wheelhouse import wheelhouse

INVENTORY = "inventories/lab"
CERTIFICATES = "/etc/aansluitkit/certificates"
OFFLOAD = ROOT / INVENTORY / "group_vars/all/tls.yml"  # what has the load balancers end TLS, for some of the tests
HOME = {".cache"}  # what the user's home folder holds beside the caches, before the lab


def kit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["aansluitkit", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def run(words: list[str], environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of Ansible's, in the lab's own way unless ``environment`` says another."""
    environment = {**os.environ, **(environment or in_lab())}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def on(host: str, command: str) -> str:
    """Run ``command`` on ``host``, as an administrator would."""
    module = ("--module-name", "ansible.builtin.shell", "--args", command)
    words = ["ansible", "--inventory", INVENTORY, host, "--become", *module]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def lab() -> Iterator[str]:
    """From nothing to a lab; what is said on the way."""
    kit("lab", "down")
    OFFLOAD.unlink(missing_ok=True)
    HOME.update(path.name for path in Path.home().iterdir())
    made = kit("lab", "up", INVENTORY)
    print(made.stdout)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr
    yield made.stdout
    kit("lab", "down")
    OFFLOAD.unlink(missing_ok=True)


def proved() -> set[str]:
    """The checks of the lab's last report, all of which passed."""
    report = json.loads((ROOT / ".lab/report/report.json").read_text())
    assert report["failed"] == report["skipped"] == 0
    return {check["id"] for check in report["checks"]}


def made_and_proved() -> set[str]:
    """Bring the lab to what its inventory declares now, and return the checks that prove it."""
    made = kit("lab", "up", INVENTORY)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr
    return proved()


def test_lab_is_proved(lab: str) -> None:
    assert {"inbound.pong_goes_back", "outbound.pong_comes_back.adapter-1"} <= proved()
    assert (ROOT / ".lab/report/report.html").is_file()
    assert "proved" in lab


def test_second_run_changes_nothing() -> None:
    again = kit("lab", "up", INVENTORY)
    assert again.returncode == 0
    assert re.search(r"s\] \d+ unchanged", again.stdout)
    assert "0 tasks changed something" in again.stdout


def test_one_run_at_a_time() -> None:
    first = subprocess.Popen(["aansluitkit", "lab", "up", INVENTORY], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    while "landscape" not in first.stdout.readline():
        assert first.poll() is None
    second = kit("lab", "up", INVENTORY)
    first.stdout.close()
    first.kill()
    first.wait()
    assert second.returncode == 1
    assert "another run" in second.stderr


def verify(only: str) -> dict[str, Any]:
    """What failed, by check."""
    path = ROOT / ".lab/report/cut.json"
    done = kit("verify", INVENTORY, "--json", str(path), "-k", only)
    report = json.loads(path.read_text())
    assert done.returncode == (1 if report["failed"] else 0)
    return {check["id"]: check for check in report["checks"] if check["result"] == "failed"}


def without_record(view: str, zone: str, name: str) -> str:
    """A command that takes ``name`` out of ``zone`` as a person would: with a new serial number, and no cache left."""
    file = f"/var/lib/bind/aansluitkit-{view}-{zone}.zone"
    raised = f"serial=$(sed -n 's/.* SOA .*( \\([0-9]*\\) .*/\\1/p' {file})"
    return f'{raised} && sed -i "/^{name}[.]/d; s/( $serial /( $((serial + 1)) /" {file} && rndc reload && rndc flush'


CUTS = [
    (
        "fw",
        "nft delete rule inet aansluitkit forward handle "
        "$(nft -a list chain inet aansluitkit forward | sed -n 's/.*\"ebms-inbound\" # handle //p')",
        "test_inbound",
        "inbound.firewall_lets_partner_in",
        ("firewall fw", "ebms-inbound", "Netwerkbeheer"),
    ),
    (
        "ns",
        without_record("external", "voorbeeldstad.test", "ebms"),
        "test_inbound",
        "inbound.endpoint_resolves",
        ("name server ns", "ebms.voorbeeldstad.test resolves to nothing"),
    ),
    (
        "lb-1",
        "sed -i '/server adapter-1 /d' /etc/haproxy/haproxy.cfg && systemctl reload haproxy",
        "test_inbound",
        "inbound.load_balancer_uses.adapter-1-lb-1",
        ("load balancer lb-1", "adapter-1", "not among its servers", "Platformbeheer"),
    ),
    (
        "adapter-1",
        f"rm {CERTIFICATES}/certificate.pem {CERTIFICATES}/key.pem && cp {CERTIFICATES}/internal-certificate.pem "
        f"{CERTIFICATES}/certificate.pem && cp {CERTIFICATES}/internal-key.pem {CERTIFICATES}/key.pem",
        "test_outbound",
        "outbound.our_certificate_is_accepted.adapter-1",
        ("client certificate of adapter-1", "Platformbeheer"),
    ),
]


@pytest.mark.parametrize(
    ("host", "cut", "path", "check", "words"), CUTS, ids=["rule", "record", "backend", "certificate"]
)
def test_cut_part_is_named(host: str, cut: str, path: str, check: str, words: tuple[str, ...]) -> None:
    on(host, cut)
    failed = verify(path)
    assert list(failed) == [check]
    message = failed[check]["message"]
    assert all(word in message for word in words), message
    mend(message)
    assert verify(path) == {}


def mend(message: str) -> None:
    """Do what the check advises."""
    advice = message[message.index("ansible-playbook") :].partition(";")[0].partition(", or")[0]
    mended = run(advice.split())
    assert mended.returncode == 0, mended.stdout[-3000:]


ASKED = "test_names or endpoint_resolves or partner_resolves"
PARTNER_SOUGHT = {"outbound.partner_resolves.adapter-1", "outbound.partner_resolves.adapter-2"}
RECORDS: list[tuple[str, str, str, set[str]]] = [
    ("internal", "voorbeeldstad.test", "db.voorbeeldstad.test", set()),
    ("internal", "2.0.192.in-addr.arpa", "53.2.0.192.in-addr.arpa", set()),
    ("internal", "mijnoverheid.test", "ebms.mijnoverheid.test", PARTNER_SOUGHT),
    ("external", "mijnoverheid.test", "crl.mijnoverheid.test", set()),
    ("external", "voorbeeldstad.test", "ebms.voorbeeldstad.test", {"inbound.endpoint_resolves"}),
]


def test_record_that_is_gone_fails_its_own_checks_alone() -> None:
    """One of each kind, one after another; each check names the record and the server that lacks it."""
    known: set[str] = set()
    advice = ""
    for view, zone, name, others in RECORDS:
        on("ns", without_record(view, zone, name.partition(".")[0]))
        failed = verify(ASKED)
        own = f"names.record_is_given.{view}-{name}"
        assert set(failed) - known == {own, *others}
        assert f"record {name} is missing" in failed[own]["message"]
        assert all("name server ns" in check["message"] for check in failed.values())
        known |= set(failed)
        advice = failed[own]["message"]
    mend(advice)
    assert verify(ASKED) == {}


def test_name_server_that_is_silent_is_named() -> None:
    on("ns", "systemctl stop named")
    failed = verify(ASKED)
    hosts = {*load_connection(ROOT / INVENTORY).hosts} - {"controller"}
    silent = {f"names.resolver_answers.{host}" for host in hosts}
    assert set(failed) == {*silent, *PARTNER_SOUGHT, "inbound.endpoint_resolves"}
    assert "gives db nothing" in failed["names.resolver_answers.db"]["message"]
    on("ns", "systemctl start named")
    assert verify(ASKED) == {}


def test_way_that_leads_elsewhere_is_named() -> None:
    on("adapter-1", "ip route add 203.0.113.100 via 198.51.100.20")
    failed = verify("way_out")
    assert set(failed) == {"outbound.way_out_is_the_firewall.adapter-1"}
    assert "via 198.51.100.20" in failed["outbound.way_out_is_the_firewall.adapter-1"]["message"]
    on("adapter-1", "ip route delete 203.0.113.100")
    assert verify("way_out") == {}


@pytest.mark.parametrize("host", ["fw", "db"])
def test_rule_stands_where_it_is_told(host: str) -> None:
    told = json.loads(kit("flows", INVENTORY, "--json", "-").stdout)["flows"]
    rules = [rule for flow in told for rule in flow["rules"] if rule["where"] == f"{host} /etc/nftables.conf"]
    written = dict(line.split(":", 1) for line in on(host, "grep --line-number . /etc/nftables.conf").splitlines()[1:])
    assert rules
    assert {written[str(rule["line"])].strip(" ,") for rule in rules} == {rule["rule"] for rule in rules}


IN_FORCE = "zones.rules_in_force_are_the_declared_ones"
# On each host the rule that is added, and the checks that find it by traffic: none while another firewall still stands.
OPENINGS = [
    ({"fw": "forward ip daddr 198.51.100.70 tcp dport 3306 accept"}, {}),
    ({"fw": "forward udp dport 40000 accept"}, {}),
    (
        {"fw": "forward ip daddr 192.0.2.53 tcp dport 8081 accept", "ns": "input tcp dport 8081 accept"},
        {"zones.nothing_else_passes.mijnoverheid": "ns 192.0.2.53:8081 (tcp)"},
    ),
    (
        {"fw": "forward ip daddr 192.0.2.53 udp dport 514 accept", "ns": "input udp dport 514 accept"},
        {"zones.nothing_else_passes.mijnoverheid": "ns 192.0.2.53:514 (udp)"},
    ),
    (
        {"app": "output tcp dport 22 accept", "adapter-1": "input tcp dport 22 accept"},
        {"zones.neighbours_refuse_the_rest.app": "adapter-1 198.51.100.11:22 (tcp)"},
    ),
]


def test_undeclared_openings_are_found() -> None:
    """Each is named where it stands, and those that let anything through also by what comes through."""
    added = [(host, rule) for rules, _ in OPENINGS for host, rule in rules.items()]
    seen = [found for _, traffic in OPENINGS for found in traffic.items()]
    for host, rule in added:
        on(host, f"nft add rule inet aansluitkit {rule}")
    failed = verify("test_flows")
    assert set(failed) == {f"{IN_FORCE}.{host}" for host, _ in added} | {check for check, _ in seen}
    assert all(rule.partition(" ")[2] in failed[f"{IN_FORCE}.{host}"]["message"] for host, rule in added)
    assert all(words in failed[check]["message"] for check, words in seen)
    mend(failed[f"{IN_FORCE}.fw"]["message"])
    for host, _ in added:
        on(host, "nft --file /etc/nftables.conf")
    assert verify("test_flows") == {}


def test_rule_that_is_gone_fails_its_own_checks_alone() -> None:
    on("fw", "nft delete element inet aansluitkit forward '{ 198.51.100.20 . 192.0.2.53 . tcp . 53 }'")
    failed = verify("test_flows")
    assert set(failed) == {"zones.declared_flow_passes.app-ns-tcp-53", f"{IN_FORCE}.fw"}
    assert all("app-ns-tcp-53" in check["message"] for check in failed.values())
    assert all(check["message"].startswith("firewall fw: ") for check in failed.values())
    mend(failed[f"{IN_FORCE}.fw"]["message"])


def holder(address: str, former: str = "") -> str:
    """The load balancer that has ``address``, once one has it that is not ``former``."""
    until = time.monotonic() + 60
    while True:
        found = [host for host in ("lb-1", "lb-2") if address in on(host, "ip -4 -oneline address show")]
        if len(found) == 1 and found[0] != former:
            return found[0]
        assert time.monotonic() < until, found


def test_another_load_balancer_takes_over() -> None:
    """While HAProxy stands still where the address was, messages come in by the other; the proof says what is amiss."""
    address = str(load_connection(ROOT / INVENTORY).load_balancer_address)
    former = holder(address)
    on(former, "systemctl stop haproxy")
    holder(address, former)
    assert verify("pong_goes_back") == {}
    failed = verify("sharing")
    assert set(failed) == {f"sharing.load_balancer_works.{former}"}
    mend(failed[f"sharing.load_balancer_works.{former}"]["message"])
    assert verify("sharing or pong_goes_back") == {}


def test_status_tells_what_is_amiss(tmp_path: Path) -> None:
    """Before, while a node stands still, and afterwards."""
    whole = kit("status", INVENTORY, "--html", str(tmp_path / "status.html"))
    assert whole.returncode == 0, whole.stdout
    assert (tmp_path / "status.html").read_text().count("<tr>") > len(load_connection(ROOT / INVENTORY).hosts)
    on("adapter-1", "systemctl stop aansluitkit-adapter && sleep 5")  # the load balancers have to notice
    amiss = kit("status", INVENTORY, "--json", "-")
    on("adapter-1", "systemctl start aansluitkit-adapter")
    assert amiss.returncode == 1
    findings = json.loads(amiss.stdout)["findings"]
    problems = [finding for finding in findings if finding["verdict"] == "problem"]
    assert [(problem["where"], problem["what"]) for problem in problems] == [("adapter-1", "adapter")]
    assert {finding["where"] for finding in findings if finding["found"] == "adapter-1 is DOWN"} == {"lb-1", "lb-2"}
    until = time.monotonic() + 60
    while kit("status", INVENTORY).returncode:
        assert time.monotonic() < until


def test_every_profile_is_played_both_ways(tmp_path: Path) -> None:
    """The whole compliance run, with the stand-in as Compliancevoorziening; afterwards nothing of it is left."""
    played = kit("compliance", INVENTORY, "--json", "-", "--html", str(tmp_path / "rapport.html"))
    assert played.returncode == 0, played.stdout + played.stderr
    report = json.loads(played.stdout)
    assert (report["failed"], report["not_played"]) == (0, 0)
    assert report["passed"] == len(report["outcomes"])
    assert (tmp_path / "rapport.html").is_file()
    assert verify("test_inbound or test_outbound") == {}


def test_cut_cpa_is_named() -> None:
    cpa = load_connection(ROOT / INVENTORY).cpa.id
    on(
        "adapter-1",
        "curl --fail --silent --show-error --request DELETE --user ebms:$(cat /etc/aansluitkit/rest-password) "
        f"--cacert {CERTIFICATES}/internal-trust.pem --resolve adapter-1.voorbeeldstad.test:8080:198.51.100.11 "
        f"https://adapter-1.voorbeeldstad.test:8080/service/rest/v19/cpas/{cpa}",
    )
    failed = verify("test_inbound or test_outbound")
    assert set(failed) >= {"inbound.cpa_admits_partner", "outbound.adapter_has_cpa.adapter-1"}
    assert {check["hop"] for check in failed.values()} == {"cpa"}
    assert all(cpa in check["message"] for check in failed.values())


def test_drift_is_planned_and_mended() -> None:
    """A rule added by hand, a container that is gone, a namespace that is gone, and the CPA of the test before."""
    on("fw", "nft add rule inet aansluitkit forward tcp dport 7 counter accept")
    container.remove(network.namespace_of("lb-2"))
    network.remove(network.namespace_of("app"))
    planned = kit("plan", INVENTORY)
    assert planned.returncode == 1, planned.stdout + planned.stderr
    assert "to create" in planned.stdout
    assert all(f" {host}" in planned.stdout.splitlines()[-1] for host in ("fw", "adapter-1")), planned.stdout
    mended = kit("up", INVENTORY)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "dport 7 " not in on("fw", "nft list ruleset")
    configured = kit("deploy", INVENTORY, "--limit", "lb-2:app")  # which were made anew
    assert configured.returncode == 0, configured.stdout[-3000:] + configured.stderr
    assert verify("") == {}


def rotate(stage: str, limit: str = "all", environment: Mapping[str, str] | None = None) -> None:
    options = ("--limit", limit, "--extra-vars", f"certificates_stage={stage}")
    done = play("rotate.yml", *options, environment=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def renewal(action: str, generation: str, *options: str) -> None:
    words = [sys.executable, "-m", "aansluitkit.lab.renewal", action, INVENTORY, "--generation", generation, *options]
    subprocess.run(words, cwd=ROOT, check=True)


def cpas(host: str) -> list[str]:
    """The ids of the CPAs that the adapter on ``host`` has."""
    place = {"adapter-1": "198.51.100.11", "mijnoverheid": "203.0.113.100"}[host]
    credentials = f"--cacert {CERTIFICATES}/internal-trust.pem --user ebms:$(cat /etc/aansluitkit/rest-password)"
    resolve = f"--resolve {host}.voorbeeldstad.test:8080:{place}"
    answer = on(host, f"curl -sSf {credentials} {resolve} https://{host}.voorbeeldstad.test:8080/service/rest/v19/cpas")
    return list(json.loads(answer[answer.index("[") :]))


ENDPOINT = "endpoint"  # as the partner sees it


def shown(host: str) -> str:
    """Serial number and signature algorithm of the certificate that new connections to ``host`` get to see."""
    places = {
        "mijnoverheid": "203.0.113.100:443",
        "adapter-1": "198.51.100.11:8443",
        "adapter-2": "198.51.100.12:8443",
        ENDPOINT: f"{load_connection(ROOT / INVENTORY).inbound_address}:443",
    }
    command = f"openssl s_client -connect {places[host]} </dev/null 2>/dev/null"
    asker = "mijnoverheid" if host == ENDPOINT else host
    return on(asker, f"{command} | openssl x509 -noout -serial -text | grep -E 'serial=|Signature Algorithm'")


def test_unknown_next_certificate_is_named() -> None:
    """One side trusts what comes next and the other does not: the switch would break the connection."""
    renewal("order", "g1")
    rotate("current", "partner")  # where the authorities publish their CRLs
    rotate("trust", "adapter")
    failed = verify("next_")
    nodes = ("adapter-1", "adapter-2")
    assert set(failed) == {f"outbound.next_certificate_is_accepted.{node}" for node in nodes}
    assert all("refuses it" in check["message"] for check in failed.values())
    rotate("trust")
    assert verify("next_") == {}


def renewed(generation: str, rate: int, hosts: Sequence[str], work: Callable[[Streams], None]) -> None:
    """Renew both parties' certificates by ``work``, with ``rate`` messages per second each way, and pings.

    ``hosts`` show other ones afterwards than before.
    """
    before = {host: shown(host) for host in hosts}
    former = load_connection(ROOT / INVENTORY).cpa.id
    with under_load(load_connection(ROOT / INVENTORY), rate, pings=True) as streams:
        work(streams)
    print(streams.balances)
    assert all(balance.unnoticed and balance.pings for balance in streams.balances.values()), streams.balances
    for host, certificate in before.items():
        assert shown(host) != certificate
        assert ("rsassaPss" in shown(host)) is (generation == "g4")
    assert cpas("adapter-1") == cpas("mijnoverheid") == [load_connection(ROOT / INVENTORY).cpa.id] != [former]
    assert verify("") == {}


@pytest.mark.parametrize(("generation", "rate"), [("g1", 5), pytest.param("g4", 20, marks=pytest.mark.long)])
def test_rotation_goes_unnoticed(generation: str, rate: int) -> None:
    """To the other generation of PKIoverheid, back and forth, with as many messages and pings as are asked for."""
    former = load_connection(ROOT / INVENTORY).cpa.id

    def work(streams: Streams) -> None:
        renewal("order", generation)
        rotate("current")  # it is declared, and not begun
        assert cpas("adapter-1") == cpas("mijnoverheid") == [former]
        rotate("trust")
        assert cpas("adapter-1") == cpas("mijnoverheid") == [former, following()]
        assert verify("next_") == {}
        rotate("use", "adapter", PLAIN)  # the stage that matters most, as a user types it
        rotate("trust", "adapter")  # back, and forth again
        rotate("use", "adapter")
        streams.switch(following())
        rotate("use", "partner")
        renewal("adopt", generation)
        rotate("current")

    renewed(generation, rate, ("adapter-1", "adapter-2", "mijnoverheid"), work)


def following() -> str:
    """The id of the CPA that comes next."""
    renewal = load_connection(ROOT / INVENTORY).renewal
    assert renewal
    return renewal.cpa.id


@pytest.mark.long
def test_partner_alone_renews_unnoticed() -> None:
    before = {host: shown(host) for host in ("adapter-1", "mijnoverheid")}

    def work(streams: Streams) -> None:
        renewal("order", "g1", "--party", "partner")
        rotate("trust")
        assert verify("next_") == {}
        rotate("use", "partner")
        streams.switch(following())
        renewal("adopt", "g1")
        rotate("current")

    with under_load(load_connection(ROOT / INVENTORY), 5, pings=True) as streams:
        work(streams)
    print(streams.balances)
    assert all(balance.unnoticed and balance.pings for balance in streams.balances.values()), streams.balances
    assert shown("adapter-1") == before["adapter-1"]
    assert shown("mijnoverheid") != before["mijnoverheid"]
    assert verify("") == {}


def play(
    playbook: str, *options: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return run(["ansible-playbook", "--inventory", INVENTORY, f"playbooks/{playbook}", *options], environment)


def databases() -> dict[str, str]:
    """What PostgreSQL is on each host of the database."""
    return {host: on(host, "aansluitkit-database-state").split()[-1] for host in ("db", "db-2")}


def test_promotion_loses_and_doubles_nothing() -> None:
    """Handed over and back, and taken over from a primary that is gone, with messages in both directions."""
    before = databases()
    primary = next(host for host, state in before.items() if state == "primary")

    def work() -> None:
        handed_over = play("promote.yml")
        assert handed_over.returncode == 0, handed_over.stdout[-3000:]
        assert databases() == {host: "standby" if state == "primary" else "primary" for host, state in before.items()}
        standing = next(host for host in before if host != primary)
        container.remove(network.namespace_of(standing))
        refused = play("promote.yml")
        assert refused.returncode != 0
        assert f"-e database_gone={standing}" in " ".join(refused.stdout.split())
        taken_over = play("promote.yml", "--extra-vars", f"database_gone={standing}")
        assert "Promote the standby" in taken_over.stdout, taken_over.stdout[-3000:]
        assert on(primary, "aansluitkit-database-state").endswith("primary\n")

    connection = load_connection(ROOT / INVENTORY)
    with closing(Site(connection, INVENTORY)) as site:
        ground = Ground(Path(INVENTORY), drilled(connection), site)
        with ground.agreement(), under_load(ground.connection, 10) as streams:  # retries are seconds apart, not hours
            work()
    print(streams.balances)
    assert all(balance.whole for balance in streams.balances.values()), streams.balances
    again = kit("lab", "up", INVENTORY)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    assert databases() == before


# One drill of each kind: a node, the balancer, the database, the partner, a disk and a playbook that is broken off.
SAMPLE = [
    "adapters_killed",
    "load_balancer_killed",
    "database_killed",
    "partner_down",
    "partner_disk_full",
    "playbook_broken_off",
]
OTHERS = [drill.name for drill in DRILLS if drill.name not in SAMPLE]


@pytest.mark.parametrize("names", [SAMPLE, pytest.param(OTHERS, marks=pytest.mark.long)], ids=["sample", "others"])
def test_drills_lose_and_double_nothing(names: list[str]) -> None:
    held = kit("drill", INVENTORY, *names, "--rate", "3", "--json", "-")
    assert held.returncode == 0, held.stdout[-3000:] + held.stderr[-3000:]
    report = json.loads(held.stdout)
    assert (report["failed"], report["passed"]) == (0, len(names))
    assert {(drill["lost"], drill["doubled"]) for drill in report["drills"]} == {(0, 0)}


def test_backup_is_restored_and_equal() -> None:
    """What came after it is gone, which has to be said twice; all else is as it was, and the connection works."""
    made = play("backup.yml")
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr
    [backup] = [folder for folder in (ROOT / ".lab/backups/lab.lab").iterdir() if folder.suffix != ".partial"]
    refused = play("restore.yml", "--extra-vars", f"backup={backup}")
    assert refused.returncode != 0
    assert "messages, which a restore discards; nothing was changed" in " ".join(refused.stdout.split())
    assert verify("pong_goes_back") == {}
    twice = "restore_over=lab.lab restore_discards=messages"
    options = ("--extra-vars", f"backup={backup} {twice}")
    done = play("restore.yml", *options, environment=PLAIN)  # as a user types it
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert verify("") == {}


def release(folder: Path, name: str, code: str) -> Path:
    """The packages of the adapter that is deployed, under another name, with ``code`` in its main module."""
    python = container.run_in(network.namespace_of("adapter-1"), "python3 --version").split()[1]
    archive = wheelhouse(python.rpartition(".")[0])
    wheels = folder / name
    subprocess.run(["tar", "--extract", "--file", archive, "--one-top-level=" + str(wheels)], check=True)
    [wheel] = (wheels / "wheels").glob("aansluitkit-*.whl")
    with zipfile.ZipFile(wheel) as former:
        content = {each: former.read(each) for each in former.namelist()}
    head = "from __future__ import annotations\n"
    content[MAIN] = content[MAIN].replace(head.encode(), f"{head}{code}\n".encode(), 1)
    with zipfile.ZipFile(wheel, "w") as changed:
        for each, data in content.items():
            changed.writestr(each, data)
    made = folder / f"aansluitkit-{name}.tar"
    subprocess.run(["tar", "--create", "--file", str(made), "--directory", str(wheels), "wheels"], check=True)
    return made


def upgrade(packages: Path) -> subprocess.CompletedProcess[str]:
    return play("upgrade.yml", "--extra-vars", f"ebms_adapter_packages={packages}")


MAIN = "aansluitkit/ebms/__main__.py"


def test_upgrade_goes_unnoticed_and_a_broken_release_goes_back(tmp_path: Path) -> None:
    """Two nodes to another release, and one to a release that does not start, while messages go both ways."""
    nodes = ("adapter-1", "adapter-2")
    connection = drilled(load_connection(ROOT / INVENTORY))
    with (
        closing(Site(connection, INVENTORY)) as site,
        Ground(ROOT / INVENTORY, connection, site).agreement(),
        under_load(connection, 3) as streams,
    ):
        done = upgrade(release(tmp_path, "changed", "RELEASE = 'changed'"))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        assert all("aansluitkit-changed" in on(node, "readlink /opt/aansluitkit/current") for node in nodes)
        broken = upgrade(release(tmp_path, "broken", "raise SystemExit('this release is broken')"))
        assert broken.returncode != 0
        said = " ".join(broken.stdout.split())
        assert "adapter-1 did not come up with the new release and runs the former one again" in said, said[-3000:]
        assert "this release is broken" in said
        assert all("aansluitkit-changed" in on(node, "readlink /opt/aansluitkit/current") for node in nodes)
    assert all(balance.whole for balance in streams.balances.values()), streams.balances
    assert '"outcome": "failed"' in on("adapter-2", "tail -n 1 /var/log/aansluitkit-deployments.jsonl")


def asked(path: str) -> Any:
    """What Prometheus answers."""
    answer = on("mon", f"curl --silent --show-error --get http://198.51.100.131:9090/api/v1/{path}")
    return json.loads(answer[answer.index("{") :])["data"]


def pongs() -> dict[str, str]:
    """Whether each adapter got its last Pong, as Prometheus heard of it."""
    result = asked("query --data-urlencode query=aansluitkit_ping_success")["result"]
    return {found["metric"]["host"]: found["value"][1] for found in result}


def sounds(alert: dict[str, Any]) -> bool:
    """Whether it is more than suspected, and does not tell for an hour of what the tests before did."""
    return alert["state"] == "firing" and alert["labels"]["alertname"] not in {"DeliveryFailed", "RenewalRefused"}


def test_monitoring_knows_all_that_alerts_and_dashboard_ask() -> None:
    """Each metric that is asked for is there, both adapters get their Pong, and nothing is amiss any more."""
    on("adapter", "systemctl start aansluitkit-metrics aansluitkit-ping")
    files = ROOT / "roles/monitoring/files"
    rules = yaml.safe_load((files / "alerts.yml").read_text())["groups"]
    panels = json.loads((files / "dashboard.json").read_text())["panels"]
    expressions = [rule["expr"] for group in rules for rule in group["rules"]]
    expressions += [target["expr"] for panel in panels for target in panel.get("targets", [])]
    wanted = {name for each in expressions for name in re.findall(r"\b(?:aansluitkit|ebms|haproxy|node|pg)_\w+", each)}
    known = set(asked("label/__name__/values"))
    assert {"aansluitkit_ping_success", "ebms_messages", "haproxy_server_status"} <= wanted
    assert wanted - known == set()
    until = time.monotonic() + 120  # it asks and judges every 30 seconds
    while alerts := [alert["labels"] for alert in asked("alerts")["alerts"] if sounds(alert)]:
        assert time.monotonic() < until, alerts
        time.sleep(2)
    while pongs() != {"adapter-1": "1", "adapter-2": "1"}:
        assert time.monotonic() < until, pongs()
        time.sleep(2)


def test_bad_inventory_changes_nothing(tmp_path: Path) -> None:
    before = {host["Id"] for host in containers(network.PREFIX)}
    folder = tmp_path / "lab"
    subprocess.run(["cp", "-r", ROOT / INVENTORY, folder], check=True)
    variables = folder / "group_vars/all/customer.yml"
    variables.write_text(variables.read_text().replace("00000099000000001000", "123"))
    refused = kit("lab", "up", str(folder))
    assert refused.returncode == 2
    assert "connection_organisation.oin" in refused.stderr
    assert str(variables) in refused.stderr
    assert {host["Id"] for host in containers(network.PREFIX)} == before


@pytest.mark.long
def test_tls_ends_at_the_load_balancers() -> None:
    """Where that is declared it is deployed and proved: who refuses whom, and that no header is believed."""
    OFFLOAD.write_text("---\nconnection_tls_ends_at: load_balancer\n")
    assert "revocation.crls_are_fresh.lb-1" in made_and_proved()


@pytest.mark.long
def test_load_balancer_that_lets_everybody_in_is_named() -> None:
    for host in ("lb-1", "lb-2"):
        on(host, "sed -i '/deny_status 403/d' /etc/haproxy/haproxy.cfg && systemctl reload haproxy")
    failed = verify("test_inbound")
    assert set(failed) == {"inbound.wrong_oin_is_refused"}
    message = failed["inbound.wrong_oin_is_refused"]["message"]
    assert message.startswith("load balancer: ")
    mend(message)
    assert verify("test_inbound") == {}


@pytest.mark.long
def test_rotation_goes_unnoticed_where_load_balancers_end_tls() -> None:
    """Back to the first generation."""

    def work(streams: Streams) -> None:
        renewal("order", "g4")
        rotate("trust")
        assert verify("next_") == {}
        rotate("use", "adapter:load_balancer")
        streams.switch(following())
        rotate("use", "partner")
        renewal("adopt", "g4")
        rotate("current")

    renewed("g4", 5, (ENDPOINT, "mijnoverheid"), work)


def migration(action: str) -> None:
    subprocess.run([sys.executable, "-m", "aansluitkit.lab.migration", action, INVENTORY], cwd=ROOT, check=True)


@pytest.mark.long
def test_tls_ends_at_the_adapters_again() -> None:
    """No certificate, key or CRL stays on a load balancer."""
    OFFLOAD.unlink()
    made_and_proved()
    for host in ("lb-1", "lb-2"):
        places = f"{CERTIFICATES} /etc/haproxy/*.pem /var/lib/aansluitkit-crl /etc/systemd/system/*crl*"
        left = on(host, f"ls -d {places} 2>/dev/null || true")
        assert "/" not in left, left
        assert ".service" not in on(host, "systemctl list-units --failed --plain --no-legend || true")


@pytest.mark.long
def test_another_network_is_opened() -> None:
    """Messages may take either network, on the same hosts."""
    before = {host["Id"] for host in containers(network.PREFIX)}
    migration("begin")
    checks = made_and_proved()
    assert {host["Id"] for host in containers(network.PREFIX)} == before
    both = {"inbound.partner_certificate_is_accepted", "outbound.partner_sees_outbound_address.adapter-1"}
    assert both | {f"inbound.{MOVED}", f"outbound.partner_sees_outbound_address.adapter-1-{ZONE}"} <= checks


ZONE = "migration"
MOVED = f"partner_certificate_is_accepted.{ZONE}"


@pytest.mark.long
def test_cut_part_of_the_other_network_fails_its_own_checks_alone() -> None:
    flow = f"ebms-outbound-adapter-1-{ZONE}"
    found = f"nft -a list chain inet aansluitkit forward | sed -n 's/.*\"{flow}\" # handle //p'"
    on("fw", f"nft delete rule inet aansluitkit forward handle $({found})")
    failed = verify("")
    assert set(failed) == {
        f"outbound.firewall_lets_us_out.adapter-1-{ZONE}",
        f"outbound.partner_sees_outbound_address.adapter-1-{ZONE}",
        f"zones.declared_flow_passes.{flow}",
        "zones.rules_in_force_are_the_declared_ones.fw",
    }
    mend(failed[f"outbound.firewall_lets_us_out.adapter-1-{ZONE}"]["message"])
    assert verify(ZONE) == {}


@pytest.mark.long
def test_messages_go_over_to_the_other_network_unnoticed() -> None:
    """Ours by our name servers, the partner's by its own; then nothing takes the one that was there."""
    connection = load_connection(ROOT / INVENTORY)
    with under_load(connection, 5, pings=True) as streams:
        migration("send")
        gone_over = play("site.yml", "--limit", "name_server:partner")
        assert gone_over.returncode == 0, gone_over.stdout[-3000:] + gone_over.stderr
        on("adapter:partner", "systemctl reload aansluitkit-adapter")
        time.sleep(STALE)
        taken = {way: passed(way) for way in WAYS}
        time.sleep(5)
        on("adapter:partner", "systemctl reload aansluitkit-adapter")
        time.sleep(5)
        new = {way: passed(way) - before for way, before in taken.items()}
    assert new["ebms-outbound-adapter-1"] == new["ebms-outbound-adapter-2"] == new["ebms-inbound"] == 0, new
    assert new[f"ebms-inbound-{ZONE}"] > 0, new
    assert new[f"ebms-outbound-adapter-1-{ZONE}"] + new[f"ebms-outbound-adapter-2-{ZONE}"] > 0, new
    print(streams.balances)
    assert all(balance.unnoticed and balance.pings for balance in streams.balances.values()), streams.balances
    assert verify("") == {}


WAYS = [
    f"{flow}{way}"
    for flow in ("ebms-inbound", "ebms-outbound-adapter-1", "ebms-outbound-adapter-2")
    for way in ("", f"-{ZONE}")
]
STALE = 12  # seconds that a name may be remembered where it was asked


def passed(flow: str) -> int:
    """How many connections of ``flow`` the firewall has let through."""
    counted = on("fw", f"nft list chain inet aansluitkit forward | grep '\"{flow}\"'")
    return int(re.findall(r"counter packets (\d+)", counted)[0])


def test_down_leaves_nothing() -> None:
    renewal("order", "g1")  # and broken off
    migration("begin")
    assert (ROOT / INVENTORY / VARIABLES).exists()
    assert (ROOT / INVENTORY / "host_vars").exists(), "the move to another network is under way"
    gone = kit("lab", "down")
    assert gone.returncode == 0, gone.stderr
    assert network.all_of(network.PREFIX) == []
    assert not VOLATILE.exists()
    assert not (ROOT / ".lab/pulumi").exists()
    assert not (ROOT / INVENTORY / VARIABLES).exists()
    assert not (ROOT / INVENTORY / "host_vars").exists()
    assert {path.name for path in Path.home().iterdir()} <= HOME
    processes = subprocess.run(["pgrep", "-f", "conmon.*aansluitkit"], capture_output=True, check=False)
    assert processes.returncode == 1
