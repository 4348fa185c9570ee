"""Separates the thing inside a box from what is around it by GrabCut, from colours alone."""

import cv2
import numpy as np
from cog import BaseModel, BaseRunner, Input, Path

LONGEST = 1600  # larger pictures are worked on smaller, the mask is enlarged again


class Cut(BaseModel):
    """The mask (white is the thing), the thing on nothing, its box [x, y, width, height] and its share of the picture."""

    mask: Path
    cutout: Path
    box: list[int]
    share: float


class Runner(BaseRunner):
    def run(
        self,
        image: Path = Input(description="A picture (PNG, JPEG, WebP)"),
        x: int = Input(description="Left edge of the box around the thing", ge=0),
        y: int = Input(description="Upper edge", ge=0),
        width: int = Input(description="Width of the box", ge=2),
        height: int = Input(description="Height of the box", ge=2),
        rounds: int = Input(description="More rounds follow the edge closer", default=4, ge=1, le=10),
    ) -> Cut:
        """Cut the thing out."""
        picture = cv2.imread(str(image), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError("image is not a picture that can be read (PNG, JPEG, WebP)")
        tall, wide = picture.shape[:2]
        if x + width > wide or y + height > tall:
            raise ValueError(f"the box leaves the picture, which is {wide} x {tall} pixels")
        if width >= wide and height >= tall:
            raise ValueError("the box must leave something of the picture around it: that is what the thing differs from")
        scale = min(1.0, LONGEST / max(wide, tall))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
        box = [max(1, round(edge * scale)) if place > 1 else round(edge * scale) for place, edge in enumerate((x, y, width, height))]
        labels = np.zeros(small.shape[:2], np.uint8)
        cv2.setRNGSeed(1)  # the same picture gives the same mask
        cv2.grabCut(small, labels, box, np.zeros((1, 65)), np.zeros((1, 65)), rounds, cv2.GC_INIT_WITH_RECT)
        found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
        mask = cv2.resize(found, (wide, tall), interpolation=cv2.INTER_NEAREST) if scale < 1 else found
        share = float((mask > 0).mean())
        print(f"{share:.1%} of {wide} x {tall} pixels")
        return Cut(
            mask=self.save("mask.png", mask),
            cutout=self.save("cutout.png", np.dstack([picture, mask])),
            box=[int(edge) for edge in cv2.boundingRect(mask)],
            share=round(share, 4),
        )

    def save(self, name: str, picture: np.ndarray) -> Path:
        """A PNG to give out."""
        path = Path(f"/tmp/{name}")
        cv2.imwrite(str(path), picture)
        return path
