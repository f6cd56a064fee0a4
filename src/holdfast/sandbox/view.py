"""Draws a Scene for a terminal of any size: what is broken, what is seen, what is decided and why.

Rule: it draws and nothing else; the same Scene gives the same picture. What does not
fit is left out from the least telling up, never squeezed until it can't be read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import (
    Console,
    ConsoleOptions,
    Group,
    OverflowMethod,
    RenderableType,
    RenderResult,
)
from rich.table import Table
from rich.text import Text

from holdfast.kernel.clock import parse_at
from holdfast.sandbox.exposed import Reading
from holdfast.sandbox.scene import ENDINGS, MIN_SAMPLES, STAGES, Line, Scene, folded

WIDE = 112
TALL = 36
SPARK_S = 16
USED_BY_OTHERS = 26  # rows that a narrow screen needs for all but the diagnosis
ROWS_A_TEXT = 3
_INDENT = 21  # where the words of a timeline's line begin
COLUMNS = (
    "service",
    "region",
    "state",
    "errors",
    "latency",
    "traffic",
    "waiting",
    "errors, last 16 s",
    "traffic, last 16 s",
)
LEFT_OUT_FIRST = ("traffic, last 16 s", "waiting", "errors, last 16 s", "latency", "traffic")
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "._-=+*%#"
_STATUS = {"healthy": "green", "degraded": "yellow", "down": "red", "unknown": "magenta"}
_KINDS: Mapping[str, str] = {
    "incident_opened": "bold red",
    "signal_attached": "cyan",
    "step_intended": "bold yellow",
    "step_finished": "bold yellow",
    "step_reconciled": "bold yellow",
    "step_blocked": "red",
    "step_in_doubt": "bold magenta",
    "verification_recorded": "bold",
    "held": "bold magenta",
    "escalated": "bold magenta",
    "paged": "bold magenta",
    "resolved": "bold green",
    "dismissed": "green",
    "sandbox": "bold white on dark_red",
}


@dataclass(slots=True)
class View:
    """The picture of a scene now. `now_s` is a monotonic clock."""

    scene: Scene
    now_s: Callable[[], float]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        picture = _Picture(
            scene=self.scene,
            now=self.now_s(),
            console=console,
            width=options.max_width,
            ascii=bool(options.ascii_only),
        )
        yield picture.draw(options.height or console.size.height)


@dataclass(slots=True, kw_only=True)
class _Picture:
    scene: Scene
    now: float
    console: Console
    width: int
    ascii: bool

    def draw(self, height: int) -> RenderableType:
        """Put the blocks under one another; the timeline takes what is left."""
        head, services = self._head(), self._services()
        middle = self._middle(height)
        used = len(head) + 1 + (services.row_count + 1) + sum(rows for _, rows in middle)
        parts: list[RenderableType] = [*head, Text(), services]
        parts += [block for block, _ in middle]
        left = height - used - 2
        if left > 1:
            parts += [self._title("timeline"), *self._timeline(left)]
        return Group(*parts)

    # --- above: where we are, and what was broken -------------------------

    def _head(self) -> list[Text]:
        scene, elapsed = self.scene, self.now - self.scene.began_s
        title = Text(" holdfast demo ", style="bold white on blue")
        title.append(f" {scene.plan.name}", style="bold")
        title.append(f"  {scene.plan.scenario.title}", style="dim")
        clock = Text(f"{elapsed:5.1f} s")
        return [
            self._fit(title, clock),
            self._cut(self._stages()),
            self._cut(self._what_is_broken()),
        ]

    def _stages(self) -> Text:
        mark, more = ("ok", "...") if self.ascii else ("✓", "…")
        parts = Text()
        for name, shown in STAGES.items():
            if name == "aftercare" and not self.scene.plan.scenario.aftercare:
                continue
            if name in self.scene.took_s:
                parts.append(f"{mark} {shown} {self.scene.took_s[name]:.1f} s   ", style="green")
            elif name == self.scene.stage:
                parts.append(f"> {shown} {more}   ", style="bold yellow")
            else:
                parts.append(f"{shown}   ", style="dim")
        return parts

    def _what_is_broken(self) -> Text:
        scene = self.scene
        if scene.injected_s is None:
            if not scene.series:
                return Text("nothing is broken yet: the platform starts", style="dim")
            seen = min(scene.ticks, MIN_SAMPLES)
            told = f"sample {seen} of the {MIN_SAMPLES} it needs, of {scene.series} series"
            bar = ("#" if self.ascii else "█") * (20 * seen // MIN_SAMPLES)
            empty = "." if self.ascii else "░"
            return Text(
                f"nothing is broken yet: Holdfast learns what is normal {bar:{empty}<20} {told}"
            )
        fault = next(line for line in scene.lines if line.kind == "sandbox")
        if scene.ended is not None:
            word, colour = ENDINGS[scene.ended.kind]
            after = f" {(scene.ended.at - fault.at).total_seconds():.1f} s after: "
            return Text.assemble((f" {word} ", f"bold white on {colour}"), after, fault.text)
        ago = f" {self.now - scene.injected_s:.0f} s ago: "
        watched = scene.plan.scenario.watch_s is not None
        mark = (" SURGE ", "black on yellow") if watched else (" BROKEN ", "bold white on red")
        return Text.assemble(mark, ago, fault.text)

    # --- the services ------------------------------------------------------

    def _services(self) -> Table:
        rows = [list(self._row(*key, list(seen))) for key, seen in [*self.scene.readings.items()]]
        shown = self._columns_that_fit(rows)
        table = Table.grid(padding=(0, 2, 0, 0))
        for column in shown:
            right = COLUMNS[column] in {"errors", "latency", "traffic", "waiting"}
            overflow: OverflowMethod = "crop" if self.ascii else "ellipsis"
            table.add_column(justify="right" if right else "left", no_wrap=True, overflow=overflow)
        table.add_row(*(Text(COLUMNS[column], style="dim") for column in shown))
        for row in rows:
            table.add_row(*(row[column] for column in shown))
        return table

    def _columns_that_fit(self, rows: Sequence[Sequence[Text]]) -> list[int]:
        """Leave out columns, the least telling first, until the rest has room."""
        widths = [
            2 + max(len(name), *(row[n].cell_len for row in rows)) if rows else 0
            for n, name in enumerate(COLUMNS)
        ]
        shown = set(range(len(COLUMNS)))
        for name in LEFT_OUT_FIRST:
            if sum(widths[column] for column in shown) - 2 > self.width:
                shown.discard(COLUMNS.index(name))
        return sorted(shown)

    def _row(self, service: str, region: str, seen: Sequence[Reading]) -> Iterator[Text]:
        last = seen[-1]
        yield Text(service, style="bold")
        yield Text(region if region != "global" else "-", style="" if region != "global" else "dim")
        yield Text("up", style="green") if last.up else Text(" DOWN ", style="bold white on red")
        for signal, text in (
            ("errors", _percent(last.errors)),
            ("latency", _milliseconds(last.latency_s)),
            ("traffic", _rate(last.traffic)),
            ("saturation", _count(last.waiting)),
        ):
            yield self._cell(service, region, signal, text)
        yield self._line([r.errors for r in seen[-SPARK_S:]], most=0.4, style="red")
        yield self._line([r.traffic for r in seen[-SPARK_S:]], most=None, style="cyan")

    def _cell(self, service: str, region: str, signal: str, text: str) -> Text:
        anomaly = self.scene.anomaly(service, region, signal)
        if anomaly is None:
            return Text(text)
        style = "bold white on red" if anomaly["severity"] == "critical" else "black on yellow"
        return Text(f" {text} ", style=style)

    def _line(self, values: Sequence[float | None], *, most: float | None, style: str) -> Text:
        bars = ASCII_BARS if self.ascii else BARS
        known = [value for value in values if value is not None]
        top = most or max(known, default=0.0) * 1.1 or 1.0
        drawn = "".join(
            " " if v is None else bars[min(len(bars) - 1, int(len(bars) * v / top))] for v in values
        )
        return Text(f"{drawn:>{SPARK_S}}", style=style)

    # --- what Holdfast makes of it ------------------------------------------

    def _middle(self, height: int) -> list[tuple[RenderableType, int]]:
        """Checks beside or above the diagnosis and the step. Low screens keep the step."""
        if self.scene.shown is None:
            return []
        wide = self.width >= WIDE
        column = (self.width - 2) // 2 if wide else self.width
        checks, thoughts = list(self._checks(column)), list(self._thoughts(column))
        if wide:
            table = Table.grid(padding=(0, 2, 0, 0))
            table.add_column(width=column)
            table.add_column(width=column)
            half = [self._cut(text, column) for text in checks]
            rest = self._wrapped(thoughts, column, len(half) + 2)
            table.add_row(Group(*half), Group(*rest))
            return [(table, max(len(half), len(rest)))]
        above = [] if height < TALL else [self._cut(text) for text in checks]
        shown = [*above, *self._wrapped(thoughts, column, max(0, height - USED_BY_OTHERS))]
        return [(Group(*shown), len(shown))]

    def _checks(self, width: int) -> Iterator[Text]:
        yield self._title("checks", width)
        checks = (self.scene.shown or {}).get("checks") or {}
        for name, result in checks.items():
            style = _STATUS.get(result["status"], "")
            text = Text.assemble((f"{result['status']:<9}", style), f"{name}  ")
            yield text.append(str(result.get("summary", "")), style="dim")

    def _thoughts(self, width: int) -> Iterator[Text]:
        shown = self.scene.shown or {}
        yield self._title(f"{shown['incident_id']} {shown['phase']}: why", width)
        if shown["incident_type"]:
            yield Text.assemble("type ", (shown["incident_type"], "bold"))
        for hypothesis in shown["hypotheses"][:3]:
            yield self._hypothesis(hypothesis)
        if shown["held"]:
            yield Text.assemble((" HELD ", "bold white on magenta"), " ", shown["held"]["why"])
        for step in shown["steps"][-2:]:
            yield from self._step(step)

    def _hypothesis(self, hypothesis: Mapping[str, Any]) -> Text:
        where = f" in {hypothesis['region']}" if hypothesis["region"] else ""
        counts = f"for it {len(hypothesis['supports'])}, against {len(hypothesis['contradicts'])}"
        first = hypothesis["rank"] == 1
        return Text.assemble(
            f"{hypothesis['rank']}. ",
            (f"{hypothesis['entity']}{where}: {hypothesis['mechanism']}", "bold" if first else ""),
            f" ({hypothesis['confidence']}, {counts}) ",
            (hypothesis["text"], "dim"),
        )

    def _step(self, step: Mapping[str, Any]) -> Iterator[Text]:
        state = {"verified": "green", "failed": "red", "blocked": "red", "unverified": "red"}
        yield Text.assemble(
            (f"step {step['step_id']} ", "bold"),
            (f"{step['action']} on {step['target']} ", "bold yellow"),
            (step["status"], state.get(step["status"], "bold")),
        )
        verdict = step["verdict"]
        if verdict:
            good = [reason for reason in verdict.get("reasons", ()) if reason["ok"]]
            bad = [reason for reason in verdict.get("reasons", ()) if not reason["ok"]]
            told = "; ".join(reason["text"] for reason in (bad or good))
            counts = f"guard: {verdict['decision']} ({len(good)} for, {len(bad)} against): "
            yield Text.assemble((f"  {counts}", "red" if bad else "green"), (told, "dim"))
        yield from self._verification(step)

    def _verification(self, step: Mapping[str, Any]) -> Iterator[Text]:
        done = step.get("verification")
        if done:
            style = "bold green" if done["status"] == "met" else "bold red"
            yield Text.assemble(
                ("  recovery: ", ""), (done["status"], style), f" {done['sentence']}"
            )
        elif step["status"] == "succeeded" and self.scene.acted_s is not None:
            took = self.now - self.scene.acted_s
            fresh = f"{took:.0f} s of fresh readings since the step"
            yield Text.assemble(("  verifying: ", "bold yellow"), f"{fresh}; recovered means:")
            for criterion in step["criteria"]:
                yield Text(f"    {criterion}", style="dim")

    # --- below: the timeline --------------------------------------------------

    def _timeline(self, rows: int) -> list[Text]:
        texts = [told(line, self.scene) for line in folded(self.scene.lines)[-rows:]]
        return self._wrapped(texts, self.width, rows, indent=_INDENT)[-rows:]

    # --- fitting ---------------------------------------------------------------

    def _title(self, text: str, width: int | None = None) -> Text:
        rule, room = "-" if self.ascii else "─", width or self.width
        return Text(f"{rule * 2} {text} ".ljust(room, rule)[:room], style="blue")

    def _fit(self, left: Text, right: Text) -> Text:
        room = self.width - len(right) - 1
        left = self._cut(left, room)
        left.append(" " * max(1, room - left.cell_len + 1))
        return left.append_text(right)

    def _wrapped(
        self, texts: Sequence[Text], width: int, rows: int, *, indent: int = 4
    ) -> list[Text]:
        """Wrap each text to as many rows as all can have, one at least; the latest get most."""
        rows_left, drawn = rows, list[list[Text]]()
        for still_to_draw, text in zip(range(len(texts) - 1, -1, -1), reversed(texts), strict=True):
            room = max(1, min(ROWS_A_TEXT, rows_left - still_to_draw))
            drawn.append(self._rows(text, width, room, indent))
            rows_left -= len(drawn[-1])
        return [row for block in reversed(drawn) for row in block]

    def _rows(self, text: Text, width: int, most: int, indent: int) -> list[Text]:
        """Wrap one text with a hanging indent, cut with an ellipsis after `most` rows."""
        first = text.wrap(self.console, width)[0]
        if most == 1 or first.cell_len >= text.cell_len:
            return [self._cut(text, width)]
        rest = text[len(first.plain.rstrip()) + 1 :]
        below = list(rest.wrap(self.console, width - indent))
        if len(below) >= most:
            below[most - 2 :] = [Text(" ").join(below[most - 2 :])]
        margin = " " * indent
        return [first, *(self._cut(Text(margin).append_text(row), width) for row in below)]

    def _cut(self, text: Text, width: int | None = None) -> Text:
        room = width or self.width
        text.no_wrap = True
        text.overflow = "crop" if self.ascii else "ellipsis"
        text.truncate(room, overflow=text.overflow)
        return text


def told(line: Line, scene: Scene) -> Text:
    """One line of the timeline, its time counted from the fault."""
    since = scene.injected["at"] if scene.injected else None
    from_fault = (line.at - parse_at(since)).total_seconds() if since else 0.0
    number = f"{line.incident_id} #{line.seq:<3}" if line.seq else "sandbox"
    style = _KINDS.get(line.kind, "")
    return Text.assemble(
        (f"{from_fault:+7.1f} s ", "dim"), (f"{number} ", "cyan"), (line.text, style)
    )


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.1f} %"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.0f} ms"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}/s"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
