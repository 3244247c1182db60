# SPDX-License-Identifier: GPL-3.0-or-later
"""XML elements that know the line they began on, read with nothing resolved and nothing loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator, Optional
from xml.parsers import expat

from ..model.errors import LabError

# Far deeper than any domain XML; deeper documents are not parsed further.
DEPTH = 64

# Braces and at signs would mean something to the lab's template of a guest and to its markers.
_ESCAPED = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "{": "&#123;", "}": "&#125;", "@": "&#64;"}
)


class Raw(str):
    """A text that goes into the XML as it is: an expression of the guest's template."""


@dataclass
class Element:
    """An element; names are as written, prefixes included. Text beside children is not kept: domain XML has none.

    ``line`` is the line of the file on which the element begins; 0 for one that the lab added.
    """

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    text: str = ""
    line: int = 0

    def get(self, attribute: str, default: str = "") -> str:
        return self.attributes.get(attribute, default)

    def child(self, *path: str) -> Optional[Element]:
        """The first descendant at a path of tags; None when there is none."""
        found: Optional[Element] = self
        for tag in path:
            found = next((child for child in found.children if child.tag == tag), None) if found else None
        return found

    def all(self, tag: str) -> list[Element]:
        """The children with a tag."""
        return [child for child in self.children if child.tag == tag]

    def walk(self) -> Iterator[Element]:
        """The element and all its descendants."""
        yield self
        for child in self.children:
            yield from child.walk()

    def remove(self, child: Element) -> None:
        """Take out one child, by identity: others may be equal."""
        self.children = [other for other in self.children if other is not child]

    def to_xml(self, indent: str = "") -> str:
        """The element as a part of a guest's template: only a ``Raw`` text is evaluated there."""
        attributes = "".join(f" {name}='{_escape(value)}'" for name, value in self.attributes.items())
        if self.children:
            inner = "".join(child.to_xml(indent + "  ") for child in self.children)
            return f"{indent}<{self.tag}{attributes}>\n{inner}{indent}</{self.tag}>\n"
        if self.text:
            return f"{indent}<{self.tag}{attributes}>{_escape(self.text)}</{self.tag}>\n"
        return f"{indent}<{self.tag}{attributes}/>\n"


def _escape(text: str) -> str:
    return text if isinstance(text, Raw) else text.translate(_ESCAPED)


def parse(data: bytes, where: str) -> Element:
    """Read a document. A document type declaration, and with it every entity and external DTD, is refused.

    :param where: the file, for errors.
    :raises LabError: naming file and line.
    """
    parser = expat.ParserCreate()
    root: list[Element] = []
    open_elements: list[Element] = []

    def refuse(*_: object) -> None:
        raise LabError(
            f"{where}:{parser.CurrentLineNumber}: it has a document type declaration, which may name entities and other files; "
            "give the XML as 'virsh dumpxml' prints it, which has none"
        )

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_elements) == DEPTH:
            raise LabError(
                f"{where}:{parser.CurrentLineNumber}: elements are nested more than {DEPTH} deep; this is no domain XML"
            )
        element = Element(tag, dict(attributes), line=parser.CurrentLineNumber)
        (open_elements[-1].children if open_elements else root).append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        element = open_elements.pop()
        element.text = "" if element.children else element.text.strip()

    def text(part: str) -> None:
        open_elements[-1].text += part

    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    try:
        parser.Parse(data, True)
    except (LookupError, ValueError) as error:
        raise LabError(f"{where}: its encoding cannot be read ({error}); give it in UTF-8, as virsh prints it") from error
    except expat.ExpatError as error:
        problem = expat.errors.messages[error.code]
        raise LabError(
            f"{where}:{error.lineno}: it is not well-formed XML ({problem}); give what 'virsh dumpxml' prints"
        ) from error
    return root[0]
