"""Replicate's paths under /v1 (and /v1/v1, for the 2.x client's environment variable), and the portal's pages."""

from django.urls import URLPattern, URLResolver, include, path

from execution.api import account, builds, deployments, files, models, predictions, trainings, uploads
from execution.views import deployments as kept
from execution.views import publishing
from execution.views import runs as views
from execution.views import trainings as trained
from execution.views import uploads as parts

API: list[URLPattern | URLResolver] = [
    path("predictions", predictions.Predictions.as_view()),
    path("predictions/<slug:prediction_id>", predictions.OnePrediction.as_view()),
    path("predictions/<slug:prediction_id>/cancel", predictions.CancelPrediction.as_view()),
    path("predictions/<slug:prediction_id>/stream", predictions.Stream.as_view()),
    path("files/<slug:prediction_id>/stream", predictions.Stream.as_view()),
    path("webhooks/default/secret", account.SecretView.as_view()),
    path("account", account.AccountView.as_view()),
    path("hardware", account.HardwareView.as_view()),
    path("collections", models.Collections.as_view()),
    path("collections/<slug:slug>", models.OneCollection.as_view()),
    path("search", models.Search.as_view()),
    path("models", models.Models.as_view()),
    path("models/<str:owner>/<str:name>", models.OneModel.as_view()),
    path("models/<str:owner>/<str:name>/predictions", predictions.ModelPredictions.as_view()),
    path("models/<str:owner>/<str:name>/examples", models.Examples.as_view()),
    path("models/<str:owner>/<str:name>/examples/<slug:prediction_id>", models.OneExample.as_view()),
    path("models/<str:owner>/<str:name>/readme", models.Readme.as_view()),
    path("models/<str:owner>/<str:name>/versions", models.Versions.as_view()),
    path("models/<str:owner>/<str:name>/versions/<slug:version_id>", models.OneVersion.as_view()),
    path("models/<str:owner>/<str:name>/builds", builds.Builds.as_view()),
    path("builds/<slug:build_id>", builds.OneBuild.as_view()),
    path("builds/<slug:build_id>/cancel", builds.CancelBuild.as_view()),
    path("uploads", uploads.Uploads.as_view()),
    path("uploads/<slug:upload_id>", uploads.OneUpload.as_view()),
    path("uploads/<slug:upload_id>/complete", uploads.CompleteUpload.as_view()),
    path("models/<str:owner>/<str:name>/versions/<slug:version_id>/trainings", trainings.VersionTrainings.as_view()),
    path("trainings", trainings.Trainings.as_view()),
    path("trainings/<slug:training_id>", trainings.OneTraining.as_view()),
    path("trainings/<slug:training_id>/cancel", trainings.CancelTraining.as_view()),
    path("deployments", deployments.Deployments.as_view()),
    path("deployments/<str:owner>/<str:name>", deployments.OneDeployment.as_view()),
    path("deployments/<str:owner>/<str:name>/predictions", predictions.DeploymentPredictions.as_view()),
    path("files", files.Files.as_view()),
    path("files/<slug:file_id>", files.OneFile.as_view()),
    path("files/<slug:file_id>/download", files.Download.as_view(), name="file_download"),
    path("files/<slug:file_id>/download/<str:name>", files.Download.as_view()),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/", include(API)),
    path("v1/v1/", include(API)),
]

urlpatterns += [
    path("publish", publishing.publish, name="publish"),
    path("publish/uploads", parts.begin, name="upload_begin"),
    path("publish/uploads/<slug:upload_id>", parts.one, name="upload"),
    path("publish/uploads/<slug:upload_id>/complete", parts.complete, name="upload_complete"),
    path("publish/models", views.my_models, name="my_models"),
    path("publish/builds/<slug:build_id>", views.build_detail, name="build_detail"),
    path("publish/builds/<slug:build_id>/log", views.build_log, name="build_log"),
    path("publish/builds/<slug:build_id>/cancel", views.build_cancel, name="build_cancel"),
    path("publish/builds/<slug:build_id>/retry", views.build_retry, name="build_retry"),
    path("deployments", kept.deployment_list, name="deployments"),
    path("deployments/create", kept.deployment_create, name="deployment_create"),
    path("deployments/<slug:name>", kept.deployment_detail, name="deployment"),
    path("deployments/<slug:name>/delete", kept.deployment_delete, name="deployment_delete"),
    path("train/<slug:version_id>", trained.train, name="train"),
    path("trainings", trained.training_list, name="trainings"),
    path("trainings/<slug:training_id>", trained.training_detail, name="training_detail"),
    path("trainings/<slug:training_id>/cancel", trained.training_cancel, name="training_cancel"),
    path("predict/<slug:version_id>", views.predict, name="predict"),
    path("predictions", views.prediction_list, name="predictions"),
    path("predictions/<slug:prediction_id>", views.prediction_detail, name="prediction_detail"),
    path("predictions/<slug:prediction_id>/cancel", views.prediction_cancel, name="prediction_cancel"),
    path("predictions/<slug:prediction_id>/example", views.prediction_example, name="prediction_example"),
]
