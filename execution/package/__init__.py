"""What a creator uploads: the archive and its cog.yaml. Pure: no Django, no Celery, no HTTP client."""

from execution.package.archive import Entry, Manifest, UnpackLimits, digest, unpack
from execution.package.config import CogConfig, Requirement, read_config, read_requirements
from execution.package.errors import PackageError

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
