"""What a creator uploads: the archive and its cog.yaml. Pure: no Django, no Celery, no HTTP client."""

from execution.package.archive import Entry, Manifest, UnpackLimits, digest, unpack
from execution.package.config import CogConfig, read_config
from execution.package.errors import PackageError
from execution.package.requirements import Requirement, read_requirements

__all__ = [
    "CogConfig",
    "Entry",
    "Manifest",
    "PackageError",
    "Requirement",
    "UnpackLimits",
    "digest",
    "read_config",
    "read_requirements",
    "unpack",
]
