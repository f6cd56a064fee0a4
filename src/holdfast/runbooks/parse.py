"""Markdown becomes a runbook: front matter, sections, and the blocks marked `yaml step`.

The text stays ordinary Markdown that a person can follow by hand. What is marked as a step is
read strictly; a block that only looks like one is an error, so that nothing is skipped silently.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.runbooks.errors import RunbookError
from holdfast.runbooks.fields import Fields, key_lines
from holdfast.runbooks.model import IMPACTS, MODES, Link, Runbook, RunbookMatch, RunbookStep
from holdfast.runbooks.strict_yaml import load_mapping

if TYPE_CHECKING:
    from markdown_it.token import Token

BYTES_MAX = 1_000_000
STEPS_MAX = 50
RETRIES_MAX = 10
TIMEOUT_S_MAX = 3600.0
COOLDOWN_S_MAX = 86_400.0
FRONT_KEYS = ("name", "title", "match", "mode", "owner", "services")
MATCH_KEYS = ("incident_type", "labels", "checks")
STEP_KEYS = (
    *("action", "target", "params", "when", "expect"),
    *("retries", "cooldown", "timeout", "impact", "undo"),
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_FENCE = "---"


def parse(text: str | bytes, path: str) -> Runbook:
    """Read a runbook. Raises RunbookError (path:line, fact, value, next step)."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - most commands read no runbook

    source = _decoded(text, path)
    version = hashlib.sha256(source.encode()).hexdigest()[:12]
    lines = source.removeprefix("\ufeff").splitlines()
    end = _front_matter_end(lines, path)
    front = _front_matter("\n".join(lines[1:end]), path)
    # Blank lines stand in for the front matter, so that every line keeps its number.
    body = [""] * (end + 1) + lines[end + 1 :]
    found = _Body(path=path)
    found.read(MarkdownIt("commonmark").parse("\n".join(body)))
    name = front.word("name", required=True) or ""
    if not _NAME.fullmatch(name):
        front.fail("name", f"`name` is {name!r}; use letters, digits, dots, dashes")
    return Runbook(
        name=name,
        title=front.word("title") or name,
        path=path,
        version=version,
        text=source,
        match=_match(front),
        mode=front.choice("mode", MODES),
        owner=front.word("owner"),
        services=front.words("services"),
        steps=tuple(found.steps),
        sections=_sections(found.headings, body),
        links=tuple(found.links),
    )


def _decoded(text: str | bytes, path: str) -> str:
    if isinstance(text, bytes):
        text = _utf8(text, path)
    size = len(text.encode("utf-8", errors="surrogatepass"))
    if size > BYTES_MAX:
        raise RunbookError(path, 1, f"{size} bytes are more than {BYTES_MAX}; split the runbook")
    if stray := _NO_TEXT.search(text):
        line = text.count("\n", 0, stray.start()) + 1
        raise RunbookError(path, line, f"the character {stray[0]!r} is no text; take it away")
    return text


