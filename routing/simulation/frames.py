"""AWS event-stream frames, written: what botocore reads but does not write."""

import json
import struct
from binascii import crc32
from collections.abc import Mapping
from typing import Any, Final

STRING: Final = 7


def frame(name: str, data: Mapping[str, Any], *, kind: str = "event") -> bytes:
    """One frame: an event (or an exception) of that name with its JSON."""
    headers = _header(f":{kind}-type", name) + _header(":content-type", "application/json")
    headers += _header(":message-type", kind)
    payload = json.dumps(data).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack("!I", crc32(prelude))
    message = prelude + headers + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", STRING, len(value)) + value.encode()
