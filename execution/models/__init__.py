"""The host's tables: builds, predictions, the files that go in and come out, deployments, hosts."""

from execution.models.builds import Build, Upload
from execution.models.claims import Claim
from execution.models.deployments import Deployment, Release, WarmInstance
from execution.models.files import File
from execution.models.hosts import Door, Host
from execution.models.idempotency import IdempotencyKey
from execution.models.ids import new_id
from execution.models.predictions import Prediction, labels_of
from execution.models.webhooks import SigningSecret, Webhook

__all__ = [
    "Build",
    "Claim",
    "Deployment",
    "Door",
    "File",
    "Host",
    "IdempotencyKey",
    "Prediction",
    "Release",
    "SigningSecret",
    "Upload",
    "WarmInstance",
    "Webhook",
    "labels_of",
    "new_id",
]
