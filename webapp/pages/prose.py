"""What the agent writes, taken apart: paragraphs, lists, a few emphasised words. Nothing here makes HTML.

Only what helps reading is known: blank lines, ``-``, ``*`` and ``1.`` at the start of a line, ``#`` headings,
``**strong**``, ``code`` between backticks, and links to pages of this app. Everything else, tags and other links too,
stays the text it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_ITEM = re.compile(r"\s{0,3}(?:[-*•]|(\d{1,3})[.)])\s+(\S.*)")
_HEADING = re.compile(r"#{1,6}\s+(\S.*)")
_MARKED = re.compile(
    r"\*\*(?P<strong>[^*\n]+)\*\*|`(?P<code>[^`\n]+)`"
    r"|\[(?P<words>[^\]\n]+)\]\((?P<link>/(?:runs|recipes|sources|reconcile)(?:/[\w.-]+)?)\)"
)

Pieces = list[tuple[str, str]]


@dataclass
class Block:
    """``kind`` is paragraph, heading, list or numbers; ``lines`` are pieces of (text, "" | strong | code | address)."""

    kind: str
    lines: list[Pieces] = field(default_factory=list)


def blocks(text: str) -> list[Block]:
    """The blocks of a text, in order; none of a blank one.

    >>> [(b.kind, b.lines) for b in blocks("Two **files**:\\n- bank")]
    [('paragraph', [[('Two ', ''), ('files', 'strong'), (':', '')]]), ('list', [[('bank', '')]])]
    """
    found: list[Block] = []
    apart = True
    for line in text.splitlines():
        if not line.strip():
            apart = True
            continue
        kind, words = _kind(line)
        if apart or not found or found[-1].kind != kind or kind == "heading":
            # A list goes on over a blank line, a paragraph does not.
            if not (found and kind in ("list", "numbers") and found[-1].kind == kind):
                found.append(Block(kind))
        found[-1].lines.append(pieces(words))
        apart = False
    return found


def _kind(line: str) -> tuple[str, str]:
    item = _ITEM.fullmatch(line)
    if item:
        return ("numbers" if item[1] else "list"), item[2].strip()
    heading = _HEADING.fullmatch(line)
    return ("heading", heading[1].strip()) if heading else ("paragraph", line.strip())


def pieces(line: str) -> Pieces:
    """A line in pieces, each with how it is meant: "", strong, code, or the address of a page of this app."""
    found: Pieces = []
    at = 0
    for mark in _MARKED.finditer(line):
        if mark.start() > at:
            found.append((line[at : mark.start()], ""))
        kind = mark.lastgroup or ""
        found.append((mark["words"], mark["link"]) if kind == "link" else (mark[kind], kind))
        at = mark.end()
    return [*found, (line[at:], "")] if at < len(line) else found


def plain(text: str) -> str:
    """The text without its marks, in one line: for announcements and titles."""
    return " ".join("".join(word for word, _ in line) for block in blocks(text) for line in block.lines)
