"""The netwerkoverzicht says all that the seed asks (4.4.2), and looks right in a browser and on paper."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, date, datetime
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
import weasyprint

from aansluitkit.connection import Connection, load_connection
from aansluitkit.connection.flows import FlowGroup, Purpose, flow_groups
from aansluitkit.documents import date_of, render_netwerkoverzicht, render_picture, write_netwerkoverzicht
from aansluitkit.documents.lettering import width_of, wrapped
from aansluitkit.documents.netwerkoverzicht import as_pdf

ROOT = Path(__file__).parents[3]
PICTURE = ROOT / "docs/netwerkoverzicht.svg"
DAY = date(2026, 3, 1)
A3 = (420, 297)  # mm
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(params=["connection", "forty_hosts", "example", "offloading", "two_networks"])
def any_connection(request: pytest.FixtureRequest) -> Connection:
    if request.param == "example":
        return load_connection(ROOT / "inventories/voorbeeldgemeente/production")
    found: Connection = request.getfixturevalue(request.param)
    return found


def test_picture_of_the_readme_is_of_this_inventory(lab_connection: Connection) -> None:
    told = re.search(r">(\d\d)-(\d\d)-(\d{4})</text>", PICTURE.read_text())
    assert told
    day, month, year = map(int, told.groups())
    expected = render_picture(lab_connection, date(year, month, day))
    assert PICTURE.read_text() == expected, "draw it anew: make docs"


def row_of(page: str, group: FlowGroup) -> str:
    found = re.search(rf'<td class="number">{group.number}</td>.*?</tr>', page, re.DOTALL)
    assert found
    return unescape(re.sub(r"<[^>]+>", " ", found.group()))


def test_every_flow_is_told_whole(any_connection: Connection) -> None:
    page = render_netwerkoverzicht(any_connection, DAY)
    for group in flow_groups(any_connection):
        row = row_of(page, group)
        assert group.service in row
        for flow in group.flows:
            for network in (*flow.source_networks, *flow.destination_networks):
                assert re.search(rf"{re.escape(str(network).removesuffix('/32'))}(?![\d.])", row), flow.id
        for address in (group.first.published_address, group.first.outbound_address):
            assert address is None or str(address) in row
        assert any_connection.contacts.network_operator.phone in row
        if "partner" in {flow.source for flow in group.flows} | {flow.destination for flow in group.flows}:
            assert any_connection.partner.contact.phone in row
            assert "C1" in row
            assert "C2" in row


def test_where_tls_ends_is_told(connection: Connection, offloading: Connection) -> None:
    """In words, and in the rows of the messages: in clear they have no certificates."""
    passes, ends = (render_netwerkoverzicht(each, DAY) for each in (connection, offloading))
    assert ("ongeopend door" in passes, "TLS eindigt op" in passes) == (True, False)
    assert ("ongeopend door" in ends, "TLS eindigt op" in ends) == (False, True)
    [group] = [group for group in flow_groups(offloading) if group.first.purpose is Purpose.MESSAGES_IN_CLEAR]
    assert "geen: TLS is op de loadbalancer geëindigd" in row_of(ends, group)


def test_move_to_another_network_is_told(connection: Connection, two_networks: Connection) -> None:
    """In words, in the zones and in the flows, where each network has its own."""
    stays, moves = (render_netwerkoverzicht(each, DAY) for each in (connection, two_networks))
    assert ("Diginetwerk" in stays, "De aansluiting verhuist" in stays) == (False, False)
    assert "De aansluiting verhuist: beide netwerken staan open, en onze berichten gaan op Internet." in moves
    for link in two_networks.links:
        for address in (link.inbound_address, link.outbound_address):
            assert moves.count(str(address)) >= 3, "in the picture, its flow, and the list of addresses"
    [by_internet, by_diginetwerk] = [
        row_of(moves, group) for group in flow_groups(two_networks) if group.first.purpose is Purpose.MESSAGES_IN
    ]
    assert "inkomend, Internet" in by_internet
    assert "inkomend, Diginetwerk" in by_diginetwerk


def test_every_system_and_certificate_is_told(connection: Connection) -> None:
    page = render_netwerkoverzicht(connection, DAY)
    for host in connection.hosts.values():
        assert f"<td>{host.name}</td>" in page
        assert all(str(address) in page for address in host.addresses.values())
    for contact in (connection.contacts.platform_operator, connection.partner.contact):
        assert contact.email in page
    assert f"<td>{connection.partner.oin}</td>" in page
    assert "nog niet aanwezig" not in page
    assert "01-03-2026" in page


def test_no_certificate_is_needed_yet(tmp_path: Path) -> None:
    example = load_connection(ROOT / "inventories/voorbeeldgemeente/preprod")
    files = write_netwerkoverzicht(example, tmp_path / "documents", DAY)
    assert [path.name for path in files] == ["netwerkoverzicht.svg", "netwerkoverzicht.html", "netwerkoverzicht.pdf"]
    assert files[1].read_text().count("nog niet aanwezig") == 2
    assert files[2].read_bytes().startswith(b"%PDF-")


def test_names_of_people_are_no_markup(lab_connection: Connection) -> None:
    name = "Bestuur <b>A & B</b>"
    organisation = lab_connection.organisation.model_copy(update={"name": name})
    page = render_netwerkoverzicht(lab_connection.model_copy(update={"organisation": organisation}), DAY)
    assert name not in page
    assert escape(name, quote=False) in page


def test_page_stands_alone(any_connection: Connection) -> None:
    page = render_netwerkoverzicht(any_connection, DAY)
    assert re.findall(r'(?:src|href)="|url\(|@import', page) == []


def test_same_inventory_same_bytes(lab_connection: Connection) -> None:
    page = render_netwerkoverzicht(lab_connection, DAY)
    assert page == render_netwerkoverzicht(lab_connection, DAY)
    assert as_pdf(page) == as_pdf(page)


def test_pdf_is_a3_and_its_first_page_the_picture(any_connection: Connection) -> None:
    pages = weasyprint.HTML(string=render_netwerkoverzicht(any_connection, DAY)).render().pages
    for page in pages:
        assert [round(side / 96 * 25.4) for side in (page.width, page.height)] == list(A3)
    assert 2 <= len(pages) <= 8


def test_date_is_of_the_last_commit(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ROOT / "inventories/lab", tmp_path / "inventories/lab"))

    def git(*words: str) -> None:
        when = {"GIT_AUTHOR_DATE": "2025-05-06T12:00:00Z", "GIT_COMMITTER_DATE": "2025-05-06T12:00:00Z"}
        who = ["-c", "user.name=x", "-c", "user.email=x@voorbeeld.test"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, env={**os.environ, **when})

    os.utime(folder / "hosts.yml", (0, datetime(2031, 1, 2, tzinfo=UTC).timestamp()))
    assert date_of(folder) == date(2031, 1, 2), "where git keeps nothing, the files say it"
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "x")
    assert date_of(folder) == date(2025, 5, 6)
    with (folder / "hosts.yml").open("a") as file:
        file.write("# changed\n")
    os.utime(folder / "hosts.yml", (0, datetime(2032, 1, 2, tzinfo=UTC).timestamp()))
    assert date_of(folder) == date(2032, 1, 2), "what is not committed yet is newer"


def test_wrapped_text_fits_and_loses_nothing() -> None:
    text = "de beheerder leest de statistieken van overheidsdatabasebeheersysteemvoorziening"
    lines = wrapped(text, 12, 100)
    assert all(width_of(line, 12) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


# In a browser: a text lies within its box, boxes and texts lie apart, and nothing sticks out.
_MEASURE = """
<pre id="measured"></pre>
<script>
const at = element => element.getBoundingClientRect(), slack = 0.75, found = [];
const within = (inner, outer) => inner.left >= outer.left - slack && inner.right <= outer.right + slack
  && inner.top >= outer.top - slack && inner.bottom <= outer.bottom + slack;
