"""The only sender: HTTP to providers, checked and pinned, with a deadline for every kind of silence.

One pooled client per origin. The origin's name is resolved here, every address judged, and the client
pinned to the one that was checked, so a name that changes its mind gains nothing; after `PIN_SECONDS` it
is resolved anew. No redirects, no proxies from the environment, no content codings.

pyreqwest does not abort a request whose headers are still awaited when its Python task is cancelled, so
each request also carries its deadline inside the client: a call that nobody waits for ends by then.
"""

from routing.upstream.answers import Download, Stream, silence
from routing.upstream.deadlines import Deadlines
from routing.upstream.sender import SENDER, Sender

__all__ = ["SENDER", "Deadlines", "Download", "Sender", "Stream", "silence"]
