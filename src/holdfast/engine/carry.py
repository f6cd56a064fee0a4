"""Carries out what decide() asked for, one command at a time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never

from holdfast.diagnosis import SymptomReading
from holdfast.engine.case import Case
from holdfast.engine.crash_points import CrashPoint, reach
from holdfast.engine.handing import look_again, make_packet, send_page
from holdfast.engine.hands import Hands, request_of
from holdfast.engine.journal import Journal
from holdfast.engine.late import LateReports
from holdfast.engine.looking import looked, newest_samples
from holdfast.engine.ports import Checks, Pager, Readings, System
from holdfast.engine.standing import open_windows, overrides_for, set_modes
from holdfast.engine.undoing import attempt_of, looked_at, planes_found
from holdfast.incident import Step, StepStatus
from holdfast.incident.system import SystemState
from holdfast.kernel.catalogue import SignalKey, split_instance
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import StaleFenceError
from holdfast.policy import Freeze, Window, covering, freeze_applies
from holdfast.response import World
from holdfast.response.act import at_this_target
from holdfast.response.commands import (
    AnswerRequest,
    Command,
    Confirm,
    Intend,
    Look,
    LookAgain,
    MakePacket,
    Observe,
    Prepare,
    Probe,
    ReadSamples,
    ReadSymptom,
    Redo,
    Rehearse,
    RunChecks,
    SendPage,
    WakeAt,
    Write,
)
from holdfast.response.events import (
    ActionReturned,
    ChecksDone,
    Confirmed,
    Event,
    Observed,
    Prepared,
    Probed,
    Rehearsed,
    SamplesRead,
    SymptomRead,
)
from holdfast.response.live_state import digest
from holdfast.response.ports import CheckContext, Effect, Repeatability
from holdfast.response.store import ChangedMeanwhileError, Ledger
from holdfast.verification import Sample

_LEASE_MARGIN_S = 5.0
_AGAIN_S = 0.2
_LOG_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """Holds the engine's means. Stateless itself: everything that changes is in the Case."""

    ledger: Ledger
    journal: Journal
    hands: Hands
    checks: Checks
    readings: Readings
    pager: Pager
    system: System
    world: World
    clock: Clock
    late: LateReports | None = None

    def carry_out(  # noqa: C901, PLR0911, PLR0912 - one row per command
        self, case: Case, command: Command
    ) -> Event | None:
        """Carry out one command and return the event that answers it, if one does."""
        match command:
            case Write():
                self.journal.write(
                    case, command.drafts, settles=command.settles, answers=command.answers
                )
                return None
            case RunChecks():
                return self._run_checks(case, command)
            case ReadSymptom():
                return self._read_symptom(command)
            case Prepare():
                return self._prepare(case, command)
            case Rehearse():
                return self._rehearse(case, command)
            case Look():
                checks = self._run_checks(case, command.checks)
                return looked(self.hands, self.readings, command, checks)
            case Observe():
                seen, problem = self.hands.observe(command.action, command.target, command.params)
                return Observed(request=command.request, observed=seen or {"problem": problem})
            case Intend():
                return self._intend(case, command)
            case Redo():
                return self._redo(case, command)
            case Probe():
                return self._probe(case, command)
            case ReadSamples():
                return SamplesRead(step_id=command.step_id, samples=self._samples(command))
            case Confirm():
                return self._confirm(case, command)
            case SendPage():
                return send_page(self, case, command)
            case MakePacket():
                return make_packet(self, case, command)
            case LookAgain():
                return look_again(self, case, command)
            case AnswerRequest():
                self.ledger.answer(command.request_id, command.answer)
                return None
            case WakeAt():
                case.wake_at = min(command.at, case.wake_at) if case.wake_at else command.at
                return None
            case _:
                assert_never(command)

    # --- reading ----------------------------------------------------------

    def _run_checks(self, _case: Case, command: RunChecks) -> ChecksDone:
        context = CheckContext(
            services=command.services, started_at=command.started_at, now=self.clock.now()
        )
        results = self.checks.run(context)
        return ChecksDone(results=results, symptom=self.symptom(command.series))

    def _read_symptom(self, command: ReadSymptom) -> SymptomRead:
        system = self.system.state()
        return SymptomRead(
            symptom=self.symptom(command.series),
            modes=set_modes(system),
            windows=open_windows(system, self.world.maintenance, self.clock.now()),
        )

    def symptom(self, series: Iterable[SignalKey]) -> list[SymptomReading]:
        """Read as many samples of each series as say whether the trouble is still there."""
        timing = self.world.timing
        count = 4 + int(3 * max(timing.sustain_s / timing.sampling_interval_s, 3))
        return [
            SymptomReading(
                series=str(key), signal=key.signal, samples=self.readings.recent(key, count)
            )
            for key in series
        ]

    def _samples(self, command: ReadSamples) -> list[Sample]:
        return [
            Sample(at=at, service=key.service, region=key.region, signal=key.signal, value=value)
            for key in dict.fromkeys(command.series)
            for at, value in self.readings.since(key, command.since)
        ]

    def _rehearse(self, case: Case, command: Rehearse) -> Rehearsed:
        prepared = self._prepare(case, command.prepare)
        seen = digest(command.prepare.target, prepared.pre_image)
        case.remember(seen, prepared.pre_image)
        return Rehearsed(request=command.request, prepared=prepared)

    def _prepare(self, case: Case, command: Prepare) -> Prepared:
        # The installation's state is read first: what changes after this shows in the second
        # look of the intent's transaction.
        system = self.system.state()
        seen, problem = self.hands.observe(command.action, command.target, command.params)
        now = self.clock.now()
        context = CheckContext(services=command.services, started_at=command.started_at, now=now)
        # One that is not set up here has no reading: the guard refuses what asks for it.
        wanted = self.checks.names if command.every_check else command.checks
        names = [name for name in wanted if name in self.checks.names]
        checks = self.checks.run(context, names) if names else {}
        since = now - self._log_window()
        places = (command.target, *command.aliases)
        log = [e for name in places for e in self.ledger.actions_on(name, since)]
        siblings = [e for name in command.siblings for e in self.ledger.actions_on(name, since)]
        acting = {e.incident_id for e in log if not e.settled} - {case.incident_id}
        return Prepared(
            step_id=command.step_id,
            pre_image=seen,
            problem=problem,
            checks=checks,
            symptom=self.symptom(command.series),
            log=log,
            acting=tuple(sorted(acting)),
            freeze=self._freeze(command.target),
            system_seq=system.seq,
            siblings_acting=[entry for entry in siblings if not entry.settled],
            modes=set_modes(system),
            overrides=overrides_for(system, case.incident_id),
            maintenance=self._maintenance(system, command.target),
            rate=self.ledger.actions_since(now - self._rate_window()),
            live=newest_samples(self.readings, command.live),
            assumed=case.remembered(command.seen),
        )

    def _log_window(self) -> timedelta:
        """As far back as any limit counts."""
        limits = self.world.limits
        counted_s = max(limits.restart_window_s, limits.instances_window_s)
        return max(_LOG_WINDOW, timedelta(seconds=counted_s))

    def _rate_window(self) -> timedelta:
        return timedelta(seconds=self.world.limits.actions_window_s)

    def _freeze(self, target: str) -> Freeze | None:
        service, region = split_instance(target)
        for fact in self.system.state().freezes.values():
            if freeze_applies(fact.scope, service=service, region=region):
                return Freeze(scope=fact.scope, by=fact.by, why=fact.why, since=fact.since)
        return None

    def _maintenance(self, system: SystemState, target: str) -> Window | None:
        service, region = split_instance(target)
        windows = open_windows(system, self.world.maintenance, self.clock.now())
        return covering(windows, service=service, region=region)

    # --- acting -----------------------------------------------------------

    def _intend(self, case: Case, command: Intend) -> ActionReturned | None:
        """Steps 2 to 4 of the protocol: intent with its second look, lease, perform."""
        draft = replace(command.draft, data={**command.draft.data, "fence": case.claim.fence})
        lease_s = max(self.world.timing.lease_s, command.timeout_s + _LEASE_MARGIN_S)
        reach(CrashPoint.BEFORE_INTENT)
        before = self.clock.monotonic()
        try:
            self.journal.write(
                case, [draft], reserve=command.reservation, seen=command.seen, lease_s=lease_s
            )
        except ChangedMeanwhileError:
            case.wake_at = self.clock.now() + timedelta(seconds=_AGAIN_S)
            return None
        reach(CrashPoint.AFTER_INTENT)
        return self._act(case, command.step_id, until=before + lease_s, redone=False)

    def _redo(self, case: Case, command: Redo) -> ActionReturned | None:
        """The same for an attempt in doubt: written down, looked at a second time, performed."""
        draft = replace(command.draft, data={**command.draft.data, "fence": case.claim.fence})
        lease_s = max(self.world.timing.lease_s, command.timeout_s + _LEASE_MARGIN_S)
        before = self.clock.monotonic()
        try:
            self.journal.write(case, [draft], seen=command.seen, lease_s=lease_s)
        except ChangedMeanwhileError:
            case.wake_at = self.clock.now() + timedelta(seconds=_AGAIN_S)
            return None
        reach(CrashPoint.AFTER_REPEAT)
        return self._act(case, command.step_id, until=before + lease_s, redone=True)

    def _act(self, case: Case, step_id: str, *, until: float, redone: bool) -> ActionReturned:
        step = case.state.step(step_id)
        if step is None:
            raise AssertionError(step_id)
        left = until - self.clock.monotonic()
        if left <= step.timeout_s:
            now = self.clock.now()
            why = (
                f"nothing was sent: the lease had {left:.1f} s left, the action may take "
                f"{step.timeout_s:.0f} s"
            )
            return ActionReturned(
                step_id=step_id, started_at=now, ended_at=now, unreachable=why, redone=redone
            )
        fence, undo = case.claim.fence, step.undo_of is not None
        request = attempt_of(case.state, step, fence=fence)
        late = self._late_answer(case.incident_id, step, fence)
        returned = self.hands.perform(request, step_id, redone=redone, undo=undo, late=late)
        reach(CrashPoint.AFTER_EFFECT)
        outcome = returned.outcome
        if outcome is None or outcome.ok or outcome.effect is not Effect.PRESENT:
            return returned
        # Half of it may be there: whoever takes over must see which half.
        planes = planes_found(self.hands, case.state, step, fence=fence)
        return replace(returned, planes=planes)

    def _late_answer(
        self, incident_id: str, step: Step, fence: int
    ) -> Callable[[ActionReturned], None] | None:
        """Say where an answer goes that comes after the step was given up."""
        late = self.late
        if late is None:
            return None
        return lambda event: late.gave_up(incident_id, step, fence, event)

    def _probe(self, case: Case, command: Probe) -> Probed | None:
        step = case.state.step(command.step_id)
        if step is None or step.status is not StepStatus.IN_DOUBT:
            return None
        self._take_newer_fence(case, step)
        system = self.system.state()
        freeze = self._freeze(step.target)
        result = looked_at(self.hands, case.state, step, fence=case.claim.fence)
        reach(CrashPoint.AFTER_PROBE)
        return Probed(
            step_id=command.step_id,
            result=result,
            freeze=freeze,
            maintenance=self._maintenance(system, step.target),
            system_seq=system.seq,
            modes=set_modes(system),
            newer_token=case.claim.fence > (step.fence or 0),
        )

    def _take_newer_fence(self, case: Case, step: Step) -> None:
        """Claim the incident anew before a target is sealed that only tells tokens apart.

        A request of ours may still be on its way with the fence that we hold: sealing that very
        fence would let both it and a repeat through.
        """
        facts = self.world.actions.get(step.action)
        kind = at_this_target(step, facts.repeatability if facts else Repeatability.NONE)
        tells_tokens = kind is Repeatability.REFUSES_STALE_TOKEN
        if not tells_tokens or case.claim.fence > (step.fence or 0):
            return
        old, lease_s, before = case.claim, self.world.timing.lease_s, self.clock.monotonic()
        self.ledger.release(old)
        claim = self.ledger.claim_one(old.incident_id, old.owner, lease_s)
        if claim is None or claim.seq != old.seq:
            if claim is not None:
                self.ledger.release(claim)
            raise StaleFenceError(
                f"{old.incident_id} was claimed by another worker while this one asked for a newer "
                f"fence than {old.fence}; nothing more is done here"
            )
        case.claim, case.lease_until = claim, before + lease_s

    def _confirm(self, case: Case, command: Confirm) -> Confirmed | None:
        step = case.state.step(command.step_id)
        if step is None:
            return None
        result = self.hands.probe(request_of(step, fence=case.claim.fence))
        return Confirmed(step_id=command.step_id, verdict=command.verdict, result=result)
