"""Reads a text aloud with flite, whose voices are inside its program."""

import subprocess
import wave
from pathlib import Path as Place

from cog import BaseRunner, Input, Path


class Runner(BaseRunner):
    def run(
        self,
        text: str = Input(description="English text", min_length=1, max_length=5000),
        voice: str = Input(description="Whose voice", default="slt", choices=["slt", "rms", "awb", "kal16"]),
        speed: float = Input(description="1 is the voice's own speed, 2 twice as fast", default=1.0, ge=0.5, le=2.0),
    ) -> Path:
        """The speech as a WAV file, 16 kHz mono."""
        said, sound = Place("/tmp/text.txt"), Place("/tmp/speech.wav")
        said.write_text(text)
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={1 / speed:.3f}", "-f", said, "-o", sound]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not sound.exists():
            raise RuntimeError(f"flite could not read this text: {done.stderr.strip() or done.returncode}")
        with wave.open(str(sound)) as file:
            print(f"{file.getnframes() / file.getframerate():.2f} seconds of speech")
        return Path(sound)
