"""The router: the standings of all endpoints, and the choice among some of them for one request.

Pure and seedable: time and chance come in as arguments, so that the simulation in benchmarks/routing runs this
very class under a virtual clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Final

from routing.canonical import UpstreamError
from routing.selection import deadlines
from routing.selection.affinity import Affinities
from routing.selection.candidates import CACHED, NO_UNITS, NOWHERE, Candidate
from routing.selection.choice import Choice, Scored, pick
from routing.selection.cost import BALANCED, CERTAIN, SLO_SECONDS, STRICT, UNKNOWN, Demand, Weights, price_of, trouble
from routing.selection.faults import fault_of
from routing.selection.line import Figures
from routing.selection.prefixes import UNSEEN, Prefixes
from routing.selection.retries import HEDGE_SHARE, Budget
from routing.selection.standing import LOOK, OPEN, SHUT, WAIT_MOST, Standing
from routing.selection.ticket import Ticket

EXPECTED_OUTPUT: Final = 400.0  # tokens of an answer of a model that has not answered yet
OUTPUT_RATE: Final = 0.05
HOLD_MOST: Final = 10.0  # seconds that a request waits in all where every endpoint is at its limit
GOLDEN: Final = 0.618034  # multiples of it are spread evenly over [0, 1)
HOLD_LEAST: Final = 0.05
HOLD_STEP: Final = 0.5
YIELDS_AFTER: Final = 1.0  # seconds of waiting before a request that cannot be in time lets others go first
WANTED_SECONDS: Final = 1.0  # for which a place is kept for those in time after one of them had to wait
ASKED_MOST: Final = 2.5  # seconds for which the answer of an endpoint that is being asked is waited for
ALMOST: Final = 1e-3
LEAVE: Final = 0.9  # how likely an endpoint has fallen silent where the calls that wait there are moved
DOUBTFUL: Final = 0.5  # how likely an endpoint has fallen silent where what waits for its turn goes elsewhere


@dataclass(frozen=True, slots=True)
class Policy:
    """Which parts of the router are on: to measure what each of them is worth."""

    explores: bool = True
    breaks: bool = True
    caps_rates: bool = True
    cuts_off: bool = True
    sticks: bool = True
    weighs_queues: bool = True
    weighs_failures: bool = True


class Router:
    """Chooses endpoints, and learns from what becomes of the calls."""

    def __init__(self, *, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.standings: dict[int, Standing] = {}
        self.affinities = Affinities()
        self.retries = Budget()
        self.hedges = Budget(share=HEDGE_SHARE, per_second=0.1)
        self._outputs: dict[str, float] = {}

    def demand(
        self, *, model: str, tokens: int, max_tokens: int | None, units: Mapping[str, int] = NO_UNITS,
        weights: Weights = BALANCED, tools: bool = False, prompt: Prefixes = UNSEEN, now: float,
        minute: int = 0,
    ) -> Demand:  # fmt: skip
        """What a request asks for, with what is known of its model's answers and of where its prompt is cached."""
        output = self._outputs.get(model, EXPECTED_OUTPUT)
        if max_tokens is not None:
            output = min(output, float(max_tokens))
        cached = self.affinities.cached(prompt, tokens=tokens, now=now) if self.policy.sticks else NOWHERE
        return Demand(tokens, output, units, weights, tools, cached, prompt.writes, minute=minute)

    def choose(
        self, candidates: Sequence[Candidate], demand: Demand, *, now: float, draw: float, seed: str = "",
        explores: bool = True,
    ) -> Choice:  # fmt: skip
        """One of the candidates (at least one) for the request; `draw` in [0, 1) is its chance.

        The loop computes `cost.total` of `choice.parts_of` for each, in place: it is what every request waits for.
        So it works on plain tuples and on floats alone, and takes what does not depend on the request from the line.
        """
        standings, weights = self.standings, demand.weights
        cached, is_plain = demand.cached, not (demand.units or demand.writes)
        w_price, w_wait, w_late, w_generation = weights.price, weights.wait, weights.late, weights.generation
        w_tools, is_strict, is_balanced = weights.tools if demand.tools else 0.0, weights.is_strict, weights is BALANCED
        tokens, output, slo = float(demand.tokens), demand.output, SLO_SECONDS - demand.waited
        lines: list[Figures] = []
        scores: list[Scored] = []
        for candidate in candidates:
            endpoint_id = candidate.endpoint_id
            standing = standings.get(endpoint_id)
            if standing is None:
                standing = self.standing(endpoint_id, peers=candidates)
            line = standing.figures
            if now >= line[0]:
                line = standing.refresh(now)
            lines.append(line)
            _, tier, call, level, per_token, pace, hopeful, scale, risk, _, odds, lost, tools, is_timed, is_paced = line
            reading, writing, plain = per_token * tokens, output * pace, candidate.plain
            if plain is not None and is_plain and not (cached and endpoint_id in cached):
                per_input, per_output = plain
                price = (per_input * tokens + per_output * output) / 1e6
            else:
                if cached:
                    reading = per_token * (tokens - cached.get(endpoint_id, 0))
                price = price_of(candidate, demand, seconds=hopeful + reading + writing)
            ttft = level + reading
            z = (slo - ttft) / scale
            late = 0.0 if z > CERTAIN else 1.0 if z < -CERTAIN else 1.0 / (1.0 + exp(z))
            paid, written = w_price * price, w_generation * writing
            cost = paid + w_wait * ttft + w_late * late
            if is_balanced:
                cost += written + risk
            else:
                cost += written + trouble(lost, weights) * odds + w_tools * tools
                if is_strict and not (is_paced if w_generation >= STRICT else is_timed or not w_wait):
                    cost += UNKNOWN
            if call:
                hopeful = paid + w_wait * (hopeful + reading) + written
            scores.append((tier, cost, endpoint_id, call, hopeful))
        explores = explores and self.policy.explores and not is_strict
        chosen, why = pick(scores, draw=draw, explores=explores)
        return Choice(candidates, lines, scores, demand, chosen, why, explores, draw, seed)

    def standing(self, endpoint_id: int, *, peers: Sequence[Candidate] = ()) -> Standing:
        """The endpoint's standing; a newcomer starts where its peers typically are."""
        found = self.standings.get(endpoint_id)
        if found is None:
            known = [self.standings[one.endpoint_id] for one in peers if one.endpoint_id in self.standings]
            known = sorted((one for one in known if one.paced), key=lambda one: one.latency.long_run)
            found = self.standings[endpoint_id] = Standing(
                like=known[len(known) // 2] if known else None, phase=len(self.standings) * GOLDEN % 1
            )
            found.weighs_queues = self.policy.weighs_queues
            found.weighs_failures = self.policy.weighs_failures
        return found

    def arrived(self, *, now: float) -> None:
        """A request came: it pays into the budgets for further attempts."""
        self.retries.arrived(now=now)
        self.hedges.arrived(now=now)

    def reserve(self, endpoint_id: int, *, now: float) -> float:
        """A place under the endpoint's rate cap; answers how many seconds to wait for it, `WAIT_MOST` at most."""
        return self.standing(endpoint_id).rate.reserve(now=now, most=WAIT_MOST)

    def keeps_turn(self, endpoint_id: int, others: Sequence[Candidate], *, now: float) -> bool:
        """Whether a request that waited for its place there still goes, now that its turn has come.

        Not where the endpoint began to fail meanwhile, or has likely fallen silent, and another has not, even if that
        one is at its limit: the place is given back, and the choice made again.
        """
        standing = self.standing(endpoint_id)
        if not self._is_doubtful(standing, now=now):
            return True
        if all(self._is_doubtful(self.standing(one.endpoint_id), now=now) for one in others):
            return True
        standing.rate.given_back()
        return False

    def _is_doubtful(self, standing: Standing, *, now: float) -> bool:
        is_shut = standing.line_at(now).tier == SHUT
        return is_shut or (self.policy.cuts_off and standing.doubt > DOUBTFUL)

    def said(self, endpoint_id: int, *, left: float, most: float, per_second: float, now: float) -> None:
        """The endpoint says how many requests are left to us, of how many, and how many come back a second."""
        standing = self.standing(endpoint_id)
        standing.rate.said(left=left, most=most, per_second=per_second, now=now)
        standing.refresh(now)

    def know(self, endpoint_id: int, *, slots: int, taken: int, cold_seconds: float, now: float) -> None:
        """Workers of our own serve so many at once, of which so many are taken, after a start of so many seconds.

        `taken` counts the calls of all processes, ours among them.
        """
        standing = self.standing(endpoint_id)
        standing.capacity.know(slots=slots, queued=max(0, taken - standing.in_flight), cold_seconds=cold_seconds)
        standing.refresh(now)

    def know_no_more(self, endpoint_id: int) -> None:
        """They do not say any more: what is learned from calls counts again."""
        self.standing(endpoint_id).capacity.know_no_more()

    def hold(
        self, candidates: Sequence[Candidate], *, tokens: int, waited: float, now: float, was_refused: bool = False
    ) -> float | None:
        """Seconds to wait before choosing at all: where every candidate is at its limit, late is better than refused.

        Who cannot be in time any more leaves the next places to those who can, and after `HOLD_MOST` seconds, where
        these still want all of them, gets none (None). Nothing is held where no place will come in that time, nor,
        before its first refusal, where an endpoint named no time: a learned cap may be too low.

        Where only endpoints are left that fail or are just being asked whether they answer, it waits for that answer.
        """
        if not self.policy.caps_rates:
            return 0.0
        soonest = most = HOLD_MOST - waited
        standings = [self._standing_of(one) for one in candidates]
        well = [one for one in standings if one.is_well]
        if not well and waited < HOLD_MOST and any(one.asked_for(now) < ASKED_MOST for one in standings):
            return LOOK
        is_late = waited > YIELDS_AFTER and not any(_fits(one, tokens, waited, now) for one in well)
        is_wanted = False
        for standing in well:
            wait = standing.rate.free_at(now) - now
            if is_late and now < standing.wanted_until:
                is_wanted = True
                soonest = min(soonest, max(wait, HOLD_STEP))
                continue
            if wait <= 0.0 or (not was_refused and standing.rate.blocked_until <= now):
                return 0.0
            if wait <= WAIT_MOST and _fits(standing, tokens, waited, now):
                self._want(well, now=now)
                return 0.0
            soonest = min(soonest, wait)
        if not is_late:
            self._want(well, now=now)
        elif is_wanted and waited >= HOLD_MOST - HOLD_STEP:
            return None
        return min(max(soonest, HOLD_LEAST), HOLD_STEP) if soonest < most else 0.0

    def _standing_of(self, candidate: Candidate) -> Standing:
        return self.standing(candidate.endpoint_id)

    @staticmethod
    def _want(standings: Sequence[Standing], *, now: float) -> None:
        """A request that can be in time found no place at once: the next ones are for its like."""
        for standing in standings:
            if standing.rate.free_at(now) > now:
                standing.wanted_until = now + WANTED_SECONDS

    def begin(
        self, endpoint_id: int, *, tokens: int, now: float, is_reserved: bool = False, is_whole: bool = False,
        may_think: bool = False,
    ) -> Ticket:  # fmt: skip
        """A call goes to the endpoint; the ticket is to be given to exactly one of ended, failed and dropped.

        `is_whole`: the answer will come in one piece; `may_think`: the model may think before it answers.
        """
        return self.standing(endpoint_id).begin(
            endpoint_id, tokens=tokens, now=now, is_reserved=is_reserved, is_whole=is_whole, may_think=may_think
        )

    def patience(self, ticket: Ticket, *, whole: float, is_last: bool, others: Sequence[Candidate] = ()) -> float:
        """Seconds that the call may stay silent: `whole` for the last one, and where no other endpoint is well.

        `others` are further endpoints of the model: where one of them thinks in silence, this one may too.
        """
        standing = self.standing(ticket.endpoint_id)
        line = standing.line
        expected = line.level + line.per_token * ticket.tokens
        is_last = is_last or not self.policy.cuts_off
        if ticket.is_mute and not is_last:
            met = any(one.thoughts.are_silent for one in (standing, *map(self._standing_of, others)))
            return deadlines.of_thoughts(expected=expected, whole=whole, are_silent=met, is_probe=ticket.is_probe)
        return deadlines.first_chunk(
            expected=expected, spread=line.spread, whole=whole, is_last=is_last, is_probe=ticket.is_probe
        )

    def wait_on(
        self, ticket: Ticket, others: Sequence[Candidate], *, patience: float, whole: float, now: float
    ) -> float:
        """Seconds to wait on for a call's first piece before asking again; 0: leave it for one of the others.

        `patience` is what it was when the call began; where no other is well now, the call has `whole`. Where by all
        that waits there its endpoint has fallen silent, it is left at once, so that it can still be in time elsewhere.
        """
        age = now - ticket.began
        if whole - age <= ALMOST or not self.has_well_one(others, now=now):
            return min(LOOK, whole - age) if whole - age > ALMOST else 0.0
        if patience - age <= ALMOST or self._has_fallen_silent(ticket, now=now):
            return 0.0
        return min(LOOK, patience - age)

    def _has_fallen_silent(self, ticket: Ticket, *, now: float) -> bool:
        if ticket.is_mute or not self.policy.cuts_off:
            return False
        standing = self.standing(ticket.endpoint_id)
        if now >= standing.line.until:
            standing.refresh(now)
        return standing.doubt > LEAVE

    def hedge_after(self, endpoint_id: int, *, tokens: int, now: float) -> float:
        """Seconds of silence after which a second endpoint may be asked beside this one."""
        line = self.standing(endpoint_id).line_at(now)
        return deadlines.hedge_after(expected=line.level + line.per_token * tokens, spread=line.spread)

    def patience_for_whole(self, ticket: Ticket, *, max_tokens: int, whole: float, is_last: bool) -> float:
        """The same for a plain answer of at most so many tokens, which comes in one piece."""
        line = self.standing(ticket.endpoint_id).line
        expected = line.level + line.per_token * ticket.tokens + line.pace * max_tokens
        return whole if is_last or not self.policy.cuts_off else min(whole, max(deadlines.MOST, 3 * expected))

    def first(self, ticket: Ticket, *, now: float, is_whole: bool = False) -> None:
        """The first piece came and was sound; of a plain answer it is the whole."""
        self.standing(ticket.endpoint_id).first(ticket, now=now, is_whole=is_whole)

    def ended(self, ticket: Ticket, *, now: float, model: str, output_tokens: int) -> None:
        """The answer is whole."""
        if output_tokens:
            known = self._outputs.get(model)
            self._outputs[model] = (
                float(output_tokens) if known is None else known + OUTPUT_RATE * (output_tokens - known)
            )
        self.standing(ticket.endpoint_id).ended(ticket, now=now, output_tokens=output_tokens)

    def failed(self, ticket: Ticket, error: UpstreamError, *, now: float, chance: float, was_cut: bool = False) -> None:
        """The call failed; `chance` in [0, 1) spreads when it is tried again, `was_cut`: we stopped waiting."""
        standing = self.standing(ticket.endpoint_id)
        fault = fault_of(error)
        if fault == "capacity" and not self.policy.caps_rates:
            fault = "caller"
        standing.failed(
            ticket, fault=fault, now=now, retry_after=error.retry_after, chance=chance, breaks=self.policy.breaks
        )
        if was_cut:
            standing.cut_off(ticket, now=now)

    def called_tools(self, endpoint_id: int, *, malformed: bool, now: float) -> None:
        """A whole answer of the endpoint called tools, `malformed` where a call cannot be used."""
        self.standing(endpoint_id).called_tools(malformed=malformed, now=now)

    def dropped(self, ticket: Ticket, *, now: float) -> None:
        """The call ended by nobody's fault."""
        self.standing(ticket.endpoint_id).dropped(ticket, now=now)

    def answered(
        self, prompt: Prefixes, *, candidate: Candidate, tokens: int, cached_tokens: int | None, now: float
    ) -> None:
        """A prompt was read: where cached input is cheaper, that is worth something there now.

        `cached_tokens` of its `tokens` came from the cache; None: nobody said.
        """
        if candidate.prices.get(CACHED, 2**63) < candidate.prices.get("prompt", 0):
            self.affinities.answered(
                prompt, endpoint_id=candidate.endpoint_id, tokens=tokens, cached_tokens=cached_tokens, now=now
            )

    def has_well_one(self, candidates: Sequence[Candidate], *, now: float) -> bool:
        """Whether one of the candidates is open: a reason not to wait for a silent one."""
        return any(self.standing(one.endpoint_id).line_at(now).tier == OPEN for one in candidates)

    def forget(self) -> None:
        """Every endpoint is new again."""
        self.standings.clear()
        self._outputs.clear()
        self.affinities = Affinities()


def _fits(standing: Standing, tokens: int, waited: float, now: float) -> bool:
    """Whether a request that has waited so long can have its first token there in time."""
    line = standing.line_at(now)
    return waited + line.level + line.per_token * tokens + 2 * line.spread <= SLO_SECONDS
