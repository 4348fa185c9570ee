"""Text read aloud: admit, choose, call, settle, then pass the sound on.

All that speech costs is known before the call, so it is settled as soon as sound is in hand and before any of
it goes out. There is no failover after that: sound that breaks off breaks the connection to the caller.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, cast

from marketplace.lib import ids
from marketplace.services.keys import Caller
from routing.adapters.base import HttpRequest
from routing.adapters.registry import exchange_for
from routing.ingress.openai_chat_answers import Bill
from routing.models import Generation
from routing.operations import speech
from routing.operations.base import short_of
from routing.operations.speech import SpeechRequest
from routing.services.admission import Try
from routing.services.calls import begin
from routing.services.routes import Route
from routing.upstream import SENDER, Download

# What a provider answers when it has no sound to give, though its status says that all is well.
NO_SOUND: Final = ("text/", "application/json")


@dataclass(frozen=True, slots=True)
class Spoken:
    """Sound that has begun to come. Read `sound` to its end, or close it."""

    public_id: str
    route: Route
    bill: Bill
    sound: Download

    async def pieces(self) -> AsyncIterator[bytes]:
        """The sound. Raises UpstreamError where it breaks off."""
        try:
            async for piece in self.sound.pieces():
                yield piece
        finally:
            await asyncio.shield(self.sound.close())


async def speak(*, caller: Caller, request: SpeechRequest) -> Spoken:
    """Begin to read a text aloud. Raises AppError."""

    def build(attempt: Try, admitted: SpeechRequest) -> HttpRequest:
        return exchange_for(speech.NAME, attempt.route.dialect).build(admitted, target=attempt.route.target)

    async def send(sent: HttpRequest, dialect: str, patience: float) -> Download:
        sound = await SENDER.open_download(sent, adapter=exchange_for(speech.NAME, dialect), patience=patience)
        if sound.content_type.startswith(NO_SOUND):
            await sound.close()
            raise short_of("The provider answered without sound.")
        return sound

    call = await begin(caller=caller, request=request, need_of=speech.need, build=build, operation=speech.NAME)
    try:
        route, sound = await call.try_each(send)
    except BaseException as error:
        await call.give_up(error)
        raise
    used = speech.used(cast(SpeechRequest, call.admission.request))
    try:
        bill = await call.settle(Generation.Status.FINISHED, usage=used.usage, units=used.units)
    except BaseException:
        await sound.close()
        raise
    return Spoken(ids.generation_id(call.admission.generation_id), route, bill, sound)
