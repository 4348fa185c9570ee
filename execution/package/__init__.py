"""What a creator gives: an archive or a repository's address, and its cog.yaml. Pure: no Django, Celery, HTTP."""

from execution.package.archive import Entry, Manifest, UnpackLimits, digest, unpack
from execution.package.config import CogConfig, read_config
from execution.package.errors import PackageError
from execution.package.image import Image, read_image
from execution.package.repository import Repository, read_repository
from execution.package.requirements import Requirement, read_requirements

__all__ = [
    "CogConfig",
    "Entry",
    "Image",
    "Manifest",
    "PackageError",
    "Repository",
    "Requirement",
    "UnpackLimits",
    "digest",
    "read_config",
    "read_image",
    "read_repository",
    "read_requirements",
    "unpack",
]
