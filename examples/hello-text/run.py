"""Greets word by word, as slowly as you like."""

import time

from cog import BaseRunner, ConcatenateIterator, Input


class Runner(BaseRunner):
    def setup(self) -> None:
        """Runs once per started model; its prints are the setup log."""
        self.started = time.time()
        print("hello-text is ready")

    def run(
        self,
        text: str = Input(description="Whom to greet", default="world", max_length=200),
        times: int = Input(description="How often", default=1, ge=1, le=100),
        seconds: float = Input(description="How long it shall take in all", default=0.0, ge=0.0, le=600.0),
    ) -> ConcatenateIterator[str]:
        """Yield one greeting after the other."""
        for number in range(times):
            print(f"greeting {number + 1} of {times}")
            time.sleep(seconds / times)
            yield f"hello {text}{'' if number + 1 == times else ', '}"
