"""Finds filled shapes on a plain background and names them by their corners and their roundness."""

import math
from typing import Optional

import cv2
import numpy as np
from cog import BaseModel, BaseRunner, Input, Path

NAMES = {3: "triangle", 4: "rectangle", 5: "pentagon", 6: "hexagon"}


class Shape(BaseModel):
    """One shape. `box` is [x, y, width, height] in pixels from the upper left corner."""

    label: str
    box: list[int]
    confidence: float


class Found(BaseModel):
    """All shapes, largest first; the picture with the boxes drawn in, when asked for."""

    boxes: list[Shape]
    width: int
    height: int
    annotated: Optional[Path] = None


def overlap(contour: np.ndarray, ideal: np.ndarray) -> float:
    """How much of both areas is common, from 0 to 1: what the confidence is made of."""
    x, y, width, height = cv2.boundingRect(np.vstack([contour, ideal]))
    masks = []
    for outline in (contour, ideal):
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [outline - (x, y)], 1)
        masks.append(mask.astype(bool))
    union = np.logical_or(*masks).sum()
    return float(np.logical_and(*masks).sum() / union) if union else 0.0


def name(contour: np.ndarray) -> tuple[str, float]:
    """The label of an outline, and how well the outline fits the ideal shape of that label."""
    length = cv2.arcLength(contour, True)
    corners = cv2.approxPolyDP(contour, 0.03 * length, True)
    roundness = 4 * math.pi * cv2.contourArea(contour) / (length * length)
    if len(corners) > 6 or roundness > 0.88:
        (x, y), radius = cv2.minEnclosingCircle(contour)
        circle = cv2.ellipse2Poly((round(x), round(y)), (round(radius), round(radius)), 0, 0, 360, 3)
        fit = overlap(contour, circle.reshape(-1, 1, 2))
        if fit > 0.85 or len(corners) not in NAMES:
            return ("circle", fit) if fit > 0.75 else ("shape", fit)
    label = NAMES.get(len(corners), "shape")
    if label == "rectangle":
        (_, _), (width, height), _ = cv2.minAreaRect(contour)
        if min(width, height) and max(width, height) / min(width, height) < 1.1:
            label = "square"
        ideal = cv2.boxPoints(cv2.minAreaRect(contour)).astype(np.int32).reshape(-1, 1, 2)
        return label, overlap(contour, ideal)
    return label, overlap(contour, corners)


class Runner(BaseRunner):
    def run(
        self,
        image: Path = Input(description="A picture of filled shapes on a plain background (PNG, JPEG, WebP)"),
        min_area: int = Input(description="Smaller shapes are left out, in pixels", default=100, ge=1),
        annotate: bool = Input(description="Also return the picture with the boxes drawn in", default=False),
    ) -> Found:
        """Tell the shapes of the picture."""
        picture = cv2.imread(str(image), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError("image is not a picture that can be read (PNG, JPEG, WebP)")
        height, width = picture.shape[:2]
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        background = np.median(border, axis=0)
        distance = np.abs(picture.astype(np.int16) - background.astype(np.int16)).max(axis=2)
        mask = (distance > 40).astype(np.uint8) * 255
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        shapes = []
        for contour in sorted(contours, key=cv2.contourArea, reverse=True):
            if cv2.contourArea(contour) < min_area:
                continue
            label, fit = name(contour)
            x, y, across, down = cv2.boundingRect(contour)
            shapes.append(Shape(label=label, box=[x, y, across, down], confidence=round(fit, 3)))
        print(f"{len(shapes)} shapes in {width} x {height} pixels")
        return Found(boxes=shapes, width=width, height=height, annotated=self.draw(picture, shapes) if annotate else None)

    def draw(self, picture: np.ndarray, shapes: list[Shape]) -> Path:
        """The picture with boxes and labels, as a PNG."""
        for shape in shapes:
            x, y, across, down = shape.box
            cv2.rectangle(picture, (x, y), (x + across, y + down), (0, 0, 0), 2)
            cv2.putText(picture, shape.label, (x, max(12, y - 4)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        path = Path("/tmp/annotated.png")
        cv2.imwrite(str(path), picture)
        return path
