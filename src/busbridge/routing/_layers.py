"""The layers of a configuration, merged: files with what they include, mappings, variables, overrides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from busbridge.errors import Fault, Location
from busbridge.routing._document import Document, from_mapping
from busbridge.routing._environment import overridden
from busbridge.routing._interpolate import interpolated, substitute
from busbridge.routing._yaml import from_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def layered(sources: Sequence[object], environ: Mapping[str, str]) -> Document:
    """One document of all sources, later over earlier, with variables and overrides of `environ` in place."""
    result = Document()
    for source in sources:
        result = _layer(source, environ).over(result)
    return overridden(interpolated(result, environ), environ)


def _layer(source: object, environ: Mapping[str, str]) -> Document:
    if isinstance(source, Mapping):
        return _including(from_mapping(cast("Mapping[object, object]", source)), Path(), environ, ())
    try:
        path = Path(cast("str", source))
    except TypeError:
        problem = f"{type(source).__name__} is no layer of a configuration"
        return _nothing(Fault(problem, hint="give the path of a file, or a mapping"))
    return _file(path, Location(), environ, ())


def _file(path: Path, named_at: Location, environ: Mapping[str, str], within: tuple[Path, ...]) -> Document:
    """One file and what it includes; `within` are the files that led here."""
    resolved = path.absolute()
    if resolved in within:
        chain = " -> ".join(each.name for each in (*within, resolved))
        return _nothing(Fault(f"files include each other: {chain}", named_at))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        return _nothing(_unreadable(path, error, named_at))
    return _including(from_yaml(text, str(path)), path.parent, environ, (*within, resolved))


def _nothing(fault: Fault) -> Document:
    """What stands for a layer that can't be read: any key may be in there."""
    document = Document(faults=[fault])
    document.unread.add(())
    return document


def _unreadable(path: Path, error: OSError | ValueError, named_at: Location) -> Fault:
    where = named_at if named_at.file else Location(file=str(path))
    if isinstance(error, UnicodeDecodeError):
        return Fault(f"{path} is not UTF-8 text", where)
    return Fault(f"{path} can't be read: {getattr(error, 'strerror', None) or 'not a usable path'}", where)


def _including(document: Document, folder: Path, environ: Mapping[str, str], within: tuple[Path, ...]) -> Document:
    """`document` over the files of its `include:`, which lie relative to `folder`."""
    result = Document()
    for name, place in _included(document, environ):
        result = _file(_normal(folder / name), place, environ, within).over(result)
    document.data.pop("include", None)
    return document.over(result)


def _normal(path: Path) -> Path:
    """Without `a/..` in it, so that a file that includes itself by another spelling is seen."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts and parts[-1] not in {"..", "/"}:
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)


def _included(document: Document, environ: Mapping[str, str]) -> Iterator[tuple[str, Location]]:
    value = document.data.get("include")
    place = document.places.get(("include",), Location(("include",)))
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str):
            name, problems = substitute(each, environ)
            document.faults.extend(Fault(problem, place, hint) for problem, hint in problems)
            if problems:
                document.unread.add(())
                continue
            yield name, place
        elif each is not None:
            document.faults.append(Fault("`include` is a file, or a list of files", place))
            document.unread.add(())
