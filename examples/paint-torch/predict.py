"""Paints a picture by asking a small network with random weights for the colour of every point."""

import math
import time

from cog import BaseModel, BaseRunner, Input, Path

POINTS_AT_ONCE = 1 << 18  # bounds the memory of a large picture
FEATURES = 6


class Painting(BaseModel):
    """The picture; `device` is where it was computed ("cuda" or "cpu"), `seconds` how long that took."""

    image: Path
    device: str
    seconds: float


def device_of(torch) -> str:
    """The GPU where the host gives one and torch can use it, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Runner(BaseRunner):
    def setup(self) -> None:
        """Import torch, which takes seconds, and choose the device."""
        import torch  # not at the top: the inputs and outputs are read without them
        from PIL import Image

        self.torch, self.pictures = torch, Image
        self.device = device_of(torch)
        name = torch.cuda.get_device_name(0) if self.device == "cuda" else f"{torch.get_num_threads()} threads"
        print(f"torch {torch.__version__} on {self.device}: {name}")

    def run(
        self,
        seed: int = Input(description="Another number, another picture", default=7, ge=0, le=2**31 - 1),
        width: int = Input(description="Pixels", default=640, ge=16, le=4096),
        height: int = Input(description="Pixels", default=400, ge=16, le=4096),
        layers: int = Input(description="More layers, more folds", default=6, ge=1, le=24),
        neurons: int = Input(description="In each layer", default=32, ge=4, le=256),
        zoom: float = Input(description="Smaller: a closer look at the middle", default=1.0, ge=0.05, le=20.0),
    ) -> Painting:
        """The picture of this seed. The same seed is the same picture up to the device's last digits."""
        torch = self.torch
        started = time.perf_counter()
        weights = self.weights(seed, layers, neurons)
        x = torch.linspace(-zoom, zoom, width, device=self.device) * width / max(width, height)
        y = torch.linspace(-zoom, zoom, height, device=self.device) * height / max(width, height)
        down, across = torch.meshgrid(y, x, indexing="ij")
        points = torch.stack([across.reshape(-1), down.reshape(-1)], dim=1)
        with torch.inference_mode():
            colours = torch.cat([self.colours(part, weights) for part in points.split(POINTS_AT_ONCE)])
        pixels = (colours * 255).round().to(torch.uint8).reshape(height, width, 3).cpu().numpy()
        seconds = time.perf_counter() - started  # .cpu() has waited for the GPU
        path = Path("/tmp/painting.png")
        self.pictures.fromarray(pixels).save(path)
        print(f"{width} x {height} in {seconds:.3f} s on {self.device}")
        return Painting(image=path, device=self.device, seconds=round(seconds, 4))

    def weights(self, seed: int, layers: int, neurons: int) -> list:
        """Random matrices, drawn on the CPU, so that a seed means the same on every device."""
        torch = self.torch
        dice = torch.Generator().manual_seed(seed)
        sizes = [FEATURES, *[neurons] * layers, 3]
        return [
            (torch.randn(into, out, generator=dice) * 1.6 / math.sqrt(into)).to(self.device)
            for into, out in zip(sizes, sizes[1:])
        ]

    def colours(self, points, weights: list):
        """Red, green and blue from 0 to 1 for points in the plane."""
        torch = self.torch
        x, y = points[:, 0], points[:, 1]
        radius, angle = torch.hypot(x, y), torch.atan2(y, x)
        state = torch.stack(
            [2 * x, 2 * y, 3 * radius, torch.sin(3 * angle), torch.cos(2 * angle), torch.sin(6 * radius)], dim=1
        )
        for number, matrix in enumerate(weights[:-1]):
            state = torch.tanh(state @ matrix) if number % 3 else torch.sin(2 * state @ matrix)
        return torch.sigmoid(2 * state @ weights[-1])
