"""The commands that read and make inventories, and touch no host: new, check, what-if, documents."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aansluitkit.cli.app import Inventories, Inventory, JsonFile, UsageError, app, bar, console, examples, write_json
from aansluitkit.connection import Environment, Kind, load_connection
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

if TYPE_CHECKING:
    from aansluitkit.fleet.changes import Change
    from aansluitkit.fleet.survey import Entry
    from aansluitkit.fleet.whatif import Answer

SHOWN = 8  # connections that a line names
Day = Annotated[
    datetime | None,
    typer.Option("--on", formats=["%Y-%m-%d"], metavar="DATE", help="Day of the change, as YYYY-MM-DD."),
]


@app.command(epilog=examples("check inventories/gemeente-x/preprod", "check inventories/ --json report.json"))
def check(paths: Inventories, json_file: JsonFile = None) -> None:
    """Check inventories against every rule and against each other, without touching a host.

    What may belong to one customer alone (address, endpoint, CPA, OIN) is compared with all customers of the same
    folder, whether they are named or not. Status 1: nothing is wrong, but values are still to be filled in.
    """
    from aansluitkit.fleet.survey import find, survey  # noqa: PLC0415

    target = console(json_file)
    inventories = find(paths)
    with bar(target, "checking", len(inventories)) as progress:
        entries = survey(inventories, lambda _: progress.advance(progress.task_ids[0]))
    write_json({"inventories": [_plain(entry) for entry in entries]}, json_file)
    _show(entries, target)
    raise typer.Exit(_status(entries))


def _status(entries: list[Entry]) -> int:
    results = {str(entry.result) for entry in entries}
    return 2 if "refused" in results else 1 if "blanks" in results else 0


def _plain(entry: Entry) -> dict[str, Any]:
    return {**asdict(entry), "result": entry.result}


def _show(entries: list[Entry], target: Console) -> None:
    told = set()  # what stands in a file that many link is said once
    for entry in entries:
        for style, kind in (("red", "problems"), ("yellow", "blanks"), ("yellow", "warnings")):
            for problem in getattr(entry, kind):
                place = (os.path.realpath(problem.file), problem.line, problem.variable, problem.message)
                if place in told:
                    continue
                told.add(place)
                target.print(f"[{style}]{kind[:-1]}[/] {escape(str(problem))}", soft_wrap=True)
    table = Table("customer", "environment", "result", "problems", "blanks", box=None, pad_edge=False)
    for entry in entries:
        style = {"valid": "green", "blanks": "yellow", "refused": "bold red"}[entry.result]
        counts = (str(len(entry.problems) or ""), str(len(entry.blanks) or ""))
        table.add_row(escape(entry.customer), escape(entry.environment), f"[{style}]{entry.result}[/]", *counts)
    target.print(table)
    totals = Counter(str(entry.result) for entry in entries)
    target.print(", ".join(f"{totals[result]} {result}" for result in ("valid", "blanks", "refused")), style="bold")


Accept = Callable[[str], str]


@app.command(
    epilog=examples(
        "new gemeente-x",
        "new klant-201 --kind vendor --organisation 'Klant B.V.' --oin 00000003123456780000 --endpoint ebms.klant.nl "
        "--lab",
    )
)
def new(
    name: Annotated[str, typer.Argument(help="Name of the customer: its folder, and connection_name.")],
    kind: Annotated[
        Kind | None, typer.Option(help="Government organisation, or customer of a vendor (which has no production).")
    ] = None,
    organisation: Annotated[str | None, typer.Option(help="Name of the organisation, as in its certificate.")] = None,
    oin: Annotated[str | None, typer.Option(help="Its OIN; of a vendor the HRN.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Host name of the endpoint in preprod, or its URL.")] = None,
    production_endpoint: Annotated[
        str | None, typer.Option(help="The same in production; government organisations alone.")
    ] = None,
    folder: Annotated[
        Path,
        typer.Option(
            help="Folder of the customers, with the shared defaults in shared/.",
            show_default="inventories/ of the project",
        ),
    ] = ROOT / "inventories",
    *,
    compliance: Annotated[
        bool,
        typer.Option(
            "--compliance",
            help="Make its compliance environment too: preprod's hosts and the Compliancevoorziening (seed 4.3.1).",
        ),
    ] = False,
    lab: Annotated[
        bool, typer.Option("--lab", help="Make its lab too: the same connection on this machine (aansluitkit lab up).")
    ] = False,
) -> None:
    """Make the inventories of a new customer, and list the values that only people or Logius know.

    What is not given as an option is asked on a terminal. The kind may stand in the shared defaults, and so may pools
    of addresses (new_inside_network, new_external_network) out of which the next free ones are taken.
    """
    from aansluitkit.fleet import new as making  # noqa: PLC0415
    from aansluitkit.fleet.survey import seen_from_here, survey  # noqa: PLC0415

    folder = seen_from_here(folder)
    kind = kind or _usual_kind(folder)
    number = "HRN" if kind is Kind.VENDOR else "OIN"
    if production_endpoint and kind is Kind.VENDOR:
        raise UsageError("--production-endpoint: a vendor has no production (seed 1.2): leave it out")
    order = making.Order(
        name=_answer(name, "", "NAME", lambda value: making.accept_name(value, folder)),
        kind=kind,
        organisation=_answer(organisation, "Name of the organisation", "--organisation", making.accept_organisation),
        oin=_answer(oin, f"Its {number}", "--oin", lambda value: making.accept_oin(value, kind, folder)),
        endpoints={
            environment: _answer(
                {Environment.PREPROD: endpoint}.get(environment, production_endpoint),
                f"Host name of the endpoint ({environment})",
                "--endpoint" if environment is Environment.PREPROD else "--production-endpoint",
                lambda value: making.accept_own_endpoint(value, folder),
            )
            for environment in making.environments_of(kind)
        },
    )
    for wanted, environment in ((compliance, Environment.COMPLIANCE), (lab, Environment.LAB)):
        if wanted:
            order.endpoints[environment] = order.endpoints[Environment.PREPROD]
    inventories = making.make(order, folder)
    _show(survey(inventories), console())
    print(f"made {', '.join(map(str, inventories))}")
    print(f"next: fill in what is blank, then aansluitkit check {folder / name}")
    if lab:
        print(f"in the lab: aansluitkit lab up {folder / name / making.LAB}")


def _usual_kind(folder: Path) -> Kind:
    """A vendor may say so in the shared defaults, once."""
    from aansluitkit.fleet.new import shared_defaults  # noqa: PLC0415

    found = shared_defaults(folder).get("connection_kind", Kind.GOVERNMENT)
    if found not in list(Kind):
        raise KitError(f"{folder}/shared/all.yml: connection_kind: '{found}' is none: write {' or '.join(Kind)}")
    return Kind(found)


def _answer(given: str | None, question: str, option: str, accept: Accept) -> str:
    """What was given, or is answered on a terminal until it is right."""
    if given is None and not sys.stdin.isatty():
        raise UsageError(f"{option} is not given, and nobody can be asked here: add it ({question.lower()})")
    while True:
        value = given if given is not None else typer.prompt(question)
        try:
            return accept(value)
        except ValueError as error:
            if given is not None:
                raise UsageError(f"{option}: {error}") from error
            typer.echo(f"  {error}", err=True)


@app.command(
    "what-if",
    epilog=examples(
        "what-if inventories/ --partner MijnOverheid --certificate new.pem --on 2027-03-01",
        "what-if inventories/ --partner 00000004003214345001 --ends 2027-03-01",
        "what-if inventories/ --partner MijnOverheid --address 10.1.2.3=10.1.2.9",
        "what-if inventories/ --partner MijnOverheid --endpoint https://ebms2.example.nl/ebms --environment production",
    ),
)
def what_if(
    paths: Inventories,
    partner: Annotated[str, typer.Option(metavar="OIN|NAME", help="The partner that changes.")],
    certificate: Annotated[Path | None, typer.Option(help="Its new certificate (PEM, leaf first).")] = None,
    ends: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Day on which its present certificate ends."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="OLD=NEW", help="An address or network that it leaves, and the new one.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="Its new endpoint.")] = None,
    on: Day = None,
    environment: Annotated[Environment | None, typer.Option(help="Only the inventories of this environment.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Tell what a change at the partner touches: customers, CPAs, firewall flows and dates, and what to do by when.

    Exactly one of --certificate, --ends, --address and --endpoint says what changes.
    """
    from aansluitkit.fleet.survey import find  # noqa: PLC0415
    from aansluitkit.fleet.whatif import what_if as ask  # noqa: PLC0415

    given = {"--certificate": certificate, "--ends": ends, "--address": address, "--endpoint": endpoint}
    if sum(value is not None for value in given.values()) != 1:
        raise UsageError(f"{', '.join(given)}: give exactly one of them, which says what changes")
    change = _change(certificate, _utc(ends), address, endpoint, _utc(on))
    target = console(json_file)
    inventories = find(paths)
    with bar(target, "asking", len(inventories)) as progress:
        answer = ask(inventories, partner, change, environment, lambda: progress.advance(progress.task_ids[0]))
    write_json(asdict(answer), json_file)
    _show_answer(answer, target)


