"""The product's settings on a folder of the test process's own; PostgreSQL and Redis when `make test` gives them."""

import atexit
import os
import shutil
import tempfile

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # gw0, gw1 … where several processes share the run
if os.environ.get("TURNPIKE_TEST_VAR_OF") != WORKER:  # a test's subprocess shares its parent's
    os.environ["TURNPIKE_TEST_VAR_OF"] = WORKER
    os.environ["TURNPIKE_TEST_VAR"] = tempfile.mkdtemp(prefix="turnpike-test-")
    atexit.register(shutil.rmtree, os.environ["TURNPIKE_TEST_VAR"], ignore_errors=True)
    if WORKER and os.environ.get("REDIS_URL"):  # a database each: the cache is emptied before every test
        server, _, _ = os.environ["REDIS_URL"].rpartition("/")
        os.environ["REDIS_URL"] = f"{server}/{int(WORKER.removeprefix('gw')) + 1}"
os.environ["TURNPIKE_VAR"] = os.environ["TURNPIKE_TEST_VAR"]

from marketplace.settings import *  # noqa: E402, F403  the one inheritance of settings, for this folder's sake

# Slow on purpose in the product; a test logs in often.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

if "sqlite3" in DATABASES["default"]["ENGINE"]:  # noqa: F405
    # In a file as in the product: threads of a test then meet real locks, not a shared memory.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR / "test.sqlite3")}  # noqa: F405
