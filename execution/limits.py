"""The numbers that bound hosted runs; each can be set in the environment."""

import datetime as dt
from typing import Final

from marketplace.lib import env

MEBIBYTE: Final = 1024 * 1024

LEASE: Final = dt.timedelta(seconds=env.integer("RUN_LEASE_SECONDS", 15, minimum=3))
HEARTBEAT_SECONDS: Final = 2.0
WATCH_SECONDS: Final = 0.25
RUN_ATTEMPTS: Final = 3
BUILD_ATTEMPTS: Final = 2
BUILDS_AT_ONCE: Final = env.integer("BUILDS_AT_ONCE", 2, minimum=1)

HOLD_AHEAD_MS: Final = 60_000
# A run whose reserved time ends within this is stopped, so that stopping it still fits in the hold.
HOLD_MARGIN_MS: Final = 6_000

RUN_SECONDS: Final = env.integer("PREDICTION_RUN_SECONDS", 1_800, minimum=1)
# A training may take hours, and its weights a gigabyte; while it makes them they lie in its /tmp, twice as large.
TRAINING_SECONDS: Final = env.integer("TRAINING_RUN_SECONDS", 6 * 3_600, minimum=1)
MAX_WEIGHTS_BYTES: Final = env.integer("MAX_WEIGHTS_BYTES", 1024 * MEBIBYTE, minimum=1)
QUEUE_TIME: Final = dt.timedelta(seconds=env.integer("PREDICTION_QUEUE_SECONDS", 6 * 3_600, minimum=1))
# A backstop only: every prediction ends by itself long before, and its end settles or releases its hold.
HOLD_LIFE: Final = dt.timedelta(hours=24)
MIN_CANCEL_AFTER: Final = 5
MAX_WAIT_SECONDS: Final = 60

# Deployments: how long demand must be lower before instances go, and how long one must be unused to be deleted.
QUIET: Final = dt.timedelta(seconds=env.integer("DEPLOYMENT_QUIET_SECONDS", 180, minimum=1))
UNUSED: Final = dt.timedelta(minutes=15)
MOST_LEAST_INSTANCES: Final = 5
MOST_INSTANCES: Final = 20
# How long a new release's instances look for room beside those of the one before, until room is made.
ROLL_TIME: Final = dt.timedelta(seconds=15)
INSTANCE_MINUTE_MS: Final = 60_000
INSTANCE_HOLD_LIFE: Final = dt.timedelta(minutes=10)
# A drained deployment comes back when the wallet pays for this much of one instance.
RESUME_MINUTES: Final = 5
# After a setup that failed, before the next try.
SETUP_PAUSE: Final = dt.timedelta(seconds=60)

MAX_FILE_BYTES: Final = env.integer("MAX_UPLOAD_BYTES", 100 * MEBIBYTE, minimum=1)
# Archives: in parts of exactly this size (the last may be shorter), kept for so long after the last one came.
PART_BYTES: Final = env.integer("UPLOAD_PART_BYTES", 8 * MEBIBYTE, minimum=1024)
MAX_ARCHIVE_BYTES: Final = env.integer("MAX_ARCHIVE_BYTES", 2048 * MEBIBYTE, minimum=1)
UPLOAD_LIFE: Final = dt.timedelta(hours=env.integer("UPLOAD_HOURS", 24, minimum=1))
UPLOADS_AT_ONCE: Final = 5
UPLOADED_AT_ONCE_BYTES: Final = 2 * MAX_ARCHIVE_BYTES
MAX_INLINE_BYTES: Final = 64 * 1024
MAX_INPUT_FILES: Final = 50
MAX_LOG_CHARACTERS: Final = MEBIBYTE
FETCH_SECONDS: Final = 60.0

FILE_LIFE: Final = dt.timedelta(hours=env.integer("FILE_HOURS", 24, minimum=1))
LINK_LIFE: Final = dt.timedelta(hours=1)
API_RETENTION: Final = dt.timedelta(seconds=env.integer("PREDICTION_RETENTION_SECONDS", 3_600, minimum=60))
WEB_RETENTION: Final = dt.timedelta(days=90)
IDEMPOTENCY_LIFE: Final = dt.timedelta(hours=24)
IDEMPOTENCY_LEASE: Final = dt.timedelta(seconds=30)

# A webhook's tries, in seconds after the one before: the last comes 17 minutes after the end, before the data goes.
WEBHOOK_DELAYS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
WEBHOOK_SECONDS: Final = 10.0
WEBHOOK_LIVE_SECONDS: Final = 3.0
WEBHOOK_THROTTLE_SECONDS: Final = 0.5
WEBHOOK_LEASE: Final = dt.timedelta(seconds=30)
STREAM_KEEP_ALIVE_SECONDS: Final = 15.0

# Requests of one account in a minute.
CREATIONS_A_MINUTE: Final = env.integer("PREDICTIONS_PER_MINUTE", 600, minimum=1)
REQUESTS_A_MINUTE: Final = env.integer("REQUESTS_PER_MINUTE", 3_000, minimum=1)