def _utf8(raw: bytes, path: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        fact = f"byte {raw[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        raise RunbookError(path, line, fact) from None


def _front_matter_end(lines: list[str], path: str) -> int:
    if not lines or lines[0].rstrip() != _FENCE:
        raise RunbookError(
            path, 1, f"no front matter; begin the file with `{_FENCE}`, `name: ...`, `{_FENCE}`"
        )
    for number, row in enumerate(lines[1:], start=1):
        if row.rstrip() == _FENCE:
            return number
    raise RunbookError(path, 1, f"the front matter never ends; close it with a line `{_FENCE}`")


def _front_matter(text: str, path: str) -> Fields:
    fields = Fields(
        values=load_mapping(text, path=path, first_line=2, what="front matter"),
        path=path,
        line=2,
        what="front matter",
        lines=key_lines(text, 2),
    )
    fields.only(FRONT_KEYS)
    return fields


def _match(front: Fields) -> RunbookMatch:
    line = front.lines.get("match", front.line)
    fields = Fields(
        values=front.mapping("match"), path=front.path, line=line, what="`match`", lines={}
    )
    fields.only(MATCH_KEYS)
    return RunbookMatch(
        incident_types=fields.words("incident_type"),
        labels=fields.word_map("labels"),
        checks=fields.word_map("checks"),
    )


@dataclass(slots=True)
class _Heading:
    level: int
    text: str
    line: int
    has_step: bool = False


@dataclass(slots=True)
class _Body:
    """What the tokens of one text hold, collected in one pass."""

    path: str
    headings: list[_Heading] = field(default_factory=list)
    steps: list[RunbookStep] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    def read(self, tokens: "list[Token]") -> None:
        for position, token in enumerate(tokens):
            line = token.map[0] + 1 if token.map else 1
            if token.type == "heading_open":
                text = tokens[position + 1].content.strip()
                self.headings.append(_Heading(int(token.tag[1]), text, line))
            elif token.type == "fence" and self._is_step(token, line):
                self._add_step(token, line)
            elif token.type == "inline":
                self.links.extend(_links(token, line))

    def _is_step(self, token: "Token", line: int) -> bool:
        words = token.info.lower().split()
        if words == ["yaml", "step"]:
            return True
        if words and words[-1] in {"step", "steps"}:
            fact = f"a block marked `{token.info.strip()}`; mark a step with `yaml step`"
            raise RunbookError(self.path, line, fact)
        return False

    def _add_step(self, token: "Token", line: int) -> None:
        if not self.headings:
            raise RunbookError(self.path, line, "a step without a heading; put a heading above it")
        heading = self.headings[-1]
        if heading.has_step:
            fact = f"a second step under {heading.text!r}; give each step a heading of its own"
            raise RunbookError(self.path, line, fact)
        if len(self.steps) >= STEPS_MAX:
            raise RunbookError(self.path, line, f"more than {STEPS_MAX} steps; split the runbook")
        heading.has_step = True
        self.steps.append(_step(heading.text, token.content, path=self.path, line=line))


def _step(title: str, text: str, *, path: str, line: int) -> RunbookStep:
    what = f"step {title!r}"
    first_line = line + 1
    fields = Fields(
        values=load_mapping(text, path=path, first_line=first_line, what=what),
        path=path,
        line=first_line,
        what=what,
        lines=key_lines(text, first_line),
    )
    fields.only(STEP_KEYS)
    return RunbookStep(
        title=title,
        action=fields.word("action", required=True) or "",
        target=fields.word("target", required=True) or "",
        line=line,
        params=fields.mapping("params"),
        when=fields.words("when"),
        expect=fields.words("expect"),
        retries=fields.count("retries", default=0, most=RETRIES_MAX),
        cooldown_s=fields.seconds("cooldown", default=0.0, most_s=COOLDOWN_S_MAX),
        timeout_s=fields.seconds("timeout", default=30.0, least_s=0.1, most_s=TIMEOUT_S_MAX),
        impact=fields.choice("impact", IMPACTS) or "low",
        undo=fields.word("undo"),
    )


def _links(token: "Token", line: int) -> list[Link]:
    """Find the links and pictures of one paragraph, each at its own line."""
    links = []
    children = token.children or []
    for position, child in enumerate(children):
        if child.type in {"softbreak", "hardbreak"}:
            line += 1
        elif child.type == "link_open":
            following = children[position + 1] if position + 1 < len(children) else child
            target = str(child.attrs.get("href", ""))
            links.append(Link(target=target, text=following.content, line=line))
        elif child.type == "image":
            links.append(
                Link(target=str(child.attrs.get("src", "")), text=child.content, line=line)
            )
    return links


def _sections(headings: list[_Heading], body: list[str]) -> dict[str, str]:
    """Cut the text at its second-level headings; two of one name are joined."""
    starts = [heading for heading in headings if heading.level <= 2]  # noqa: PLR2004 - `##`
    sections: dict[str, str] = {}
    for heading, after in zip(starts, [*starts[1:], None], strict=True):
        end = after.line - 1 if after else len(body)
        text = "\n".join(body[heading.line : end]).strip()
        if heading.level == 2:  # noqa: PLR2004 - `##`
            sections[heading.text] = "\n\n".join(filter(None, [sections.get(heading.text), text]))
    return sections
