"""Strict reading of one YAML file of an inventory: what Ansible would take silently is refused here with its line.

Duplicate keys, more than one document, and files that would expand beyond any inventory's size are errors. Values
that are encrypted with Ansible Vault stay encrypted.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from aansluitkit.errors import InventoryError, Problem

LARGEST_FILE = 1024 * 1024  # bytes; the YAML of a connection has some thousands
MOST_VALUES = 100_000  # after aliases are followed
DEEPEST = 400  # levels; libyaml's own recursion ends the process somewhere beyond ten thousand
VAULT_HEADER = "$ANSIBLE_VAULT;"


@dataclass(frozen=True)
class Vaulted:
    """A value that Ansible Vault encrypted, as its text stands in the file."""

    ciphertext: str

    def __str__(self) -> str:
        return "!vault"  # a sentence needs no more of it


@dataclass(frozen=True)
class Unsafe:
    """A value that is marked !unsafe: Ansible never templates it."""

    value: Any


class _Loader(yaml.CSafeLoader):
    """Safe YAML with Ansible's tags, that takes no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, yaml.Node] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                key = self.construct_object(key_node)
                if isinstance(key, Vaulted | Unsafe):
                    message = f"'{key_node.tag}' marks a value, never a name: take it off"
                    raise yaml.constructor.ConstructorError(None, None, message, key_node.start_mark)
                if key in seen:
                    line = seen[key].start_mark.line + 1
                    raise yaml.constructor.ConstructorError(
                        None, None, f"'{key}' stands there twice, first in line {line}: keep one", key_node.start_mark
                    )
                seen[key] = key_node
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MOST_VALUES:
            message = f"grows beyond {MOST_VALUES} values by merging: write them out"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    """A whole number, not so large that Python won't show it (other notations than decimal ones are not bounded)."""
    value = int(loader.construct_yaml_int(node))
    str(value)
    return value


