"""The benchmark's document as a table for people, each bar beside its figure."""

from collections.abc import Mapping
from typing import Any

from bench.ledger_parts.growth import ROUNDS


def table(found: Mapping[str, Any]) -> str:
    lines: list[str] = []
    if "rates" in found:
        lines += _rates(found["rates"], found["rounds"])
    if "recovery" in found:
        lines += _recovery(found["recovery"])
    if "growth" in found:
        lines += _growth(found["growth"])
    if not found["dbos"]:
        lines.append("DBOS was not measured; --with-dbos installs it into .bench/")
    return "\n".join(lines)


def _verdict(entry: Mapping[str, Any], bar: str) -> str:
    if "met" not in entry:
        return ""
    return f"   bar {bar}: {'met' if entry['met'] else 'MISSED'}"


def _rates(rates: Mapping[str, Any], rounds: int) -> list[str]:
    raw = rates["raw_per_s"]
    lines = [
        f"raw append 512 B + fdatasync: {raw['median']:.0f}/s ({raw['q1']:.0f} to {raw['q3']:.0f})",
        f"ratios to that, medians of {rounds} rounds (quartiles), then units/s and CPU per unit",
    ]
    for name, entry in rates["variants"].items():
        ratio = entry["ratio_to_raw"]
        bar = f"≥ {entry.get('bar')}"
        if not entry.get("met", True):
            asked, allowed = entry["bar"] * raw["median"], 1e6 / entry["cpu_us"]
            bar += f" (asks for {asked:.0f}/s, one processor can do {allowed:.0f}/s)"
        lines.append(
            f"  {name:33} {ratio['median']:6.3f} ({ratio['q1']:.3f} to {ratio['q3']:.3f})"
            f" {entry['per_s']['median']:7.0f}/s {entry['cpu_us']:6.0f} µs{_verdict(entry, bar)}"
        )
    for name, entry in rates["times_dbos"].items():
        times = entry["times"]
        lines.append(
            f"  {times['median']:.1f} × DBOS on {name} ({times['q1']:.1f} to {times['q3']:.1f})"
            f"{_verdict(entry, '≥ 6')}"
        )
    return lines


def _recovery(recovery: Mapping[str, Any]) -> list[str]:
    lines = ["open incidents taken over by a fresh process after SIGKILL"]
    for name, entry in recovery.items():
        bar = f"≤ {entry.get('bar_s')} s"
        spent = ", ".join(f"{what} {s:.2f}" for what, s in entry["spent_s"].items())
        lines.append(
            f"  {name:16} {entry['took_s']:6.2f} s ({spent}; CPU {entry['cpu_s']:.2f}); "
            f"with the process's start {entry['with_start_s']:.2f} s; "
            f"verifying every chain {entry['verified_s']:.2f} s"
            f"{_verdict(entry, bar)}"
        )
    return lines


def _growth(growth: Mapping[str, Any]) -> list[str]:
    lines = [f"one incident of 10, 1,000 and {growth['records']:,} records, {ROUNDS} rounds"]
    for store in ("sqlite", "postgres"):
        entry = growth[store]
        for what in ("checkpoint", "append"):
            cells = [
                f"{cell['us']['median']:.0f} µs × {cell['ratio_to_10']['median']:.2f} "
                f"({cell['ratio_to_10']['q1']:.2f} to {cell['ratio_to_10']['q3']:.2f})"
                for cell in entry[what].values()
            ]
            lines.append(f"  {store} {what}: {', '.join(cells)}")
        held = " ".join(f"{value / 1e6:.0f}" for value in entry["worker"])
        reader = entry["reader"]
        lines += [
            f"  {store} worker's memory at each tenth, MB: {held}",
            (
                f"  {store} reader's memory, MB: {reader['before_bytes'] / 1e6:.0f} before, "
                f"{reader['checkpoint_bytes'] / 1e6:.0f} with the checkpoint, "
                f"{reader['whole_chain_bytes'] / 1e6:.0f} with the whole chain "
                f"({reader['whole_chain_s']:.1f} s)"
            ),
        ]
    return lines
