"""What of a prompt an endpoint is expected to have cached: an economic term, for it costs less and is read faster.

Known by the beginnings of prompts that were answered there (`prefixes`), of whatever conversation, and by the names
that callers give to conversations. Nothing is pinned: when another endpoint costs less even so, the conversation moves.
How much is really found again is learned for each kind of prompt at each endpoint, from what providers report.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from routing.selection.prefixes import Prefixes

K = TypeVar("K")
V = TypeVar("V")

MOST: Final = 100_000
MOST_PLACES: Final = 8  # endpoints of one beginning
MOST_NEWS: Final = 5_000
FIRST_SHARE: Final = 0.8  # of what should be there, expected to be found until it was seen
RATE: Final = 0.4
LONG: Final = 1_024  # tokens; the large providers cache nothing shorter, and that says nothing of what is longer
TOLD_AGAIN: Final = 60.0  # seconds after which it is news that a known beginning is still there


@dataclass(frozen=True, slots=True)
class Told:
    """News for other processes: an endpoint has what the key stands for, for so many seconds from now.

    `tokens` is 0 for a beginning; of a named conversation it is how long its prompt was.
    """

    key: bytes
    endpoint_id: int
    seconds: float
    tokens: int = 0


@dataclass(slots=True)
class _Named:
    """A conversation with a name: the endpoint that answered last, how long its prompt was, the share found again."""

    endpoint_id: int
    tokens: int
    share: float
    until: float


class Affinities:
    """The prompts that endpoints have read of late, the least recently used dropped first."""

    def __init__(self, *, most: int = MOST) -> None:
        # Beginning -> endpoint -> (until when it is there, until when others have been told so).
        self._places: OrderedDict[bytes, dict[int, tuple[float, float]]] = OrderedDict()
        self._named: OrderedDict[bytes, _Named] = OrderedDict()
        # (the first beginning, endpoint, whether what was expected was long) -> share found again
        self._shares: OrderedDict[tuple[bytes, int, bool], float] = OrderedDict()
        self._news: OrderedDict[tuple[bytes, int], tuple[float, int]] = OrderedDict()  # -> (until when, tokens)
        self._most = most

    def cached(self, prompt: Prefixes, *, tokens: int, now: float) -> dict[int, int]:
        """Endpoint -> how many of the prompt's tokens are expected to be found there."""
        found = {
            endpoint_id: int(there * self._share(prompt, endpoint_id, there))
            for endpoint_id, there in self._there(prompt, tokens=tokens, now=now).items()
        }
        named = self._named.get(prompt.name) if prompt.name else None
        if named is not None and now < named.until:
            most = int(min(tokens, named.tokens) * named.share)
            found[named.endpoint_id] = max(found.get(named.endpoint_id, 0), most)
        return found

    def answered(
        self, prompt: Prefixes, *, endpoint_id: int, tokens: int, cached_tokens: int | None, now: float
    ) -> None:
        """An endpoint answered and so has the prompt; what it says it found of it (None: nothing said) teaches."""
        if cached_tokens is not None:
            self._learn(prompt, endpoint_id=endpoint_id, tokens=tokens, cached_tokens=cached_tokens, now=now)
        until = now + prompt.seconds
        for key in prompt.keys:
            self._keep(key, endpoint_id, until=until)
        if prompt.name is not None and tokens > 0:
            self._name(prompt.name, endpoint_id, tokens=tokens, cached_tokens=cached_tokens, until=until)
            self._tell(prompt.name, endpoint_id, until=until, tokens=tokens)

    def heard(self, told: Iterable[Told], *, then: float) -> None:
        """Another process's news, said at `then` on our clock. What we know of a name ourselves counts more."""
        for one in told:
            until = then + one.seconds
            if not one.tokens:
                self._place(one.key, one.endpoint_id, until, told=until)
            elif (known := self._named.get(one.key)) is None or known.until < until:
                share = known.share if known is not None and known.endpoint_id == one.endpoint_id else FIRST_SHARE
                self._put(self._named, one.key, _Named(one.endpoint_id, one.tokens, share, until))

    def news(self, *, most: int, now: float) -> list[Told]:
        """What the others are to be told now, and forgotten with that."""
        keys = list(self._news)[:most]
        told = [(key, self._news.pop(key)) for key in keys]
        return [
            Told(key, endpoint_id, until - now, tokens) for (key, endpoint_id), (until, tokens) in told if until > now
        ]

    def __len__(self) -> int:
        return len(self._places) + len(self._named)

    def _there(self, prompt: Prefixes, *, tokens: int, now: float) -> dict[int, float]:
        """Endpoint -> tokens of the longest beginning that it has read."""
        found: dict[int, float] = {}
        for key, share in zip(reversed(prompt.keys), reversed(prompt.shares), strict=True):
            places = self._places.get(key)
            if places is not None:
                for endpoint_id, (until, _) in places.items():
                    if now < until and endpoint_id not in found:
                        found[endpoint_id] = share * tokens
        return found

    def _share(self, prompt: Prefixes, endpoint_id: int, there: float) -> float:
        return self._shares.get((prompt.keys[0], endpoint_id, there >= LONG), FIRST_SHARE)

    def _learn(self, prompt: Prefixes, *, endpoint_id: int, tokens: int, cached_tokens: int, now: float) -> None:
        there = self._there(prompt, tokens=tokens, now=now).get(endpoint_id, 0.0)
        if there >= 1:
            seen, old = min(1.0, cached_tokens / there), self._share(prompt, endpoint_id, there)
            self._put(self._shares, (prompt.keys[0], endpoint_id, there >= LONG), old + RATE * (seen - old))

    def _name(self, name: bytes, endpoint_id: int, *, tokens: int, cached_tokens: int | None, until: float) -> None:
        old, share = self._named.get(name), FIRST_SHARE
        if old is not None and old.endpoint_id == endpoint_id:
            share = old.share
            if cached_tokens is not None and (there := min(old.tokens, tokens)) > 0:
                share += RATE * (min(1.0, cached_tokens / there) - share)
        self._put(self._named, name, _Named(endpoint_id, tokens, share, until))

    def _keep(self, key: bytes, endpoint_id: int, *, until: float) -> None:
        told = self._place(key, endpoint_id, until)
        if until - told > TOLD_AGAIN:
            self._places[key][endpoint_id] = (until, until)
            self._tell(key, endpoint_id, until=until, tokens=0)

    def _place(self, key: bytes, endpoint_id: int, until: float, *, told: float = 0.0) -> float:
        """Note that it is there; answers until when others know so."""
        places = self._places.pop(key, None) or {}
        old_until, old_told = places.pop(endpoint_id, (0.0, 0.0))
        told = max(told, old_told)
        places[endpoint_id] = (max(until, old_until), told)
        if len(places) > MOST_PLACES:
            del places[min(places, key=places.__getitem__)]
        self._put(self._places, key, places)
        return told

    def _tell(self, key: bytes, endpoint_id: int, *, until: float, tokens: int) -> None:
        self._news.pop((key, endpoint_id), None)
        self._news[key, endpoint_id] = (until, tokens)
        if len(self._news) > MOST_NEWS:
            self._news.popitem(last=False)

    def _put(self, kept: OrderedDict[K, V], key: K, value: V) -> None:
        kept[key] = value
        kept.move_to_end(key)
        while len(kept) > self._most:
            kept.popitem(last=False)