const apart = (one, other) => one.right <= other.left + slack || other.right <= one.left + slack
  || one.bottom <= other.top + slack || other.bottom <= one.top + slack;
const all = query => [...document.querySelectorAll(query)];
const svg = document.querySelector("svg"), texts = all("svg text"), boxes = all("g.box > rect");
for (const box of boxes) for (const text of box.parentNode.querySelectorAll("text"))
  if (!within(at(text), at(box))) found.push(`'${text.textContent}' sticks out of its box`);
for (const text of texts) if (!within(at(text), at(svg))) found.push(`'${text.textContent}' sticks out of the picture`);
const pairs = (list, say) => list.forEach((one, i) => list.slice(i + 1).forEach(other => {
  if (!apart(at(one), at(other))) found.push(say(one, other)); }));
pairs(texts, (one, other) => `'${one.textContent}' and '${other.textContent}' overlap`);
pairs(boxes, (one, other) => `${one.parentNode.textContent.trim()} and ${other.parentNode.textContent.trim()} overlap`);
for (const kind of ["partner", "firewall", "host"]) for (const box of all(`g.${kind} > rect`))
  if (!all("rect.zone, rect.outside").some(zone => within(at(box), at(zone)))) found.push(`a ${kind} is in no zone`);
for (const cell of all("td, th"))
  if (cell.scrollWidth > cell.clientWidth + 1) found.push(`'${cell.textContent.trim()}' is wider than its cell`);
