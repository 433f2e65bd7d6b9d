"""Writes our figures and labels into new XMP packets, or merges them into those of other programs.

A merge changes only what is ours: properties in the namespace urn:r2mrf:1#, our own keywords, and a rating and label
that still have the values that we gave them. Every other byte is kept: properties, comments, padding, even white space.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from pipelines.report.labels import WORDS, Labels
from pipelines.report.xml_positions import Element, NotEditable, edited, parse, with_space_before

NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "r2mrf": "urn:r2mrf:1#",
}
SIMPLE, LISTS = ("xmp:Rating", "xmp:Label"), ("dc:subject", "lr:hierarchicalSubject", "digiKam:TagsList")
SEQUENCES = {"digiKam:TagsList"}  # the others are bags
EMPTY = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 </rdf:RDF>
</x:xmpmeta>
"""

Edit = tuple[int, int, bytes]


def merge(data: bytes, figures: dict[str, object], labels: Labels) -> bytes:
    """Put figures and labels into a packet; for a new one, start from `EMPTY`.

    Keywords are added to the packet's existing list. A rating or label that is not ours is kept.

    Raises:
        NotEditable: the packet cannot be edited safely.
    """
    document = _Packet(data)
    return document.with_block(figures, labels)


class _Packet:
    """A packet, and the edits that remove what is ours from it."""

    def __init__(self, data: bytes):
        self.data = data
        tables = [element for element in _all(parse(data)) if element.name == _name("rdf:RDF")]
        if len(tables) != 1 or tables[0].closing == tables[0].opened:
            raise NotEditable("it contains no XMP")
        self.rdf = tables[0]
        self.descriptions = [child for child in self.rdf.children if child.name == _name("rdf:Description")]
        self.ours_before = self._our_figures()
        self.edits: list[Edit] = []

    def with_block(self, figures: dict[str, object], labels: Labels) -> bytes:
        """Return the packet with our present figures and labels."""
        lists, simple = dict(labels.lists), dict(labels.simple)
        for description in self.descriptions:
            self._clear(description, lists, simple)
        written = figures | {name.partition(":")[2].lower(): value for name, value in simple.items()}
        about = next((a.value for d in self.descriptions for a in d.attributes if a.name.endswith("}about")), "")
        position = with_space_before(self.data, self.rdf.closing)
        self.edits.append((position, position, _block(about, written, simple, lists)))
        result = edited(self.data, self.edits)
        parse(result)
        return result

    def _our_figures(self) -> dict[str, str]:
        found = {a.name: a.value for d in self.descriptions for a in d.attributes}
        found |= {child.name: child.text.strip() for d in self.descriptions for child in d.children}
        ours = _name("r2mrf:")
        return {name.removeprefix(ours): value for name, value in found.items() if name.startswith(ours)}

    def _clear(self, description: Element, lists: dict[str, list[str]], simple: dict[str, str]) -> None:
        """Remove what is ours from a description; remove from `lists` and `simple` what need not be written again."""
        edits, kept_attributes, kept_children = list[Edit](), 0, 0
        for attribute in description.attributes:
            if self._is_ours(attribute.name, attribute.value):
                edits.append((attribute.start, attribute.end, b""))
            else:
                kept_attributes += _is_property(attribute.name)
                simple.pop(_short(attribute.name), None)
        for child in description.children:
            name = _short(child.name)
            if name in LISTS and not self._all_ours(child):
                edits += self._keywords(child, lists.pop(name, []))
                kept_children += 1
            elif name in LISTS or (not child.children and self._is_ours(child.name, child.text.strip())):
                edits.append((with_space_before(self.data, child.start), child.end, b""))
            else:
                simple.pop(name, None)
                kept_children += 1
        inside = self.data[description.opened : description.closing]
        if edits and not kept_attributes and not kept_children and b"<!--" not in inside and b"<?" not in inside:
            edits = [(with_space_before(self.data, description.start), description.end, b"")]
        self.edits += edits

    def _is_ours(self, name: str, value: str) -> bool:
        """Return whether a property is ours; a rating or label is ours as long as it has the value that we gave it."""
        short = _short(name)
        if short in SIMPLE:
            return self.ours_before.get(short.partition(":")[2].lower()) == value
        return name.startswith(_name("r2mrf:"))

    def _all_ours(self, keywords: Element) -> bool:
        items = [item for container in keywords.children for item in container.children]
        return bool(items) and all(_is_word(item) for item in items) and b"<!--" not in self._inside(keywords)

    def _inside(self, element: Element) -> bytes:
        return self.data[element.opened : element.closing]

    def _keywords(self, element: Element, words: list[str]) -> list[Edit]:
        """Replace our words in a list that also contains others."""
        containers = [child for child in element.children if child.name in (_name("rdf:Bag"), _name("rdf:Seq"))]
        if len(containers) != 1 or len(element.children) != 1:
            raise NotEditable(f"its {element.raw_name.decode()} is not a list of keywords")
        (container,) = containers
        ours = [item for item in container.children if _is_word(item)]
        edits: list[Edit] = [(with_space_before(self.data, item.start), item.end, b"") for item in ours]
        if not words:
            return edits
        prefix = container.raw_name.rpartition(b":")[0]
        item = (prefix + b":li") if prefix else b"li"
        new = b"".join(b"\n     <%b>%b</%b>" % (item, escape(word).encode(), item) for word in words)
        if container.closing == container.opened:  # <rdf:Bag/>
            slash = self.data.rindex(b"/", container.start, container.opened)
            return [*edits, (slash, container.opened, b">" + new + b"</" + container.raw_name + b">")]
        position = with_space_before(self.data, container.closing)
        return [*edits, (position, position, new)]


