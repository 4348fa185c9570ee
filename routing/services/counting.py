"""How long a request is, without answering it: no money, no provider, no record."""

from marketplace.lib.errors import InvalidRequest
from marketplace.services.keys import Caller
from routing.canonical import ChatRequest
from routing.selection.needs import need_of
from routing.services import presets
from routing.services.admission import unknown_model
from routing.services.routes import known_models


def count(*, caller: Caller, request: ChatRequest) -> int:
    """Its input in tokens, by the estimate that admission makes. Raises InvalidRequest for an unknown model."""
    request = presets.applied(request, account_id=caller.account_id)
    if not request.wanted_models:
        raise InvalidRequest("'model' must name a model, such as publisher/model.", metadata={"field": "model"})
    if not known_models(request.wanted_models, account_id=caller.account_id):
        raise unknown_model(request.wanted_models)
    return max(1, need_of(request).input_estimate)
