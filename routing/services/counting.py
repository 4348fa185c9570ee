"""How long a request is, without answering it: no money, no provider, no record."""

from marketplace.lib.errors import InvalidRequest
from marketplace.services.keys import Caller
from routing.canonical import ChatRequest
from routing.selection.needs import need_of
from routing.services import presets
from routing.services.naming import meant, unknown_model


def count(*, caller: Caller, request: ChatRequest) -> int:
    """Its input in tokens, by the estimate that admission makes. Raises InvalidRequest for an unknown model."""
    laid = presets.applied(request, account_id=caller.account_id)
    request = laid.request
    if not request.wanted_models:
        raise InvalidRequest("'model' must name a model, such as publisher/model.", metadata={"field": "model"})
    need = need_of(request)
    names = request.wanted_models
    if not meant(names=names, account_id=caller.account_id, request=request, need=need).models:
        raise laid.explained(unknown_model(names, account_id=caller.account_id))
    return max(1, need.input_estimate)
