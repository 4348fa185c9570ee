"""What runs by the clock: name -> (task, seconds)."""

from typing import Final

BEAT: Final[dict[str, tuple[str, float]]] = {
    "execution-poll": ("execution.poll", 1.0),
    "execution-remove-old-data": ("execution.remove_old_data", 60.0),
}
