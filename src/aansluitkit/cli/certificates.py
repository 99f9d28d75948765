"""The commands about certificates: certificate, expiry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aansluitkit.cli.app import Inventories, JsonFile, UsageError, app, bar, console, examples, write_json
from aansluitkit.errors import KitError

if TYPE_CHECKING:
    from aansluitkit.certificates.expiry import End, Watched
    from aansluitkit.certificates.intake import Examined
    from aansluitkit.certificates.reading import Content

SHOWN = 3  # connections that a line names
STYLES = {"problem": "red", "warning": "yellow", "note": "dim"}


@app.command(
    epilog=examples(
        "certificate organisation.pem",
        "certificate delivered.p12 --inventory inventories/gemeente-x/preprod --key request.csr --json -",
    )
)
def certificate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="What the provider or the partner sent.")],
    inventory: Annotated[
        Path | None, typer.Option(help="Inventory that the certificate is for, ours or the partner's.")
    ] = None,
    partner: Annotated[
        bool, typer.Option("--partner", help="It is the partner's, whatever number it bears; else the number tells.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option(help="Private key, or the request that the certificate was ordered with.")
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the passphrase of a PKCS#12 or key; else it is asked on a terminal.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch no CRL.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Tell what certificates are and everything that is wrong with them, and change nothing.

    Takes PEM, DER, PKCS#7 and PKCS#12, in any order; a chain may be spread over files. Status 1: something is wrong
    with a certificate. Warnings and what could not be checked do not count.
    """
    from aansluitkit.certificates import revocation  # noqa: PLC0415
    from aansluitkit.certificates.demands import Party, demands_of  # noqa: PLC0415
    from aansluitkit.certificates.intake import examine_contents  # noqa: PLC0415
    from aansluitkit.certificates.reading import read_key  # noqa: PLC0415

    passphrase = _passphrase(passphrase_file)
    demands = demands_of(inventory) if inventory else None
    if partner:
        if demands is None:
            raise UsageError("--partner: say of which inventory, with --inventory")
        demands = dict.fromkeys(Party, demands[Party.PARTNER])
    belonging = [read_key(key, passphrase)] if key else []
    contents, unreadable = _read(files, passphrase)
    fetch = revocation.offline if offline else revocation.fetcher()
    examined = examine_contents(contents, fetch, demands, belonging)
    write_json({"certificates": [_plain(one) for one in examined], "unreadable": unreadable}, json_file)
    target = console(json_file)
    for one in examined:
        _show(one, target)
    for sentence in unreadable:
        _say(target, "problem", sentence)
    raise typer.Exit(1 if unreadable or any(one.problems for one in examined) else 0)


def _passphrase(file: Path | None) -> Callable[[Path], bytes | None]:
    from aansluitkit.certificates.reading import read_passphrase  # noqa: PLC0415

    def ask(path: Path) -> bytes | None:
        if file:
            try:
                return read_passphrase(file)
            except (OSError, IndexError) as error:
                raise KitError(f"--passphrase-file {file}: holds no passphrase that can be read: mend it") from error
        if not typer.get_text_stream("stdin").isatty():
            return None
        answer: str = typer.prompt(f"Passphrase of {path}", hide_input=True, default="", show_default=False, err=True)
        return answer.encode()

    return ask


def _read(files: list[Path], passphrase: Callable[[Path], bytes | None]) -> tuple[list[Content], list[str]]:
    """What can be read, and a sentence for each file that can't, or holds no certificate."""
    from aansluitkit.certificates.reading import read_file  # noqa: PLC0415

    contents, unreadable = [], []
    for file in files:
        try:
            content = read_file(file, passphrase)
        except KitError as error:
            unreadable.append(str(error))
            continue
        contents.append(content)
        if not content.certificates:
            what = "a request" if content.requests else "a key"
            unreadable.append(f"{file} holds {what} and no certificate: name it with --key, and the certificate here")
    return contents, unreadable


def _plain(one: Examined) -> dict[str, Any]:
    """For machines: what the table shows, and the findings."""
    return {
        "file": str(one.file),
        "party": one.party,
        **dict(_facts(one)),
        "problems": list(one.problems),
        "warnings": list(one.warnings),
        "notes": list(one.notes),
    }


def _facts(one: Examined) -> Iterator[tuple[str, Any]]:
    from aansluitkit.certificates import facts  # noqa: PLC0415

    leaf, kind = one.chain.leaf, facts.certificate_type(one.chain.leaf)
    number = facts.serial_number(leaf)
    yield "subject", facts.distinguished_name(leaf.subject)
    yield "serial_number", number
    yield "number_kind", facts.number_kind(number)
    yield "names", facts.dns_names(leaf)
    yield "issuer", facts.issuer(leaf)
    yield "chain", [facts.subject(each) for each in (leaf, *one.chain.issuers)]
    yield "root_trusted", one.chain.root is not None
    yield "type", kind.name if kind else "no type of PKIoverheid that is known here"
    yield "generation", kind.generation if kind else None
    yield "policies", facts.policies(leaf)
    yield "key", facts.key_description(leaf)
    yield "signature", facts.signature_description(leaf)
    yield "usages", facts.extended_usages(leaf)
    yield "valid_from", leaf.not_valid_before_utc
    yield "valid_until", leaf.not_valid_after_utc
    yield "days_left", (leaf.not_valid_after_utc - datetime.now(UTC)).days
    yield "sha256", facts.fingerprint(leaf)
    yield "crl_urls", facts.crl_urls(leaf)
    yield (
        "revocation",
        [
            {"subject": facts.subject(each.certificate), "standing": each.standing, "crl_until": each.next_update}
            for each in one.revocations
        ],
    )


