"""Sessions that know where they come from, the admin's among them, and second factors: one per user."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_idempotent_work"),
        ("otp_totp", "0003_add_timestamps"),
    ]

    operations = [
        migrations.CreateModel(
            name="AdminSession",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("session_data", models.TextField(editable=False)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("last_used_at", models.DateTimeField(editable=False, help_text="To the minute.", null=True)),
                ("address", models.CharField(blank=True, default="", max_length=64)),
                ("user_agent", models.CharField(blank=True, default="", max_length=300)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "admin session",
                "db_table": "admin_session",
            },
        ),
        migrations.CreateModel(
            name="StrangerAttempts",
            fields=[
                (
                    "email_hash",
                    models.CharField(
                        help_text="SHA-256 of the e-mail, lower-case.", max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("failed_logins", models.PositiveIntegerField(default=0)),
                ("locked_until", models.DateTimeField(null=True)),
                ("updated_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name": "attempts at an unknown e-mail",
                "verbose_name_plural": "attempts at unknown e-mails",
                "db_table": "stranger_attempts",
            },
        ),
        migrations.CreateModel(
            name="SecondFactor",
            fields=[],
            options={
                "verbose_name": "second factor",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("otp_totp.totpdevice",),
        ),
        migrations.AddField(
            model_name="apikey",
            name="allowed_ips",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=49),
                blank=True,
                db_default=[],
                default=list,
                help_text="Addresses and networks (CIDR) the key works from. Empty: from anywhere.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="refreshfamily",
            name="address",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="refreshfamily",
            name="last_used_at",
            field=models.DateTimeField(editable=False, help_text="Newest sign-in or refresh.", null=True),
        ),
        migrations.AddField(
            model_name="refreshfamily",
            name="user_agent",
            field=models.CharField(blank=True, db_default="", default="", max_length=300),
        ),
        migrations.AlterField(
            model_name="apikey",
            name="last_used_at",
            field=models.DateTimeField(editable=False, help_text="To the minute.", null=True),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["actor", "-id"], name="audit_log_actor"),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["at"], name="audit_log_at"),
        ),
        migrations.AddField(
            model_name="adminsession",
            name="user",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="admin_sessions",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RunSQL(
            "CREATE UNIQUE INDEX second_factor_one_of_a_kind ON otp_totp_totpdevice (user_id, confirmed);",
            "DROP INDEX second_factor_one_of_a_kind;",
        ),
    ]
