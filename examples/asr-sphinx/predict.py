"""Writes down English speech with PocketSphinx, whose model is inside its package."""

import subprocess

from cog import BaseModel, BaseRunner, Input, Path
from pocketsphinx import Decoder

RATE = 16_000
FRAMES_A_SECOND = 100
LONGEST_SECONDS = 300
FILLERS = ("<", "[")  # silence and noise, not words


class Word(BaseModel):
    """One word, and when it was said, in seconds from the start."""

    word: str
    start: float
    end: float


class Transcript(BaseModel):
    """What was said."""

    text: str
    words: list[Word]
    seconds: float


class Runner(BaseRunner):
    def setup(self) -> None:
        """Read the model: half a second."""
        self.open = Decoder(samprate=RATE, loglevel="FATAL")

    def run(
        self,
        audio: Path = Input(description="Speech in any common format, at most 5 minutes"),
        phrases: str = Input(
            description="What can have been said, one phrase a line; empty: anything", default="", max_length=5000
        ),
    ) -> Transcript:
        """The words with their times."""
        sound = decoded(audio)
        seconds = len(sound) / 2 / RATE
        decoder = self.open if not phrases.strip() else of_phrases(phrases)
        decoder.start_utt()
        decoder.process_raw(sound, full_utt=True)
        decoder.end_utt()
        words = [
            Word(
                word=one.word.split("(")[0],  # "read(2)" is the second way to say "read"
                start=one.start_frame / FRAMES_A_SECOND,
                end=(one.end_frame + 1) / FRAMES_A_SECOND,
            )
            for one in decoder.seg() or ()
            if not one.word.startswith(FILLERS)
        ]
        print(f"{len(words)} words in {seconds:.1f} seconds")
        return Transcript(text=" ".join(one.word for one in words), words=words, seconds=round(seconds, 3))


def decoded(audio: Path) -> bytes:
    """The sound as ffmpeg decodes it: 16-bit samples of one channel. Raises ValueError."""
    command = ["ffmpeg", "-v", "error", "-i", str(audio), "-t", str(LONGEST_SECONDS + 1)]
    command += ["-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["there is no sound in it"]
        raise ValueError(f"audio cannot be decoded: {lines[-1]}")
    if len(done.stdout) > LONGEST_SECONDS * RATE * 2:
        raise ValueError(f"audio is longer than {LONGEST_SECONDS} seconds: cut it")
    return done.stdout


def of_phrases(phrases: str) -> Decoder:
    """A decoder that hears only these phrases. Raises ValueError for a word that is not in the dictionary."""
    decoder = Decoder(samprate=RATE, loglevel="FATAL", lm=None)
    lines = [" ".join(line.lower().split()) for line in phrases.splitlines() if line.strip()]
    for word in {word for line in lines for word in line.split()}:
        if not word.replace("'", "").isalpha() or decoder.lookup_word(word) is None:
            raise ValueError(f"phrases: the word {word!r} is not in the dictionary")
    decoder.add_jsgf_string("phrases", f"#JSGF V1.0; grammar phrases; public <phrase> = {' | '.join(lines)};")
    decoder.activate_search("phrases")
    return decoder
