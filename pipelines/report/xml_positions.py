"""Parses a small XML file into elements with positions, so that parts can be edited without touching the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import unescape

NAME_AND_VALUE = re.compile(rb"""\s+([^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')""")
MOST_NAMESPACES = 200  # in one place
START_TAG = re.compile(rb"""<([^\s/>]+)((?:\s+[^\s=/>]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(/?)>""")


class NotEditable(Exception):
    """The file is not XML, or a kind of XML that is not edited here. The message says which."""


class Attribute(NamedTuple):
    """An attribute; `start` and `end` include the white space before it."""

    name: str  # {namespace}name
    value: str
    start: int
    end: int


@dataclass
class Element:
    """An element; all positions are byte offsets in the file."""

    name: str  # {namespace}name
    raw_name: bytes  # as written, with its prefix
    start: int
    opened: int  # just after the start tag
    attributes: list[Attribute]
    scope: dict[str, str]  # prefix -> namespace
    closing: int = 0  # start of the end tag; equals `opened` for <a/>
    end: int = 0
    text: str = ""
    children: list[Element] = field(default_factory=list)


def parse(data: bytes) -> Element:
    """Parse a file and return its root.

    Raises:
        NotEditable: it is not well-formed, not in UTF-8, or has a document type, which could define entities.
    """
    root: list[Element] = []
    open_elements: list[Element] = []
    parser = expat.ParserCreate()
    parser.buffer_text = True  # else each line comes by itself

    def start(raw_name: str, _: dict) -> None:
        position = parser.CurrentByteIndex
        found = START_TAG.match(data, position)
        if not found or found[1].decode() != raw_name:
            raise NotEditable("the positions of its elements cannot be determined")
        pairs = [(m[1].decode(), m[2][1:-1].decode(), m.span()) for m in NAME_AND_VALUE.finditer(data, *found.span(2))]
        scope = open_elements[-1].scope if open_elements else {"xml": "http://www.w3.org/XML/1998/namespace"}
        if declared := {name[6:]: value for name, value, _ in pairs if name == "xmlns" or name.startswith("xmlns:")}:
            scope = scope | declared  # a copy; elements that declare nothing share that of their parent
            if len(scope) > MOST_NAMESPACES:
                raise NotEditable(f"it has more than {MOST_NAMESPACES} namespaces")
        attributes = [
            Attribute(_expanded(name, scope, ""), unescape(value, {"&quot;": '"', "&apos;": "'"}), *span)
            for name, value, span in pairs
        ]
        element = Element(
            _expanded(raw_name, scope, scope.get("", "")), found[1], position, found.end(), attributes, scope
        )
        (open_elements[-1].children if open_elements else root).append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        element = open_elements.pop()
        if data[element.opened - 2 : element.opened] == b"/>":
            element.closing = element.end = element.opened
        else:
            element.closing = parser.CurrentByteIndex
            element.end = data.index(b">", element.closing) + 1

    def text(characters: str) -> None:
        open_elements[-1].text += characters

    def declaration(_: str, encoding: str | None, __: int) -> None:
        if (encoding or "utf-8").lower() not in ("utf-8", "utf8"):
            raise NotEditable(f"its encoding is {encoding}")

    def document_type(*_: object) -> None:
        raise NotEditable("it has a document type")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.XmlDeclHandler, parser.StartDoctypeDeclHandler = declaration, document_type
    try:
        data.decode()
        parser.Parse(data, True)
    except (expat.ExpatError, UnicodeDecodeError) as error:
        raise NotEditable(f"it is not XML in UTF-8 ({error})") from None
    return root[0]


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replace each span (start, end) of `data` by its new bytes."""
    for start, end, new in sorted(edits, reverse=True):
        data = data[:start] + new + data[end:]
    return data


def with_space_before(data: bytes, start: int) -> int:
    """Return the start of the white space before `start`."""
    return len(data[:start].rstrip(b" \t\r\n"))


def _expanded(name: str, scope: dict[str, str], without_prefix: str) -> str:
    prefix, colon, local = name.rpartition(":")
    return f"{{{scope.get(prefix, '') if colon else without_prefix}}}{local}"
