"""What is no chat: embeddings and the like."""

from django.urls import path

from routing.api.audio import Speech, Transcriptions
from routing.api.catalogue import EmbeddingModels
from routing.api.embeddings import Embeddings
from routing.api.files import FileContent, Files, OneFile
from routing.api.images import Images
from routing.api.rerank import CohereRerank, Rerank
from routing.api.videos import OneVideo, VideoContent, Videos

urlpatterns = [
    path("api/v1/embeddings", Embeddings.as_view(), name="embeddings"),
    path("v1/embeddings", Embeddings.as_view()),
    path("api/v1/embeddings/models", EmbeddingModels.as_view()),
    path("api/v1/rerank", Rerank.as_view(), name="rerank"),
    path("api/v2/rerank", CohereRerank.as_view()),
    path("api/v1/audio/speech", Speech.as_view(), name="speech"),
    path("v1/audio/speech", Speech.as_view()),
    path("api/v1/audio/transcriptions", Transcriptions.as_view(), name="transcriptions"),
    path("v1/audio/transcriptions", Transcriptions.as_view()),
    path("api/v1/images", Images.as_view(), name="images"),
    path("api/v1/images/generations", Images.as_view()),
    path("v1/images/generations", Images.as_view()),
    path("api/v1/videos", Videos.as_view(), name="videos"),
    path("api/v1/videos/<slug:job_id>", OneVideo.as_view()),
    path("api/v1/videos/<slug:job_id>/content", VideoContent.as_view()),
    path("api/v1/files", Files.as_view(), name="gateway_files"),
    path("api/v1/files/<slug:file_id>", OneFile.as_view()),
    path("api/v1/files/<slug:file_id>/content", FileContent.as_view()),
]