def _block(about: str, figures: dict[str, object], simple: dict[str, str], lists: dict[str, list[str]]) -> bytes:
    """Write a description of our own, which declares all namespaces that it uses."""
    used = ["rdf", "r2mrf", *dict.fromkeys(name.partition(":")[0] for name in (*simple, *lists))]
    lines = [f"\n  <rdf:Description xmlns:rdf={quoteattr(NAMESPACES['rdf'])} rdf:about={quoteattr(about)}"]
    lines += [f"\n    xmlns:{prefix}={quoteattr(NAMESPACES[prefix])}" for prefix in used[1:]]
    properties = {f"r2mrf:{name}": value for name, value in figures.items() if value is not None} | simple
    lines += [f"\n    {name}={quoteattr(_legal(str(value)))}" for name, value in properties.items()]
    lines.append(">" if lists else "/>")
    for name, words in lists.items():
        container = "rdf:Seq" if name in SEQUENCES else "rdf:Bag"
        items = "".join(f"\n     <rdf:li>{escape(word)}</rdf:li>" for word in words)
        lines.append(f"\n   <{name}>\n    <{container}>{items}\n    </{container}>\n   </{name}>")
    if lists:
        lines.append("\n  </rdf:Description>")
    return "".join(lines).encode()


def _all(element: Element) -> list[Element]:
    found, waiting = [], [element]
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].children
    return found


def _name(short: str) -> str:
    prefix, _, local = short.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def _short(name: str) -> str:
    """Return prefix:name for a property that is known here, otherwise the name itself."""
    return next((short for short in (*SIMPLE, *LISTS) if _name(short) == name), name)


def _is_property(name: str) -> bool:
    """Return whether an attribute describes the photo; others declare namespaces, or are rdf:about."""
    return not name.endswith(("}about", "}xmlns")) and not name.startswith("{}")


def _is_word(item: Element) -> bool:
    return not item.children and item.text.strip() in WORDS


def _legal(text: str) -> str:
    """Escape the characters that XML does not allow."""
    return re.sub(r"[\x00-\x1f\x7f\ufffe\uffff]", lambda m: f"\\x{ord(m[0]):02x}", text)
