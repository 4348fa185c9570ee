"""What is told in answers and in webhooks alike."""

from __future__ import annotations

from typing import Any

from routing.models import VideoJob


def video(job: VideoJob, *, base: str) -> dict[str, Any]:
    """A video job as the public reference has it. `base` is this site's address: "http://127.0.0.1:8000"."""
    address = f"{base}/api/v1/videos/{job.public_id}"
    told: dict[str, Any] = {
        "id": job.public_id,
        "generation_id": job.generation.public_id,
        "polling_url": address,
        "status": job.state,
    }
    if job.state == VideoJob.State.COMPLETED:
        told["unsigned_urls"] = [f"{address}/content?index=0"]
        told["usage"] = {"cost": job.generation.cost_nano / 10**9, "is_byok": False}
    if job.error:
        told["error"] = job.error
    return told
