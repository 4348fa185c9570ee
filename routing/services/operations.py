"""One request of any operation that answers in one piece: admit, choose, call, settle.

The machinery is the chat's (services.calls.Call); what differs from one operation to the next, its bound, its
judgement and its measure, is in routing.operations.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar, cast
from uuid import UUID

from marketplace.lib import ids
from marketplace.services.keys import Caller
from routing.adapters.base import HttpRequest
from routing.adapters.registry import exchange_for
from routing.canonical import Routed
from routing.ingress.openai_chat_answers import Bill
from routing.models import Generation
from routing.operations.base import Operation
from routing.services.admission import Try
from routing.services.calls import begin
from routing.services.routes import Route
from routing.upstream import SENDER

Q = TypeVar("Q", bound=Routed)
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Done(Generic[A]):
    """An answer and its bill."""

    generation_id: UUID
    route: Route
    answer: A
    bill: Bill

    @property
    def public_id(self) -> str:
        """`gen-…`."""
        return ids.generation_id(self.generation_id)


async def perform(*, caller: Caller, request: Q, operation: Operation[Q, A], endpoint_id: int | None = None) -> Done[A]:
    """Answer a request, by `endpoint_id` alone if given. An answer that is not what was asked for counts as a failure.

    Raises AppError.
    """
    name = operation.name

    def build(attempt: Try, admitted: Q) -> HttpRequest:
        return exchange_for(name, attempt.route.dialect).build(admitted, target=attempt.route.target)

    async def send(sent: HttpRequest, dialect: str, patience: float) -> A:
        answer: A = await SENDER.send(sent, adapter=exchange_for(name, dialect), patience=patience)
        operation.check(request, answer)
        return answer

    call = await begin(
        caller=caller, request=request, need_of=operation.need, build=build, operation=name, endpoint_id=endpoint_id
    )
    try:
        route, answer = await call.try_each(send)
    except BaseException as error:
        await call.give_up(error)
        raise
    used = operation.used(cast(Q, call.admission.request), answer)
    bill = await call.settle(Generation.Status.FINISHED, usage=used.usage, units=used.units)
    return Done(call.admission.generation_id, route, answer, bill)
