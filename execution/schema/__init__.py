"""A version's OpenAPI schema put to use: checks inputs, lists form fields, says what kind its output is. Pure.

The schema is Cog's: `components.schemas.Input` with `x-order`, enums by `allOf` + `$ref`, files as
`{"type": "string", "format": "uri"}`; `components.schemas.Output` (facts/replicate.md section 1).
"""

from execution.schema.chat import chat_offer, of_chat
from execution.schema.checks import InvalidInput, validate
from execution.schema.document import INPUT, OUTPUT, InvalidSchema, Schema
from execution.schema.form import Field, fields, file_inputs
from execution.schema.outputs import is_file_at, is_iterator, lacking_file, modalities, output_kind

__all__ = [
    "INPUT",
    "OUTPUT",
    "Field",
    "InvalidInput",
    "InvalidSchema",
    "Schema",
    "chat_offer",
    "fields",
    "file_inputs",
    "is_file_at",
    "is_iterator",
    "lacking_file",
    "modalities",
    "of_chat",
    "output_kind",
    "validate",
]
