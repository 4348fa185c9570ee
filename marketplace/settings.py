"""The only settings file; everything that differs between machines is read from the environment."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.fernet import Fernet

from marketplace.lib import env
from marketplace.lib.keyfile import read_or_make

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(env.text("TURNPIKE_VAR", str(BASE_DIR / "var"))).resolve()
VAR.mkdir(parents=True, exist_ok=True)

# --- Secrets: given, or made once and kept in var/ (mode 0600) ---
SECRET_KEY = env.secret("SECRET_KEY") or read_or_make(VAR / "secret_key", lambda: Fernet.generate_key().decode())
# Several keys, newest first: the first encrypts, all decrypt.
ENCRYPTION_KEYS = env.words("ENCRYPTION_KEYS") or [
    read_or_make(VAR / "encryption_key", lambda: Fernet.generate_key().decode())
]

# --- Addresses ---
DEBUG = env.flag("DEBUG")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "127.0.0.1 localhost [::1]")
PUBLIC_URL = env.text("PUBLIC_URL")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")


def _remembered_port(file: Path) -> int:
    """The port that `manage.py serve` has chosen for this var/, so that commands beside it know it too; 0: none."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


# Where the worker of this host answers the gateway for hosted servers of chats; 0: there are none.
CHAT_PORT = env.integer("TURNPIKE_CHAT_PORT", _remembered_port(VAR / "chat-port"), minimum=0)
# The address of this host at which gateways reach it; others than this machine must list host:port below.
CHAT_HOST = env.text("TURNPIKE_CHAT_HOST", "127.0.0.1")
# Origins on private addresses that may be called, exactly as written: 127.0.0.1:9001, …
PRIVATE_ORIGINS = frozenset(
    [*env.words("TURNPIKE_PRIVATE_ORIGINS"), *([f"127.0.0.1:{CHAT_PORT}"] if CHAT_PORT else [])]
)
# The same for media that chats name. Apart: what an operator's own provider tells is not for callers to read.
MEDIA_ORIGINS = frozenset(env.words("TURNPIKE_MEDIA_ORIGINS"))
# Registries that images of models may come from, "host" or "host:port" as references write them; none: no images.
IMAGE_REGISTRIES = frozenset(env.words("TURNPIKE_IMAGE_REGISTRIES"))
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
HTTPS_ONLY = env.flag("HTTPS_ONLY")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0

# --- Applications ---
INSTALLED_APPS = [
    "routing",
    "execution",
    "billing",
    "marketplace",
    "django.contrib.admin.apps.SimpleAdminConfig",  # urls.py looks for the admins; workers and commands need none
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "django_htmx",
    "rest_framework",
    "ninja",  # for its static files: the page at /api/docs
]
# Every entry runs on the event loop as it is; Django's own would go to a thread at each step (see the module).
MIDDLEWARE = [
    "marketplace.middleware.RequestId",
    "marketplace.middleware.Security",
    "marketplace.middleware.StaticFiles",
    "marketplace.middleware.Sessions",
    "marketplace.middleware.Common",
    "marketplace.middleware.Csrf",
    "marketplace.middleware.Authentication",
    "marketplace.middleware.Messages",
    "marketplace.middleware.Frames",
    "marketplace.middleware.ContentSecurityPolicy",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "marketplace.urls"
ASGI_APPLICATION = "marketplace.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "marketplace.context.portal",
            ],
        },
    },
]

# --- Database: SQLite in var/, or PostgreSQL by DATABASE_URL ---


def _database(url: str) -> dict[str, Any]:
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR / "turnpike.sqlite3",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                # Writers queue instead of failing half-way; WAL lets readers go on beside one.
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
            },
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise env.BadSetting("DATABASE_URL: write postgresql://user:password@host:port/name.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5},
    }


DATABASES = {"default": _database(env.secret("DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis where there is one; else everything stays in this process and the database ---
REDIS_URL = env.secret("REDIS_URL")
CACHES = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    )
}

# --- Celery: messages are doorbells, the database is the record ---
BROKER_DIR = VAR / "broker"


def _file_broker(folder: Path) -> dict[str, Any]:
    for name in ("queue", "processed", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "processed_folder": str(folder / "processed"),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.05,
    }


CELERY_BROKER_URL = REDIS_URL or "filesystem://localhost"
CELERY_BROKER_TRANSPORT = None if REDIS_URL else "marketplace.lib.spool:Transport"
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600} if REDIS_URL else _file_broker(BROKER_DIR)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_ACKS_LATE = False
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False


def _beat_schedule() -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for name in ("marketplace", "billing", "execution", "routing"):
        if importlib.util.find_spec(f"{name}.beat") is None:
            continue
        for label, (task, seconds) in importlib.import_module(f"{name}.beat").BEAT.items():
            # A tick that nobody took before the next one is stale: it must not pile up while workers are away.
            entries[label] = {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 5.0)}}
    return entries


CELERY_BEAT_SCHEDULE = _beat_schedule()

# --- People ---
AUTH_USER_MODEL = "marketplace.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = env.text("EMAIL_VERIFICATION", "optional")
ACCOUNT_ADAPTER = "marketplace.signup.AccountAdapter"
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/300s/key"}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/models"
EMAIL_BACKEND = env.text("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Turnpike <noreply@localhost>")

