"""The one error of an upload that cannot be used."""


class PackageError(ValueError):
    """The upload is at fault; the text says where and what to change, and is shown to its owner."""
