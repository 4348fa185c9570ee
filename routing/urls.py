"""The gateway's API: /api/v1, and /v1 for what does not collide with the hosting half."""

from django.urls import include, path

from routing.api import account, catalogue, document
from routing.api.chat import ChatCompletions
from routing.api.cohere import CohereChat
from routing.api.completions import Completions
from routing.api.gemini import CountTokens as GeminiCountTokens
from routing.api.gemini import GenerateContent, StreamGenerateContent
from routing.api.management import API
from routing.api.messages import CountTokens, Messages
from routing.api.metrics import metrics
from routing.api.responses import Responses

urlpatterns = [
    path("", include("routing.media_urls")),
    path("api/v1/chat/completions", ChatCompletions.as_view(), name="chat_completions"),
    path("v1/chat/completions", ChatCompletions.as_view()),
    path("api/v1/completions", Completions.as_view(), name="completions"),
    path("v1/completions", Completions.as_view()),
    path("api/v1/responses", Responses.as_view(), name="responses"),
    path("v1/responses", Responses.as_view()),
    path("api/v1/messages", Messages.as_view(), name="messages"),
    path("v1/messages", Messages.as_view()),
    path("api/v1/messages/count_tokens", CountTokens.as_view()),
    path("v1/messages/count_tokens", CountTokens.as_view()),
    path("api/v2/chat", CohereChat.as_view(), name="cohere_chat"),
    # Google's newer clients ask under v1, the older ones under v1beta; a model's name holds a slash.
    *(
        path(f"api/{version}/models/<path:model>:{verb}", view.as_view())
        for version in ("v1", "v1beta")
        for verb, view in (
            ("generateContent", GenerateContent),
            ("streamGenerateContent", StreamGenerateContent),
            ("countTokens", GeminiCountTokens),
        )
    ),
    path("api/v1/models", catalogue.Models.as_view(), name="api_models"),
    path("api/v1/models/count", catalogue.ModelsCount.as_view()),
    path("api/v1/models/user", catalogue.ModelsOfUser.as_view()),
    path("api/v1/models/<str:author>/<str:slug>/endpoints", catalogue.ModelEndpoints.as_view()),
    path("api/v1/models/<str:author>/<str:slug>", catalogue.ModelOfList.as_view()),
    path("api/v1/model/<str:author>/<str:slug>", catalogue.OneModel.as_view()),
    path("api/v1/providers", catalogue.Providers.as_view()),
    path("api/v1/endpoints/zdr", catalogue.ZdrEndpoints.as_view()),
    path("api/v1/generation", account.OneGeneration.as_view()),
    path("api/v1/key", account.Key.as_view()),
    path("api/v1/credits", account.Credits.as_view()),
    path("api/v1/", include((API.addresses(), "management"))),
    path("api/openapi.json", document.openapi, name="openapi"),
    path("api/docs", document.docs, name="api_docs"),
    path("metrics", metrics, name="metrics"),
]
