"""YAML text to a document: the position of every key kept, duplicate keys refused, every scalar left as text.

Only PyYAML's composer is used: its constructor reads `on` as true, `1:30` as ninety, and the later of two equal keys.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import yaml

from busbridge.errors import Fault, Location
from busbridge.routing._document import DEPTH, SIZE, Document
from busbridge.routing._values import Plain

if TYPE_CHECKING:
    from busbridge.routing._config import KeyPath
    from busbridge.routing._document import Node

_QUOTE_HINT = "quote text that holds special characters, such as ${NAME} inside { }"
_TAB = re.compile(r"'\\t'|\btab\b")
"""In PyYAML's words, for a tab."""
_EMPTY = frozenset({"", "~", "null", "Null", "NULL"})


def from_yaml(text: str, file: str) -> Document:
    """The document in `text`. Never raises: what is wrong stands in its faults."""
    document = Document()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        document.lose(_syntax_fault(error, file))
        return document
    except RecursionError:
        document.lose(Fault("nested too deeply", Location(file=file)))
        return document
    _read_root(root, document, file)
    return document


def value_from_yaml(text: str, file: str) -> tuple[Node, list[Fault]]:
    """One value, such as `[a, b]`, and what is wrong with it."""
    document = from_yaml(f"value: {text}", file)
    return document.data.get("value"), document.faults


def _read_root(root: yaml.Node | None, document: Document, file: str) -> None:
    document.places[()] = Location(file=file)
    if root is None or (isinstance(root, yaml.ScalarNode) and root.value in _EMPTY):
        return
    if not isinstance(root, yaml.MappingNode):
        document.lose(Fault("a configuration is a mapping of sections", Location((), file, 1)))
        return
    document.data.update(cast("dict[str, Node]", _Reader(document, file).read(root, ())))


def _syntax_fault(error: yaml.YAMLError, file: str) -> Fault:
    """Says where and, unless PyYAML's words repeat the text (which may be a password), what."""
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else None
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be parsed")
    if _TAB.search(problem):
        return Fault("not valid YAML: a tab: YAML indents with spaces", Location((), file, line))
    quotes = "'" in problem or '"' in problem
    told = "a character, alias or tag that is not allowed here" if quotes and "expected" not in problem else problem
    return Fault(f"not valid YAML: {told}", Location((), file, line), _QUOTE_HINT)


class _Reader:
    """Walks the composed nodes of one file."""

    __slots__ = ("_document", "_file", "_open", "_size")

    def __init__(self, document: Document, file: str) -> None:
        self._document = document
        self._file = file
        self._open: set[int] = set()
        self._size = 0

    def read(self, node: yaml.Node, path: KeyPath) -> Node:
        self._size += 1
        if self._size > SIZE or len(path) > DEPTH:
            return self._fault("nested too deeply or too large", path, node)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            return self._fault("an alias stands inside what it names", path, node)
        self._open.add(id(node))
        try:
            return self._collection(node, path)
        finally:
            self._open.discard(id(node))

    def _collection(self, node: yaml.Node, path: KeyPath) -> Node:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        items: list[Node] = []
        for index, each in enumerate(cast("list[yaml.Node]", node.value)):
            self._place((*path, index), each)
            items.append(self.read(each, (*path, index)))
        return items

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Node]:
        result: dict[str, Node] = {}
        merges: list[yaml.Node] = []
        for key_node, value_node in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault("a key is text", path, key_node)
            elif key_node.value == "<<" and not key_node.style:
                merges.append(value_node)
            else:
                self._pair(key_node, value_node, path, result)
        for merge in merges:
            result = self._merge_key(merge, path) | result
        return result

    def _pair(self, key_node: yaml.ScalarNode, value_node: yaml.Node, path: KeyPath, into: dict[str, Node]) -> None:
        key = str(key_node.value)
        if key in into:
            self._fault("the key is there twice", (*path, key), key_node, f"first in line {self._line((*path, key))}")
            return
        self._place((*path, key), key_node)
        into[key] = self.read(value_node, (*path, key))

    def _merge_key(self, node: yaml.Node, path: KeyPath) -> dict[str, Node]:
        """`<<: *defaults`, or a list of them; the first in the list wins, as YAML has it."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str, Node] = {}
        for part in cast("list[yaml.Node]", parts):
            value = self.read(part, path)
            if not isinstance(value, dict):
                self._fault("`<<` takes a mapping, or a list of them", path, part)
                continue
            result = value | result
        return result

    def _place(self, path: KeyPath, node: yaml.Node) -> None:
        self._document.places.setdefault(path, Location(path, self._file, node.start_mark.line + 1))

    def _line(self, path: KeyPath) -> int | None:
        return self._document.places[path].line

    def _fault(self, problem: str, path: KeyPath, node: yaml.Node, hint: str | None = None) -> Node:
        where = Location(path, self._file, node.start_mark.line + 1)
        self._document.lose(Fault(problem, where, hint))
        return None


def _scalar(node: yaml.ScalarNode) -> Node:
    text = str(node.value)
    if node.style:
        return text
    return None if text in _EMPTY else Plain(text)
