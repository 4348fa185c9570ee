"""The suite runs on settings of its own: fast hashes, mail in memory, a folder that is thrown away."""

from django.conf import settings


def test_the_suites_own_settings_are_in_force() -> None:
    assert settings.SETTINGS_MODULE == "tests.settings"
    assert settings.PASSWORD_HASHERS == ["django.contrib.auth.hashers.MD5PasswordHasher"]
