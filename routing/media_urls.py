"""What is no chat: embeddings and the like."""

from django.urls import path

from routing.api.embeddings import Embeddings

urlpatterns = [
    path("api/v1/embeddings", Embeddings.as_view(), name="embeddings"),
    path("v1/embeddings", Embeddings.as_view()),
]