# --- Bodies: the first prefix that fits counts, in bytes ---
MEBIBYTE = 1024 * 1024
MAX_UPLOAD_BYTES = env.integer("MAX_UPLOAD_BYTES", 100 * MEBIBYTE, minimum=1)
# Archives come in parts of this size.
UPLOAD_PART_BYTES = env.integer("UPLOAD_PART_BYTES", 8 * MEBIBYTE, minimum=1024)
BODY_LIMITS = [
    *((f"{root}/uploads", UPLOAD_PART_BYTES + MEBIBYTE) for root in ("/v1", "/v1/v1", "/publish")),
    ("/api/v1/files", MAX_UPLOAD_BYTES + MEBIBYTE),
    ("/v1/files", MAX_UPLOAD_BYTES + MEBIBYTE),
    ("/v1/v1/files", MAX_UPLOAD_BYTES + MEBIBYTE),
    ("/publish", MAX_UPLOAD_BYTES + MEBIBYTE),
    ("/predict", MAX_UPLOAD_BYTES + MEBIBYTE),
    # 25 MiB of sound, in base64 a third more.
    ("/api/v1/audio/transcriptions", 35 * MEBIBYTE),
    ("/v1/audio/transcriptions", 35 * MEBIBYTE),
    ("", env.integer("MAX_BODY_BYTES", 20 * MEBIBYTE, minimum=1)),
]
DATA_UPLOAD_MAX_MEMORY_SIZE = None  # the caps above hold for every path and while reading
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# --- Files ---
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"] if (BASE_DIR / "static").is_dir() else []
STATIC_ROOT = VAR / "collected"
STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise warns without it
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
MEDIA_ROOT = Path(env.text("TURNPIKE_FILES") or VAR / "files")
FILE_UPLOAD_TEMP_DIR = str(VAR / "uploads")
Path(FILE_UPLOAD_TEMP_DIR).mkdir(parents=True, exist_ok=True)

# The dialects that providers can speak; named by string, since the floor knows no app above it.
DIALECT_REGISTRY = "routing.adapters.registry.DIALECTS"

# What runs beside the requests of each web process: coroutine functions, named by string for the same reason.
WEB_BACKGROUND = [
    "routing.services.sharing.run",
    "routing.services.metrics.run",
    "routing.services.idle.run",
    "routing.services.own_workers.run",
]
# The key that probes of idle endpoints are asked with, whose account pays for them; without one there are none.
IDLE_PROBE_KEY = env.secret("IDLE_PROBE_KEY")
# No call for so long is idle; a process remembers half an hour of calls by the minute.
IDLE_PROBE_MINUTES = env.integer("IDLE_PROBE_MINUTES", 15, minimum=1)
IDLE_PROBES_PER_MINUTE = env.integer("IDLE_PROBES_PER_MINUTE", 6, minimum=1)
# Who may read /metrics: whoever sends this token; without one, this machine alone.
METRICS_TOKEN = env.secret("METRICS_TOKEN")

# --- Money ---
PROVIDER_SHARE_BPS = env.integer("PROVIDER_SHARE_BPS", 9_500, minimum=0)
# Of the list price, for requests with an account's own provider key.
BYOK_FEE_BPS = env.integer("BYOK_FEE_BPS", 500, minimum=0)
PUBLISHER_ROYALTY_BPS = env.integer("PUBLISHER_ROYALTY_BPS", 1_000, minimum=0)
# Without a key the portal runs and says that payments are off; without a webhook's secret it refuses all of them.
STRIPE_SECRET_KEY = env.secret("STRIPE_SECRET_KEY")
STRIPE_WEBHOOK_SECRET = env.secret("STRIPE_WEBHOOK_SECRET")
STRIPE_THIN_WEBHOOK_SECRET = env.secret("STRIPE_THIN_WEBHOOK_SECRET")
STRIPE_API_BASE = env.text("STRIPE_API_BASE")
STRIPE_TAX = env.flag("STRIPE_TAX")
# Usage goes over the stream of API v2, a hundred rows at once; otherwise row by row, looked at while it is sent.
STRIPE_METER_STREAM = env.flag("STRIPE_METER_STREAM")
# What an account without a saved card has to pay its invoice.
STRIPE_INVOICE_DAYS = env.integer("STRIPE_INVOICE_DAYS", 14, minimum=1)
TOPUP_MIN_CENTS = env.integer("TOPUP_MIN_CENTS", 500, minimum=50)
TOPUP_FEE_BPS = env.integer("TOPUP_FEE_BPS", 550, minimum=0)
TOPUP_FEE_MIN_CENTS = env.integer("TOPUP_FEE_MIN_CENTS", 80, minimum=0)
# Earnings can be paid out after so many whole days; of younger ones than the second, a part is kept for disputes.
PAYOUT_DELAY_DAYS = env.integer("PAYOUT_DELAY_DAYS", 7, minimum=0)
PAYOUT_RESERVE_DAYS = env.integer("PAYOUT_RESERVE_DAYS", 90, minimum=0)
PAYOUT_RESERVE_PERCENT = env.integer("PAYOUT_RESERVE_PERCENT", 5, minimum=0)
PAYOUT_MIN_CENTS = env.integer("PAYOUT_MIN_CENTS", 2_500, minimum=100)

# --- Time and language ---
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# --- API ---
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["marketplace.api.auth.ApiKeyAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "marketplace.api.errors.handle",
    "UNAUTHENTICATED_USER": None,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
        "fontTools": {"level": "WARNING"},  # tells of every glyph that it leaves out
        "django.request": {"level": "ERROR"},
    },
}
