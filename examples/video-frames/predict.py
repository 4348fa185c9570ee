"""Takes pictures out of a video with ffmpeg: where the scene changes, or so many a second."""

import re
import subprocess
import tempfile
from pathlib import Path as Place

from cog import BaseModel, BaseRunner, Input, Path

TIME = re.compile(r"pts_time:([0-9.]+)")


class Frame(BaseModel):
    """A picture, and at which second of the film it is."""

    image: Path
    seconds: float


class Film(BaseModel):
    """Pictures in the order of the film. Within an object: files that are given out one by one overtake each other."""

    frames: list[Frame]


class Runner(BaseRunner):
    def run(
        self,
        video: Path = Input(description="A video (MP4, WebM, MOV, ...)"),
        mode: str = Input(description="Where to take them", default="scenes", choices=["scenes", "steady"]),
        threshold: float = Input(description="scenes: how much must change, 0 to 1", default=0.3, ge=0.01, le=1),
        fps: float = Input(description="steady: pictures a second", default=1.0, ge=0.01, le=30),
        most: int = Input(description="At most so many pictures", default=20, ge=1, le=200),
        width: int = Input(description="Pictures are made this wide at most, in pixels", default=640, ge=16, le=3840),
    ) -> Film:
        """PNGs in the order of the film, each with its time."""
        # The first picture is a scene of its own: there is nothing before it that it could differ from.
        chosen = f"select='eq(n,0)+gt(scene,{threshold})'" if mode == "scenes" else f"fps={fps}"
        folder = Place(tempfile.mkdtemp(dir="/tmp"))
        done = subprocess.run(
            ["ffmpeg", "-hide_banner", "-nostats", "-i", str(video)]
            + ["-vf", f"{chosen},scale='min({width},iw)':-2,showinfo", "-fps_mode", "vfr", "-frames:v", str(most)]
            + [str(folder / "%04d.png")],
            capture_output=True,
            text=True,
            check=False,
        )
        pictures = sorted(folder.glob("*.png"))
        if done.returncode or not pictures:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise ValueError(f"video cannot be read: {lines[-1]}")
        times = TIME.findall(done.stderr)
        print(f"{len(pictures)} pictures")
        frames = [Frame(image=Path(one), seconds=float(at)) for one, at in zip(pictures, times, strict=False)]
        return Film(frames=frames)
