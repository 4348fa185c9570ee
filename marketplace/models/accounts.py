"""Who somebody is (User) and who owns things and pays (Account)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.core.validators import RegexValidator
from django.db import models

SLUG = RegexValidator(
    r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$",
    "Use 1 to 64 lower-case letters, digits, dots, dashes or underscores; begin and end with a letter or digit.",
)


class UserManager(BaseUserManager["User"]):
    """Users are known by e-mail."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> User:
        """Make a user; the account that belongs to them is made by `services.accounts`."""
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=self.normalize_email(email).lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> User:
        """Make a member of staff with all rights."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **extra)


class User(AbstractUser):
    """A person who logs in with an e-mail address."""

    username = None  # type: ignore[assignment]  # the e-mail address takes its place
    email = models.EmailField("e-mail address", unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.email


class Account(models.Model):
    """What owns keys, wallets, models and providers: a person's own, or an organisation."""

    class Kind(models.TextChoices):
        """A personal account has exactly one member."""

        PERSONAL = "personal"
        ORGANISATION = "organisation"

    class Role(models.TextChoices):
        """What an account does on the market."""

        DEVELOPER = "developer"
        PUBLISHER = "publisher"
        OPERATOR = "operator"

    slug = models.CharField(max_length=64, unique=True, validators=[SLUG])
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.PERSONAL)
    roles = models.JSONField(default=list, blank=True)
    # Staff have vouched for this publisher: the process runtime may run its code on a public address.
    is_trusted = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    users: models.ManyToManyField[User, Member] = models.ManyToManyField(
        User, through="Member", related_name="accounts"
    )

    def __str__(self) -> str:
        return self.slug


class Member(models.Model):
    """A user's place in an account."""

    class Role(models.TextChoices):
        """Owner: all, with the end of the account. Admin: keys, members, money. Member: use."""

        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.account} as {self.role}"

    @property
    def can_manage(self) -> bool:
        """Whether this member may change keys, members and money."""
        return self.role in {self.Role.OWNER, self.Role.ADMIN}