def _timestamp(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    try:
        return loader.construct_yaml_timestamp(node)
    except (ValueError, OverflowError) as error:
        message = f"'{node.value}' is no moment: {error}: correct it or put it between quotes"
        raise yaml.constructor.ConstructorError(None, None, message, node.start_mark) from error


def _vaulted(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Vaulted:
    return Vaulted(str(loader.construct_scalar(node)).strip())


def _unsafe(loader: yaml.SafeLoader, node: yaml.Node) -> Unsafe:
    if isinstance(node, yaml.ScalarNode):
        return Unsafe(loader.construct_scalar(node))
    raise yaml.constructor.ConstructorError(None, None, "!unsafe marks a text alone", node.start_mark)


def _binary(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    raise yaml.constructor.ConstructorError(None, None, "'!!binary' is no value of an inventory", node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:binary", _binary)
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _timestamp)
for _tag in ("!vault", "!vault-encrypted"):
    _Loader.add_constructor(_tag, _vaulted)
_Loader.add_constructor("!unsafe", _unsafe)


def read_yaml(path: Path) -> Any:
    """The value that the YAML file ``path`` holds, None when it is empty, ``Vaulted`` when it is encrypted whole.

    What is read is kept as long as the file does not change; nobody may alter the answer.

    Raises:
        InventoryError: when the file can't be read or is not the YAML of an inventory.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _refused(path, f"can't be read: {_reason(path, error)}") from error
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise _refused(path, "is neither a file nor a link to one: put the file there")
    # A change of the file within the clock's grain shows in its size or its inode; nobody can set ctime back.
    state = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    return _read(path, os.path.realpath(path), *state)


def is_vaulted(path: Path) -> bool:
    """Whether Ansible Vault encrypted the file ``path`` whole.

    Raises:
        InventoryError: as ``read_yaml``.
    """
    return isinstance(read_yaml(path), Vaulted)


def read_text(path: Path) -> str:
    """The text of ``path``.

    Raises:
        InventoryError: when it can't be read, is no UTF-8 or is too long.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _refused(path, f"can't be read: {_reason(path, error)}") from error
    if len(content) > LARGEST_FILE:
        raise _refused(path, f"is longer than {LARGEST_FILE} bytes; no inventory is: keep other data out of it")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refused(path, "is UTF-16 or UTF-32; Ansible reads UTF-8: save it as UTF-8", 1)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x}"
        raise _refused(path, f"holds {found}, which is no UTF-8 (Latin-1, perhaps): save it as UTF-8", line) from error
    return text.removeprefix("\ufeff")


@lru_cache(maxsize=64)
def _read(path: Path, *_state: object) -> Any:
    text = read_text(path)
    if text.startswith(VAULT_HEADER):
        return Vaulted(text.strip())
    _bound_depth(path, text)
    loader = None
    try:
        loader = _Loader(text)
        value = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        raise _refused(path, _sentence(error, text), _line(error, text)) from error
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        message, line = _unmarked(error, text)
        raise _refused(path, message, line) from error
    finally:
        if loader is not None:
            loader.dispose()
    if _size(path, value, {}, ()) > MOST_VALUES:
        raise _refused(path, f"grows beyond {MOST_VALUES} values by its aliases; no inventory does: write them out")
    return value


def _bound_depth(path: Path, text: str) -> None:
    """Refuse nesting that would overflow the parser's stack."""
    indentation = max((len(line) - len(line.lstrip(" -?:")) for line in text.splitlines()), default=0)
    if text.count("[") + text.count("{") + indentation <= DEEPEST:
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise _refused(path, f"nests more than {DEEPEST} levels deep; no inventory does: flatten it", line)
    except yaml.YAMLError:
        return  # said better when the file is read


def _size(path: Path, value: Any, known: dict[int, int], within: tuple[int, ...]) -> int:
    """How many values ``value`` holds with every alias followed."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) in within:
        raise _refused(path, "holds an alias of what it stands in, which has no end: write the value out")
    if id(value) not in known:
        items = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(path, item, known, (*within, id(value))) for item in items)
    return known[id(value)]


def _sentence(error: yaml.MarkedYAMLError, text: str) -> str:
    found = (error.problem or error.context or "is no YAML").strip()
    if found.startswith(("'", "grows")):  # our own
        return found
    lines = text.splitlines()
    if "cannot start any token" in found and "\t" in "".join(lines[_line(error, text) - 1 : _line(error, text)]):
        return "is indented with a tab, which YAML does not take: use spaces"
    if "unhashable" in found:
        return "has a list or mapping where a name is expected; a text with {{ }} stands between quotes: quote it"
    if "expected a single document" in found or "but found another document" in found:
        return "holds more than one document (---): keep one"
    return f"is no YAML that can be read: {found}: correct it (indentation, quotes, brackets)"


def _unmarked(error: Exception, text: str) -> tuple[str, int]:
    if isinstance(error, RecursionError):
        return "nests too deep; no inventory does: flatten it", 0
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, int(error.position)) + 1
        return "holds a control character, which YAML does not take: remove it", line
    if "integer string conversion" in str(error):
        digits = re.search(r"[\da-fA-F_:]{3000,}", text)
        line = text.count("\n", 0, digits.start()) + 1 if digits else 0
        return "holds a number of thousands of digits: put it between quotes or correct it", line
    return f"holds a value that is none: {' '.join(str(error).split())}: correct it or put it between quotes", 0


def _line(error: yaml.MarkedYAMLError, text: str) -> int:
    """The line of the error; of what is never closed, where it begins, for the end of the file tells nothing."""
    marks = [mark.line + 1 for mark in (error.problem_mark, error.context_mark) if mark]
    last = text.count("\n") + (not text.endswith("\n"))
    return next((line for line in marks if line <= last), last if marks else 0)


def _reason(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "its links lead round in a circle: remove one"
    if path.is_symlink() and not path.exists():
        return f"it is a link to {path.readlink()}, which is not there: put the file there or remove the link"
    return f"{str(error.strerror).lower()}: mend that"


def _refused(path: Path, message: str, line: int = 0) -> InventoryError:
    return InventoryError([Problem(str(path), "file", message, line, "yaml")])


def line_of(path: Path, keys: tuple[str, ...]) -> int:
    """The line, from 1, where the mapping path ``keys`` stands in the file ``path``, or as much of it as there is.

    0 when the first of ``keys`` is not there or the file can't be read.
    """
    try:
        node = yaml.compose(read_text(path), Loader=yaml.CSafeLoader)
    except (InventoryError, yaml.YAMLError):
        return 0
    line = 0
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == key), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
            node = node.value[int(key)]
            line = node.start_mark.line + 1
        else:
            break
    return line
