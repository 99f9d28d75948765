"""How wide a text becomes, so that boxes are made around it.

Nobody knows with which font a picture is shown. The widths are those of DejaVu Sans, the widest of the usual ones,
rounded up; a text is not wider than what is said here.
"""

from __future__ import annotations

# Advance widths in the unit of the size of the letters, rounded up.
_WIDTHS = {
    0.33: "IJijlï",
    0.34: " ,./:;\\|·",
    0.42: "!()-[]ft",
    0.46: '"r',
    0.53: "*_`sz",
    0.62: "?FLTYckvxyzPç",
    0.65: "0123456789ESabdeghnopquéëöü${}",
    0.70: "ABCKRVXZ",
    0.82: "DGHNOQU&w",
    0.87: "#+<=>^~→M",
    1.00: "%@Wm—",
}
_WIDTH_OF = {character: width for width, characters in _WIDTHS.items() for character in characters}
OTHER = 1.0
BOLD = 1.15  # of a whole text; no word is of narrow letters alone


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """The most that ``text`` measures, in the unit of ``size``."""
    return sum(_WIDTH_OF.get(character, OTHER) for character in text) * size * (BOLD if bold else 1)


def wrapped(text: str, size: float, room: float, *, bold: bool = False) -> tuple[str, ...]:
    """``text`` in lines that fit ``room``, broken between words; a word that does not fit alone is broken too."""
    lines: list[str] = []
    line = ""
    for word in _fitting(text.split(), size, room, bold=bold):
        longer = f"{line} {word}".strip()
        if width_of(longer, size, bold=bold) > room:
            lines.append(line)
            longer = word
        line = longer
    return (*lines, line)


def _fitting(words: list[str], size: float, room: float, *, bold: bool) -> list[str]:
    fitting: list[str] = []
    for word in words:
        rest = word
        while width_of(rest, size, bold=bold) > room:
            fits = next(end for end in range(len(rest) - 1, 0, -1) if width_of(rest[:end], size, bold=bold) <= room)
            fitting.append(rest[:fits])
            rest = rest[fits:]
        fitting.append(rest)
    return fitting
