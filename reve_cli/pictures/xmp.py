"""XMP packets: ours, others' with ours added, and what they say.

An XMP packet may come from anyone: `properties` refuses document types and so all entities, and `LONGEST_TEXT` limits
what is read at all. Source: XMP specification, parts 1 and 2 (ISO 16684); IPTC Photo Metadata Standard.
May import: pictures.provenance.
"""

import json
import re
from collections.abc import Collection, Iterator

from reve_cli.pictures.provenance import NAMES, Provenance

OURS = "urn:reve-cli:image:1#"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_DESCRIPTION, _TOOL, _SOURCE_TYPE = f"{_DC} description", f"{_XMP} CreatorTool", f"{_IPTC} DigitalSourceType"
_COMMON = frozenset((_DESCRIPTION, _TOOL, _SOURCE_TYPE))
_NO_ABOUT = '""'
_OUR_BLOCK = re.compile(f'<rdf:Description rdf:about="[^"<]*" xmlns:reve="{OURS}".*?</rdf:Description>\n?', re.DOTALL)
_ABOUT = re.compile(r'rdf:about=("[^"<]*")')
_END = "</rdf:RDF>"
# A reference to Content Credentials that are kept elsewhere.
_REFERENCE = "dcterms:provenance"
_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">
%s{_END}</x:xmpmeta>
<?xpacket end="w"?>"""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_DEEPEST = 100


def written(record: Provenance, old: str | None) -> str | None:
    """A packet with `record`, in which the packet `old` of others is kept. None if nothing can be added to `old`."""
    rest = without_ours(old) if old else None
    if rest is None:
        return _PACKET % _block(record, _NO_ABOUT, _COMMON)
    known, before, end, after = properties(rest), *rest.rpartition(_END)
    if known is None or not end or any(name.startswith(OURS) for name in known):
        return None
    about = _ABOUT.search(rest)
    ours = _block(record, about[1] if about else _NO_ABOUT, {name for name in _COMMON if name not in known})
    return f"{before}{ours}{end}{after}"


def without_ours(packet: str) -> str | None:
    """A packet without what `written` added. None if nothing else was in it."""
    rest = _OUR_BLOCK.sub("", packet)
    return None if rest == _PACKET % "" else rest


def refers_to_credentials(packet: str) -> bool:
    """Whether the packet refers to Content Credentials."""
    return _REFERENCE in packet


def read(packet: str) -> Provenance | None:
    """What a packet says of how the image was made. None if it says nothing of it."""
    found = properties(packet) or {}
    ours = {name: found[f"{OURS} {name}"] for name in NAMES.values() if f"{OURS} {name}" in found}
    source_type, tool = found.get(_SOURCE_TYPE), found.get(_TOOL)
    if ours:
        data = {name: _typed(name, text) for name, text in ours.items()}
        escaped = found.get(f"{OURS} promptEscaped")
        if escaped is not None:
            data["prompt"] = _parsed(escaped)
        return Provenance.of_document({"digitalSourceType": source_type, "tool": tool, **data})
    return Provenance(source_type=source_type, tool=tool) if source_type else None


def properties(packet: str) -> dict[str, str] | None:
    """The text of each property of a packet, by namespace and name; of a list, its first item.

    None if it is not well-formed, or declares a document type.
    """
    from xml.parsers import expat  # loaded here, as a batch only writes

    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = reader.text, reader.doctype
    try:
        parser.Parse(packet.encode("utf-8", "replace"), True)
    except (expat.ExpatError, ValueError):
        return None
    return reader.found


class _Reader:
    """Collects properties: attributes and children of `rdf:Description`."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._path: list[str] = []
        self._text: list[str] = []
        self._at = 0
        """The depth of the property that is being read; 0 outside of one."""

    def doctype(self, *_: object) -> None:
        raise ValueError("XMP has no document type")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._path and self._path[-1] == f"{_RDF} Description" and not self._at:
            self._at, self._text = len(self._path) + 1, []
        self._path.append(name)
        if len(self._path) > _DEEPEST:
            raise ValueError("too deep")
        if name == f"{_RDF} Description" and not self._at:
            for attribute, value in attributes.items():
                self.found.setdefault(attribute, value)

    def text(self, data: str) -> None:
        if self._at:
            self._text.append(data)

    def end(self, name: str) -> None:
        is_item = name == f"{_RDF} li"
        if self._at and (is_item or len(self._path) == self._at):
            text = "".join(self._text)
            self.found.setdefault(self._path[self._at - 1], text)
        if len(self._path) == self._at:
            self._at = 0
        self._path.pop()


def _block(record: Provenance, about: str, common: Collection[str]) -> str:
    """Our `rdf:Description`. common: which of the properties that others may write too it has."""
    lines = [f'<rdf:Description rdf:about={about} xmlns:reve="{OURS}" xmlns:dc="{_DC}" xmlns:xmp="{_XMP}"']
    lines.append(f' xmlns:Iptc4xmpExt="{_IPTC}">')
    if _DESCRIPTION in common and record.prompt is not None:
        item = f'<rdf:li xml:lang="x-default">{_escaped(record.prompt)}</rdf:li>'
        lines.append(f"<dc:description><rdf:Alt>{item}</rdf:Alt></dc:description>")
    if _TOOL in common and record.tool is not None:
        lines.append(f"<xmp:CreatorTool>{_escaped(record.tool)}</xmp:CreatorTool>")
    if _SOURCE_TYPE in common and record.source_type is not None:
        lines.append(f"<Iptc4xmpExt:DigitalSourceType>{record.source_type}</Iptc4xmpExt:DigitalSourceType>")
    lines += _own(record)
    return "\n".join([*lines, "</rdf:Description>\n"])


def _own(record: Provenance) -> Iterator[str]:
    """The properties in our own namespace. All values are text there; `_typed` undoes it."""
    for name, value in record.document().items():
        if value is None or name == "digitalSourceType":
            continue
        if name == "prompt" and _NOT_XML.search(value):
            yield f"<reve:promptEscaped>{_escaped(json.dumps(value))}</reve:promptEscaped>"
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"<reve:{name}>{_escaped(text)}</reve:{name}>"


def _typed(name: str, text: str) -> object:
    """A value of our own property: numbers and booleans are JSON."""
    return _parsed(text) if name in ("seed", "image", "creditCost", "simulated") else text


def _parsed(text: str) -> object:
    try:
        return json.loads(text[:100_000])
    except (ValueError, RecursionError):
        return None


def _escaped(text: str) -> str:
    """Text as XML: what XML cannot hold is replaced, and a carriage return survives."""
    return _NOT_XML.sub("\ufffd", text).translate(_REFERENCES)