def _show(one: Examined, target: Console) -> None:
    told = dict(_facts(one))
    number, kind = told.pop("serial_number"), told.pop("number_kind")
    until, days = told.pop("valid_until"), told.pop("days_left")
    begin = told.pop("valid_from")
    trusted = " (trusted root)" if told.pop("root_trusted") else ""
    shown = {
        "file": str(one.file),
        "party": one.party or "not known: no inventory is named",
        "subject": told["subject"],
        "serialNumber": f"{number} ({kind})",
        "names": ", ".join(told["names"]),
        "issuer": told["issuer"],
        "chain": " < ".join(told["chain"]) + trusted,
        "type": f"{told['type']} ({', '.join(told['policies']) or 'no policy'})",
        "key": told["key"],
        "signature": told["signature"],
        "for": "everything" if told["usages"] is None else ", ".join(told["usages"]),
        "valid": f"{begin:%Y-%m-%d} to {until:%Y-%m-%d}, {days} days left",
        "SHA-256": told["sha256"],
        "CRL": ", ".join(told["crl_urls"]) or "none",
        "revocation": ", ".join(f"{each['subject']}: {each['standing']}" for each in told["revocation"])
        or "not checked",
    }
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in shown.items():
        table.add_row(f"[bold]{name}[/]", escape(value))
    target.print(table)
    for what, sentences in (("problem", one.problems), ("warning", one.warnings), ("note", one.notes)):
        for sentence in sentences:
            _say(target, what, sentence)
    target.print(_verdict(one), style="bold")


def _verdict(one: Examined) -> str:
    if one.problems:
        return f"{len(one.problems)} problems"
    return (
        "nothing is wrong" if one.chain.root else "nothing wrong was found; whether its root is trusted was not checked"
    )


def _say(target: Console, what: str, sentence: str) -> None:
    target.print(f"[{STYLES[what]}]{what}[/] {escape(sentence)}", soft_wrap=True)


@app.command(
    epilog=examples("expiry inventories/", "expiry inventories/gemeente-x/production --within 60 --crls --json -")
)
def expiry(
    paths: Inventories,
    within: Annotated[int | None, typer.Option(metavar="DAYS", min=0, help="Show only what ends within DAYS.")] = None,
    crls: Annotated[bool, typer.Option("--crls", help="Fetch the CRLs that the certificates name as well.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Tell what ends when: certificates of both sides and their issuers, CPAs and CRLs; soonest first, a line each.

    Told apart are what has expired, and what ends within 14, 30 and 60 days; of a CRL only whether it has expired. What
    many connections rest on is one line. Status 1: something has expired or ends within 14 days, or an inventory can't
    be read. What is not filled in yet is told, and does not count.
    """
    from aansluitkit.certificates.expiry import Level, watch  # noqa: PLC0415
    from aansluitkit.certificates.revocation import fetcher  # noqa: PLC0415
    from aansluitkit.fleet.survey import find  # noqa: PLC0415

    target = console(json_file)
    inventories = find(paths)
    with bar(target, "looking", len(inventories)) as progress:
        watched = watch(inventories, fetcher() if crls else None, lambda: progress.advance(progress.task_ids[0]))
    now = datetime.now(UTC)
    shown = [end for end in watched.ends if within is None or end.days_left(now) <= within]
    write_json({"ends": [_end(one, now) for one in shown], "unread": watched.unread, "gaps": watched.gaps}, json_file)
    _show_ends(shown, watched, now, target)
    pressing = any(end.level(now) in {Level.EXPIRED, Level.URGENT} for end in watched.ends)
    raise typer.Exit(1 if pressing or watched.unread else 0)


def _end(end: End, now: datetime) -> dict[str, Any]:
    told = {"kind": end.kind, "name": end.name, "ends": end.moment, "days_left": end.days_left(now)}
    return {**told, "level": end.level(now), "connections": list(end.whose), "place": end.place}


def _show_ends(ends: list[End], watched: Watched, now: datetime, target: Console) -> None:
    styles = {"expired": "bold red", "urgent": "red", "soon": "yellow", "ahead": "cyan", "fine": "green"}
    for end in ends:
        level = end.level(now)
        more = f" and {len(end.whose) - SHOWN} more" if len(end.whose) > SHOWN else ""
        whose = f"{', '.join(end.whose[:SHOWN])}{more}"
        words = f"{end.days_left(now):>5} days  {end.moment:%Y-%m-%d}  {end.kind:<11}  {end.name}  {whose}"
        target.print(f"[{styles[level]}]{level:<7}[/] {escape(words)}", soft_wrap=True)
    for sentence in watched.unread:
        _say(target, "problem", sentence)
    for sentence in watched.gaps:
        _say(target, "note", sentence)
    counts = Counter(str(end.level(now)) for end in watched.ends)
    target.print(", ".join(f"{counts[level]} {level}" for level in styles), style="bold")
