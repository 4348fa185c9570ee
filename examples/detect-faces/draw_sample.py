"""Draws sample.png, a face of nobody: python draw_sample.py (needs the packages of requirements.txt)."""

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 480, 480
CENTRE = (240, 240)


def face() -> np.ndarray:
    """A head on a plain wall: what the detector looks for is dark eyes under a bright forehead, cheeks and a nose."""
    picture = np.full((HEIGHT, WIDTH, 3), (205, 200, 190), np.uint8)
    cv2.ellipse(picture, (240, 470), (150, 90), 0, 0, 360, (120, 80, 60), -1)  # shoulders
    cv2.ellipse(picture, (240, 215), (112, 140), 0, 0, 360, (45, 50, 60), -1)  # hair
    cv2.ellipse(picture, (240, 250), (95, 125), 0, 0, 360, (165, 190, 225), -1)  # skin
    for side in (-1, 1):
        x = 240 + side * 38
        cv2.ellipse(picture, (x, 228), (24, 14), 0, 0, 360, (120, 145, 180), -1)  # the shadow of the socket
        cv2.ellipse(picture, (x, 205), (25, 6), 0, 180, 360, (50, 60, 80), 6)  # brow
        cv2.ellipse(picture, (x, 230), (18, 9), 0, 0, 360, (245, 245, 245), -1)
        cv2.circle(picture, (x, 230), 8, (60, 40, 30), -1)
    cv2.line(picture, (240, 235), (236, 282), (140, 165, 205), 5)
    cv2.ellipse(picture, (240, 288), (18, 7), 0, 0, 180, (115, 140, 180), 4)
    cv2.ellipse(picture, (240, 322), (36, 11), 0, 0, 360, (95, 95, 175), -1)
    cv2.line(picture, (205, 322), (275, 322), (60, 60, 120), 3)
    return cv2.GaussianBlur(picture, (0, 0), 2.0)


if __name__ == "__main__":
    cv2.imwrite(str(Path(__file__).with_name("sample.png")), face())
