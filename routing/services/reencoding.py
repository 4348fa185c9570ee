"""A request's media as one endpoint takes them: fetched through the guarded transport, documents taken apart.

What is to be done is decided in adapters.intake; here it is done. Each address is fetched once for a request and
each document read once, however many endpoints are tried.
"""

import asyncio
import base64
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from threading import Lock
from typing import Final, cast

from django.conf import settings

from marketplace.lib import env, http, pdf, pool
from marketplace.lib.addresses import Refused
from marketplace.lib.errors import InvalidRequest
from marketplace.services.guardrails import Policy
from routing.adapters import intake, media
from routing.adapters.intake import Medium
from routing.canonical import Audio, ChatRequest, File, Image, Message, Part, Text, ToolResult, Video
from routing.ingress import sound
from routing.selection.candidates import Candidate
from routing.services.routes import Route

MAX_BYTES: Final = env.integer("MEDIA_FETCH_MAX_BYTES", 20 * 1024 * 1024, minimum=1)  # of a request's together
MAX_FETCHES: Final = 20
AT_ONCE: Final = 4  # of a request: the threads are everybody's
SECONDS: Final = 30.0
READING_SECONDS: Final = 60.0  # with the wait for its turn
# Apart from the threads of the database: a slow file server holds up nothing but other fetches.
_FETCHERS: Final = ThreadPoolExecutor(64, thread_name_prefix="media")
_READERS: Final = ThreadPoolExecutor(2, thread_name_prefix="documents")  # each waits for a process that takes a core


class Media:
    """The media of one request, while endpoints are tried."""

    def __init__(self) -> None:
        self._fetched: dict[str, media.Inline] = {}
        self._read: dict[tuple[str, bool], list[pdf.Page]] = {}
        self._left = MAX_BYTES
        self._lock = Lock()

    async def fitted(self, request: ChatRequest, route: Route, policy: Policy) -> ChatRequest:
        """The request as an endpoint takes it; the same object where nothing is to be done.

        Raises InvalidRequest for an address that cannot be fetched or is not what it is given as (no endpoint could
        help), Forbidden for words of a document that a guardrail blocks, UpstreamError(kind invalid, retryable) for
        what this endpoint does not take.
        """
        fit = _Fit(self, route.candidate, policy)
        parts = list(media.opened(part for message in request.messages for part in message.parts))
        try:
            if all(fit.step(part) == "keep" for part in parts):
                return request
            await self._fetch_all(url for part in parts if fit.step(part) == "fetch" for url in media.addresses(part))
            return replace(request, messages=tuple([await fit.message(one) for one in request.messages]))
        except intake.Unsuited as error:
            raise media.unfit(f"This endpoint {error}.") from None

    async def _fetch_all(self, urls: Iterable[str]) -> None:
        wanted = {url for url in urls if not media.is_data_url(url) and url not in self._fetched}
        if len(wanted) + len(self._fetched) > MAX_FETCHES:
            raise _bad(f"At most {MAX_FETCHES} addresses are fetched for a request: send the rest as data URLs")
        loop, turns = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)

        async def fetch(url: str) -> media.Inline:
            async with turns:
                return await loop.run_in_executor(_FETCHERS, self._fetch, url)

        try:
            async with asyncio.timeout(SECONDS):
                found = await asyncio.gather(*map(fetch, wanted))
        except TimeoutError:
            raise _bad(f"The media of this request could not be fetched in {SECONDS:g} seconds") from None
        except http.TooLarge:
            raise _bad(
                f"The media of this request that have to be fetched are larger than {MAX_BYTES:,} bytes: shrink them"
            ) from None
        except (http.FetchFailed, Refused) as error:
            raise _bad(
                f"A medium of this request could not be fetched: {error}. Give an address that anybody can open, "
                "or send the content itself as a data URL"
            ) from None
        self._fetched.update(zip(wanted, found, strict=True))

    def _fetch(self, url: str) -> media.Inline:
        held = bytearray()

        def keep(chunk: bytes) -> None:
            with self._lock:
                self._left -= len(chunk)
            if self._left < 0:
                raise http.TooLarge
            held.extend(chunk)

        found = http.fetch(
            url, write=keep, max_bytes=MAX_BYTES, seconds=SECONDS, private_origins=settings.MEDIA_ORIGINS
        )
        said = found.content_type
        if said in media.UNTYPED:
            said = media.type_of(url, fallback=said)
        return media.Inline(media.type_shown(bytes(held[:64]), said=said), base64.b64encode(held).decode())

    def inline(self, url: str, *, kind: str) -> media.Inline:
        """What was fetched from an address, which has to be of that kind. Raises InvalidRequest."""
        inline = self._fetched[url]
        if not inline.media_type.startswith(kind):
            raise _bad(
                f"What {url.partition('?')[0][:200]} gives is no {kind.strip('/')} but {inline.media_type}: "
                "give the address of the file itself"
            )
        return inline

    async def pages(self, content: str, *, with_pictures: bool) -> list[pdf.Page]:
        """The pages of a PDF in base64. Raises pdf.Unreadable."""
        key = (content, with_pictures)
        if key not in self._read:
            reading = asyncio.get_running_loop().run_in_executor(
                _READERS, lambda: pdf.pages(base64.b64decode(content), with_pictures=with_pictures)
            )
            try:
                self._read[key] = await asyncio.wait_for(reading, READING_SECONDS)
            except TimeoutError:
                raise pdf.Unreadable("too many others are being read, try again later") from None
        return self._read[key]


