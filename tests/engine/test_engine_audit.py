"""The whole output of an action is durable before the outcome that links to it, and costs no outcome."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from holdfast.app.audit import AuditReading, AuditStore, open_sealer
from holdfast.engine.ports import Audit
from holdfast.kernel import SYSTEM
from holdfast.response.ports import ActionOutcome, ActionRequest, Effect, KeptOutput
from tests.engine.engine_parts import Site, site
from tests.engine.marks import WriteMark

SECRET = "reloaded\nPASSWORD=hunter2\n" + "x" * 3000


@dataclass(slots=True)
class Watched:
    """The store, with a look at the chain once an output is kept."""

    made: Site
    store: AuditStore
    chains: list[list[str]] = field(default_factory=list)

    def keep(self, *, incident_id: str, step_id: str, output: str) -> KeptOutput:
        kept = self.store.keep(incident_id=incident_id, step_id=step_id, output=output)
        self.chains.append([record.kind for record in self.made.ledger.records(incident_id)])
        return kept


def with_audit(made: Site, audit: Audit) -> None:
    carrier = made.engine.carrier
    made.engine.use(replace(carrier, hands=replace(carrier.hands, audit=audit)))


def store_of(made: Site) -> AuditStore:
    sealer = open_sealer(made.directory, make=True)
    return AuditStore(made.ledger, sealer, made.clock, retention_days=1)


def test_an_outcome_links_to_an_output_that_was_durable_before_it(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        watched = Watched(made, store_of(made))
        with_audit(made, watched)
        made.action.output = SECRET
        made.open()
        made.start()
        made.seen.until(made.seen.has("resolved"))

        assert [chain[-1] for chain in watched.chains] == ["step_intended"]
        (finished,) = [r for r in made.ledger.records("INC-1") if r.kind == "step_finished"]
        assert "hunter2" not in str(finished.data)
        assert "more characters cut" in finished.data["output"]
        assert finished.data["output_bytes"] == len(SECRET)
        assert finished.data["output_link"] == f"audit:{finished.data['output_digest']}"
        reading = AuditReading(made.ledger, tmp_path, SYSTEM, made.clock)
        assert reading.of_step("INC-1", "S1").decode() == SECRET


class Unsure(WriteMark):
    """Acts, prints, and can't say what became of it."""

    def perform(self, request: ActionRequest) -> ActionOutcome:
        done = WriteMark.perform(self, request)
        return replace(done, ok=False, effect=Effect.UNKNOWN, summary="who knows", output=SECRET)


def test_a_step_in_doubt_keeps_what_the_action_said_too(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        with_audit(made, store_of(made))
        carrier = made.engine.carrier
        hands = replace(carrier.hands, actions={"write_mark": Unsure(directory=tmp_path)})
        made.engine.use(replace(carrier, hands=hands))
        made.open()
        made.start()
        made.seen.until(made.seen.has("step_in_doubt"))

        doubt = next(r for r in made.ledger.records("INC-1") if r.kind == "step_in_doubt")
        assert "hunter2" not in str(doubt.data)
        blob = made.ledger.blob(doubt.data["output_digest"])
        assert blob is not None
        assert open_sealer(tmp_path, make=False).open(blob).decode() == SECRET
