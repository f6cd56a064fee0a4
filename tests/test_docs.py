"""The documentation agrees with the code, and its links lead somewhere."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from holdfast.incident import Kind, Phase, Record, StepStatus, system
from tests.scenes import SCENES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FIELD_TERMS = (
    "alert", "fingerprint", "labels", "annotations", "silence", "severity", "acknowledge", "page",
    "on-call", "escalation policy", "incident commander", "directive", "charter", "handoff",
    "takeover", "mitigation", "resolution", "runbook", "blast radius",
)  # fmt: skip
SYSTEM_KINDS = (
    system.FROZEN,
    system.THAWED,
    system.MODE_SET,
    system.MODE_CLEARED,
    system.OVERRIDE_GRANTED,
    system.MAINTENANCE_ADDED,
    system.MAINTENANCE_ENDED,
    system.OPENING_SUPPRESSED,
    system.OPENING_LET_GO,
    system.TOKEN_CREATED,
    system.TOKEN_REVOKED,
    system.REFUSED,
    system.AUDIT_READ,
)


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_script", ROOT / "scripts" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def rows(page: str) -> dict[str, str]:
    """Give the rows of all tables of a page: first cell -> the whole row."""
    text = (DOCS / page).read_text(encoding="utf-8")
    cells = re.findall(r"^\| ([^|]+) \|.*$", text, re.MULTILINE)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return {cell.strip(" `*"): line for cell, line in zip(cells, lines, strict=True)}


def test_the_generated_parts_are_what_the_code_says() -> None:
    assert script().outdated() == {}


def test_the_check_finds_a_page_that_differs_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = script()
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- generated: steps -->\nold\n<!-- end: steps -->\nafter\n")
    monkeypatch.setattr(docs, "DOCS", page.parent)

    assert docs.main(["--check"]) == 1
    assert "docs/page.md is not what the code says" in capsys.readouterr().err
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "intended --> in_doubt" in text


def test_every_promise_has_a_test_and_every_proof_its_promise() -> None:
    page = (DOCS / "reference" / "promises.md").read_text(encoding="utf-8")
    promised = re.findall(r"^### (L\d+) ", page, re.MULTILINE)
    listed = re.findall(r"<!-- generated: promise-(L\d+) -->", page)

    assert listed == promised
    assert len(promised) == len(set(promised))
    assert set(script().proofs()) == set(promised)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_inside_the_docs_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", goal.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {h.lower().replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("kind", [*Kind, *SYSTEM_KINDS])
def test_every_kind_of_record_is_in_the_reference(kind: str) -> None:
    assert str(kind) in rows("reference/records.md")


def test_the_reference_names_no_kind_that_nobody_writes() -> None:
    known = {*(kind.value for kind in Kind), *SYSTEM_KINDS, "kind"}

    assert set(rows("reference/records.md")) <= known


@pytest.mark.parametrize(
    "record",
    [record for play in SCENES for record in play()],
    ids=lambda r: f"{r.incident_id}-{r.seq}-{r.kind}",
)
def test_every_key_of_a_records_data_is_in_the_reference(record: Record) -> None:
    told = rows("reference/records.md")
    row = told[record.kind] + (told["step_finished"] if record.kind == "step_reconciled" else "")

    assert all(f"`{key}`" in row for key in record.data), sorted(record.data)


def test_the_glossary_has_every_term_of_the_field_once() -> None:
    terms = [cell for row in rows("glossary.md") for cell in re.split(r"\W+versus\W+", row)]
    clean = [term.strip("* ") for term in terms]

    assert set(FIELD_TERMS) <= set(clean)
    assert len(clean) == len(set(clean))


def test_the_lifecycle_page_shows_every_phase_and_every_status() -> None:
    text = (DOCS / "concepts" / "lifecycle.md").read_text(encoding="utf-8")

    assert all(phase.value in text for phase in Phase)
    assert all(status.value in text for status in StepStatus)


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    pages = sorted(path for path in (DOCS / "adr").glob("0*.md"))
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    assert all(f"({page.name})" in index for page in pages)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]} ")
        assert all(part in text for part in ("**Decided.**", "**Why.**"))
