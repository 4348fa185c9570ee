"""Finds faces that look at the camera by Haar cascades, which OpenCV brings along."""

from pathlib import Path as Place

import cv2
import numpy as np
from cog import BaseModel, BaseRunner, Input, Path


class Face(BaseModel):
    """One face. `box` is [x, y, width, height] in pixels from the upper left corner."""

    label: str
    box: list[int]
    confidence: float


class Found(BaseModel):
    """All faces, largest first."""

    boxes: list[Face]
    width: int
    height: int


def likelihood(weight: float) -> float:
    """The cascade's weight, which has no upper bound, as a number from 0 to 1 that grows with it."""
    return round(float(1 / (1 + np.exp(-(weight - 2.0)))), 3)


class Runner(BaseRunner):
    def setup(self) -> None:
        """Read the cascade: a file of the package, so that nothing is fetched."""
        name = "haarcascade_frontalface_default.xml"
        self.cascade = cv2.CascadeClassifier(str(Place(cv2.data.haarcascades) / name))
        if self.cascade.empty():
            raise RuntimeError(f"{name} cannot be read")

    def run(
        self,
        image: Path = Input(description="A picture (PNG, JPEG, WebP)"),
        min_size: int = Input(description="Smaller faces are left out, in pixels", default=40, ge=10, le=2000),
        neighbours: int = Input(description="How many overlapping hits make a face; more is stricter", default=5, ge=1, le=50),
    ) -> Found:
        """Tell the faces of the picture."""
        picture = cv2.imread(str(image), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise ValueError("image is not a picture that can be read (PNG, JPEG, WebP)")
        height, width = picture.shape
        found, _, weights = self.cascade.detectMultiScale3(
            cv2.equalizeHist(picture),
            scaleFactor=1.1,
            minNeighbors=neighbours,
            minSize=(min_size, min_size),
            outputRejectLevels=True,
        )
        faces = [
            Face(label="face", box=[int(edge) for edge in box], confidence=likelihood(float(weight)))
            for box, weight in zip(found, np.asarray(weights).reshape(-1), strict=True)
        ]
        print(f"{len(faces)} faces in {width} x {height} pixels")
        return Found(boxes=sorted(faces, key=lambda face: -face.box[2]), width=width, height=height)
