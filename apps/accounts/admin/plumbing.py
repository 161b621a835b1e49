"""What keeps requests honest, to look at when one is refused: revoked tokens, repeated requests, strangers."""

from __future__ import annotations

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from apps.accounts.models import IdempotencyKey, RevokedToken, StrangerAttempts
from apps.core.adminkit import base, columns


@admin.register(RevokedToken)
class RevokedTokenAdmin(base.ReadOnlyAdmin):
    list_display = ("jti", columns.when("expires_at", "Forgotten after"))
    search_fields = ("=jti",)
    ordering = ("-expires_at", "jti")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(base.ReadOnlyAdmin):
    list_display = (
        "key",
        columns.link("user", "User", order="user__email"),
        columns.count("status", "Answer"),
        columns.when("created_at", "First sent"),
        columns.when("locked_until", "Held until"),
    )
    list_filter = ("status", ("user", AutocompleteSelectFilter))
    list_select_related = ("user",)
    search_fields = ("=key", "user__email")
    ordering = ("-id",)


@admin.register(StrangerAttempts)
class StrangerAttemptsAdmin(base.LongTableAdmin):
    """Who guesses at e-mails nobody has; only a digest of the e-mail is kept."""

    list_display = (
        columns.address("email_hash", "E-mail's digest"),
        columns.count("failed_logins", "Wrong sign-ins"),
        columns.when("locked_until", "Closed until"),
        columns.when("updated_at", "Last"),
    )
    search_fields = ("=email_hash",)
    ordering = ("-updated_at", "email_hash")
