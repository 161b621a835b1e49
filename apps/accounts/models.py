"""People and what acts for them: users, second factors, API keys, sessions, the audit log, idempotency keys."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower, Now
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.accounts import sealing
from apps.core.enums import Badge

LONGEST_ADDRESS = 64
LONGEST_USER_AGENT = 300


class Accounts(BaseUserManager["User"]):
    """Creates users; e-mails are stored lower-case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in by e-mail. Staff work in the admin; everybody owns their own agents and signals."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254, help_text="Signs in with this address; stored lower-case.")
    is_active = models.BooleanField(default=True, help_text="Off: cannot sign in, keys stop working.")
    is_staff = models.BooleanField("operator", default=False, help_text="May enter the admin.")
    failed_logins = models.PositiveIntegerField(default=0, editable=False)
    locked_until = models.DateTimeField(null=True, blank=True, help_text="No sign-in before this time.")
    tokens_valid_from = models.DateTimeField(
        null=True,
        editable=False,
        help_text="Access tokens issued before this are refused (password change, sign-out everywhere).",
    )
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    objects = Accounts()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "account"
        verbose_name = "user"
        constraints = [models.UniqueConstraint(Lower("email"), name="account_email_unique")]

    def __str__(self) -> str:
        return self.email


class Scope(Badge):
    """What an API key may do."""

    SIGNALS = "signals", "Signals: everything"
    SIGNALS_CREATE = "signals:create", "Signals: create only"
    AGENTS = "agents", "Agents: read"
    POSITIONS = "positions", "Positions: read"
    BALANCES = "balances", "Balances: read"
    TRANSACTIONS = "transactions", "Transactions: read"
    HISTORY = "history", "Closed trades: read"
    FULL_ACCESS = "full_access", "Everything an API key can reach"


class ApiKey(models.Model):
    """A key that acts as its user within its scopes. Only its SHA-256 is kept; the key itself is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(
        max_length=12,
        editable=False,
        help_text="First characters, to recognise the key.",
    )
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices))
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    allowed_ips = ArrayField(
        models.CharField(max_length=49),
        default=list,
        blank=True,
        db_default=[],
        help_text="Addresses and networks (CIDR) the key works from. Empty: from anywhere.",
    )
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="To the minute.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "api_key"
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class RefreshFamily(models.Model):
    """All refresh tokens that descend from one sign-in; ends as a whole (rotation rules: CONCURRENCY 22)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="refresh_families")
    highest_generation = models.PositiveIntegerField(default=0, help_text="Highest generation ever presented.")
    highest_first_used_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=40, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="Newest sign-in or refresh.")
    address = models.CharField(max_length=LONGEST_ADDRESS, blank=True, default="", db_default="")
    user_agent = models.CharField(max_length=LONGEST_USER_AGENT, blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "refresh_family"
        verbose_name = "session"
        indexes = [models.Index(fields=["expires_at"], name="refresh_family_expiry")]

    def __str__(self) -> str:
        return f"session from {self.created_at:%Y-%m-%d %H:%M}"


class AdminSession(models.Model):
    """A browser that is signed in to the admin; Django's sessions, kept here so that a user's can be listed and ended.

    The key is a digest of the cookie's value, which is not stored: who reads this table cannot sign in with it.
    Written by `apps.accounts.admin_sessions`; removed when it ends.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="admin_sessions")
    session_data = models.TextField(editable=False)
    expires_at = models.DateTimeField(db_index=True)
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="To the minute.")
    address = models.CharField(max_length=LONGEST_ADDRESS, blank=True, default="")
    user_agent = models.CharField(max_length=LONGEST_USER_AGENT, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "admin_session"
        verbose_name = "admin session"

    def __str__(self) -> str:
        return f"admin session from {self.created_at:%Y-%m-%d %H:%M}"


class SecondFactor(TOTPDevice):
    """A user's authenticator app: django-otp's TOTP device, whose key is kept sealed instead of readable.

    One confirmed row per user, and at most one that waits for its first code. Written by `services.second_factor`.
    """

    class Meta:
        proxy = True
        verbose_name = "second factor"

    def __str__(self) -> str:
        return f"second factor of {self.user}"

    @property
    def bin_key(self) -> bytes:
        """The secret itself."""
        return sealing.unseal(self.key, bound_to=str(self.user_id))


class StrangerAttempts(models.Model):
    """Sign-ins at an e-mail nobody has, counted and locked as a user's are, so that the two cannot be told apart."""

    email_hash = models.CharField(primary_key=True, max_length=64, help_text="SHA-256 of the e-mail, lower-case.")
    failed_logins = models.PositiveIntegerField(default=0)
    locked_until = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "stranger_attempts"
        verbose_name = "attempts at an unknown e-mail"
        verbose_name_plural = "attempts at unknown e-mails"

    def __str__(self) -> str:
        return self.email_hash[:12]


class RevokedToken(models.Model):
    """An access token signed out before its end; removed by retention when it would have expired anyway."""

    jti = models.UUIDField(primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "revoked_token"

    def __str__(self) -> str:
        return str(self.jti)


class AuditEntry(models.Model):
    """One change somebody made, with before and after. Append-only: a trigger refuses update and delete."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True, db_default=Now())
    actor = models.ForeignKey(
        User,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    actor_label = models.CharField(max_length=254, help_text="Who, as it was then.")
    action = models.CharField(max_length=60, help_text="What, e.g. agent.config.updated")
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=64)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "audit_log"
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["object_type", "object_id"], name="audit_log_object"),
            models.Index(fields=["actor", "-id"], name="audit_log_actor"),
            models.Index(fields=["at"], name="audit_log_at"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"


class IdempotencyKey(models.Model):
    """The answer to a request that must not run twice, by user and key."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Empty while the first request runs.")
    response = models.JSONField(null=True)
    begun = models.JSONField(null=True, help_text="What the first request began and a repeat goes on with.")
    locked_until = models.DateTimeField(help_text="A first request that died is taken over after this.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "idempotency_key"
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_unique")]

    def __str__(self) -> str:
        return self.key