document.getElementById("measured").textContent = JSON.stringify({
  found, texts: texts.length, boxes: boxes.length,
  width: at(svg).width / 96 * 25.4, height: at(svg).height / 96 * 25.4 });
</script>
"""


def browse(page: str, folder: Path, *arguments: str) -> str:
    """What the browser says of ``page``."""
    if BROWSER is None:
        pytest.skip("no Chromium or Chrome is here, in which the page is measured")
    file = folder / "page.html"
    file.write_text(page)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    options = ["--headless=new", "--disable-gpu", "--window-size=1700,1200", f"--user-data-dir={folder}/profile"]
    command = [BROWSER, *options, *sandbox, *arguments, f"file://{file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("font", ["Liberation Sans", "DejaVu Sans"])
def test_nothing_overlaps_in_a_browser(any_connection: Connection, font: str, tmp_path: Path) -> None:
    page = render_netwerkoverzicht(any_connection, DAY).replace("Liberation Sans", font)
    shown = browse(page.replace("</body>", f"{_MEASURE}</body>"), tmp_path, "--dump-dom")
    told = re.search(r'<pre id="measured">(.*?)</pre>', shown, re.DOTALL)
    assert told, shown[-500:]
    measured: dict[str, Any] = json.loads(unescape(told.group(1)))
    assert measured["found"] == []
    assert measured["texts"] > 5 * len(flow_groups(any_connection))
    assert measured["boxes"] > len(flow_groups(any_connection))
    assert measured["width"] <= A3[0] - 20 + 1
    assert measured["height"] <= A3[1] - 24


def test_picture_prints_on_one_page_of_a3(any_connection: Connection, tmp_path: Path) -> None:
    page = render_netwerkoverzicht(any_connection, DAY)
    picture = re.sub(r"(</svg>\s*</div>).*</body>", r"\1</body>", page, flags=re.DOTALL)
    browse(picture, tmp_path, f"--print-to-pdf={tmp_path}/page.pdf", "--no-pdf-header-footer")
    printed = (tmp_path / "page.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1
    sides = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert [[round(float(side) / 72 * 25.4) for side in pair] for pair in sides] == [list(A3)]