def _utc(day: datetime | None) -> datetime | None:
    return day.replace(tzinfo=UTC) if day else None


def _change(
    certificate: Path | None, ends: datetime | None, address: str | None, endpoint: str | None, on: datetime | None
) -> Change:
    from aansluitkit.fleet.changes import CertificateEnds, NewAddress, NewCertificate, NewEndpoint  # noqa: PLC0415
    from aansluitkit.fleet.new import accept_endpoint  # noqa: PLC0415

    if certificate:
        return NewCertificate.read(certificate, on)
    if ends:
        return CertificateEnds(ends)
    try:
        if address:
            old, _, fresh = address.partition("=")
            return NewAddress(IPv4Network(old), IPv4Network(fresh), on)
        return NewEndpoint(accept_endpoint(str(endpoint)), on)
    except ValueError as error:
        if address and ":" in address:
            raise UsageError(f"--address {address}: IPv6 is not supported: write OLD=NEW of IPv4") from error
        if address:
            raise UsageError(f"--address {address}: {error}: write OLD=NEW, such as 10.1.2.3=10.1.2.9") from error
        raise UsageError(f"--endpoint: {error}") from error


def _show_answer(answer: Answer, target: Console) -> None:
    table = Table("customer", "environment", "CPA", "valid", "flows", "hosts", box=None, pad_edge=False)
    for impact in answer.impacts:
        assert impact.touched is not None  # noqa: S101 - for the type checker
        table.add_row(
            impact.customer,
            impact.environment,
            f"{impact.cpa}{' (anew)' if impact.touched.cpa else ''}",
            f"{impact.cpa_start:%Y-%m-%d} to {impact.cpa_end:%Y-%m-%d}",
            ", ".join(impact.touched.flows),
            ", ".join(impact.touched.hosts),
        )
    if answer.impacts:
        target.print(table)
    _show_steps(answer, target)
    _show_places(answer, target)
    for one in answer.unasked:
        more = f" (and {one.problems - 1} more; see aansluitkit check)" if one.problems > 1 else ""
        target.print(f"[yellow]not asked[/] {escape(f'{one.reason}{more}')}", soft_wrap=True)
    target.print(
        f"{len(answer.impacts)} touched, {answer.untouched} not touched, {len(answer.unasked)} not asked", style="bold"
    )