@dataclass(frozen=True, slots=True)
class _Fit:
    """Fits the parts of one request for one endpoint."""

    owner: Media
    candidate: Candidate
    policy: Policy

    def step(self, part: Part) -> intake.Step:
        """What has to be done to a part. Raises Unsuited."""
        steps = {self._step(one) for one in intake.media_of([part])}
        return "fetch" if "fetch" in steps else "unfold" if "unfold" in steps else "keep"

    def _step(self, medium: Medium) -> intake.Step:
        return intake.step_for(medium, dialect=self.candidate.dialect, inputs=self.candidate.inputs)

    async def message(self, message: Message) -> Message:
        is_users = message.role == "user"
        parts = [new for part in message.parts for new in await self._part(part, is_users=is_users)]
        return replace(message, parts=tuple(parts))

    async def _part(self, part: Part, *, is_users: bool) -> list[Part]:
        if isinstance(part, ToolResult):
            inner = [new for one in part.parts for new in await self._part(one, is_users=is_users)]
            return [replace(part, parts=cast("tuple[Text | Image | Audio | Video | File, ...]", tuple(inner)))]
        step = self.step(part)
        if step == "keep":
            return [part]
        if not isinstance(part, File):
            return [self._inlined(part)]
        if step == "unfold":
            return [await self._screened(new, is_users=is_users) for new in await self._unfolded(part)]
        return await self._part(self._file(part), is_users=is_users)

    def _inlined(self, part: Part) -> Part:
        match part:
            case Image(url, extra):
                return Image(self._picture(url), extra)
            case Audio(_, _, str(url), extra):
                inline = self.owner.inline(url, kind="audio/")
                return Audio(inline.data, sound.format_of(inline.media_type), None, extra)
            case Video(None, frames, extra):
                return Video(None, tuple(map(self._picture, frames)), extra)
            case Video(str(url), _, extra):
                return Video(_data_url(self.owner.inline(url, kind="video/")), (), extra)
        return part

    def _picture(self, url: str) -> str:
        if media.is_data_url(url):
            return url
        inline = self.owner.inline(url, kind="image/")
        taken = intake.intake_of(self.candidate.dialect).pictures
        if inline.media_type not in taken:
            raise media.unfit(
                f"This endpoint takes pictures of the types {', '.join(sorted(taken))}; "
                f"what {url.partition('?')[0][:200]} gives is {inline.media_type}."
            )
        return _data_url(inline)

    def _file(self, part: File) -> File:
        url = part.url or ""
        path = url.partition("?")[0]
        promised = media.type_of(path, fallback="")
        inline = self.owner.inline(url, kind=promised if promised == media.PDF else "")
        return File(part.filename or path.rpartition("/")[2] or None, _data_url(inline), None, None, part.extra)

    async def _unfolded(self, part: File) -> list[Part]:
        """A document's words, and of a PDF's pages without any their pictures."""
        name = part.filename or "document"
        data = part.data or ""
        encoded = media.read_data_url(data, fallback="").data if media.is_data_url(data) else data
        try:
            content = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise _bad(f"The content of the file {name} is not valid base64") from None
        kind = media.type_shown(content[:64], said="")
        if kind.startswith("image/"):
            return [Image(f"data:{kind};base64,{encoded}", part.extra)]
        if kind != media.PDF:
            return [Text(f"{name}:\n\n{_decoded(name, content)}")]
        try:
            pages = await self.owner.pages(encoded, with_pictures=self._shows_pages())
        except pdf.Unreadable as error:
            raise media.unfit(f"This endpoint reads no PDFs, and {name} cannot be converted: {error}.") from None
        if pages and not any(page.words or page.picture for page in pages):
            raise media.unfit(f"This endpoint reads no PDFs, and {name} holds pictures only, no text.")
        return list(_shown(name, pages))

    def _shows_pages(self) -> bool:
        """Pictures of pages were not counted when money was set aside: they must not cost by the picture."""
        takes = intake.refusal(
            frozenset({Medium("image", "data")}), dialect=self.candidate.dialect, inputs=self.candidate.inputs
        )
        return takes is None and "image" not in self.candidate.prices

    async def _screened(self, part: Part, *, is_users: bool) -> Part:
        if not self.policy.filters or not isinstance(part, Text):
            return part
        return Text(await pool.run(self.policy.text, part.text, is_users=is_users))


def _shown(name: str, pages: list[pdf.Page]) -> Iterator[Part]:
    yield Text(f"{name}:" if pages else f"{name} is empty.")
    for is_picture, some in groupby(pages, key=lambda page: bool(page.picture)):
        if is_picture:
            yield from (Image(f"data:image/jpeg;base64,{page.picture}") for page in some)
        else:
            yield Text("\n\n".join(page.words or f"[Page {page.number} is a picture.]" for page in some))


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise media.unfit(f"This endpoint reads no such files, and {name} is neither a PDF nor UTF-8 text.") from None


def _data_url(inline: media.Inline) -> str:
    return f"data:{inline.media_type};base64,{inline.data}"


def _bad(message: str) -> InvalidRequest:
    return InvalidRequest(f"{message}.", metadata={"field": "messages"})