def _show_steps(answer: Answer, target: Console) -> None:
    """What to do, in order of date; connections with the same to do share a line."""
    steps: dict[tuple[datetime | None, str], list[str]] = {}
    for impact in answer.impacts:
        for step in impact.touched.steps if impact.touched else ():
            steps.setdefault((step.by, step.what), []).append(f"{impact.customer}.{impact.environment}")
    for (by, what), names in sorted(steps.items(), key=lambda item: item[0][0] or datetime.max.replace(tzinfo=UTC)):
        target.print(
            f"{f'by {by:%Y-%m-%d}' if by else 'when it comes'}: {what}: {_some(names)}",
            markup=False,
            soft_wrap=True,
        )


def _some(names: list[str]) -> str:
    """The table holds them all."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _show_places(answer: Answer, target: Console) -> None:
    """Where to write it: shared defaults are one place for many."""
    places: dict[str, int] = {}
    for impact in answer.impacts:
        for place in impact.places:
            key = f"{place.file}:{place.line}: {place.variable}" if place.line else f"{place.file}: {place.variable}"
            places[key] = places.get(key, 0) + 1
    for key, count in sorted(places.items()):
        target.print(f"write it in {key} ({count} of them)", markup=False, soft_wrap=True)


@app.command(
    epilog=examples(
        "documents inventories/gemeente-x/preprod --output documents",
        "documents inventories/gemeente-x/preprod --output documents --netwerkoverzicht",
    )
)
def documents(
    inventory: Inventory,
    output: Annotated[Path, typer.Option(help="Folder for the documents; made where it is absent.")],
    *,
    netwerkoverzicht: Annotated[
        bool, typer.Option("--netwerkoverzicht", help="Only the netwerkoverzicht, which needs no certificates yet.")
    ] = False,
) -> None:
    """Write CPA, consumerspecificatie, Ping document and netwerkoverzicht (HTML, PDF and SVG) of an inventory."""
    from aansluitkit.documents import date_of, write_documents, write_netwerkoverzicht  # noqa: PLC0415

    make = write_netwerkoverzicht if netwerkoverzicht else write_documents
    for path in make(load_connection(inventory), output, date_of(inventory)):
        print(path)
