"""Secrets, passwords, cookies and headers."""

from config.env import env

SECRET_KEY = env.secret_key.get_secret_value()
SECRET_KEY_FALLBACKS = [key.strip() for key in env.secret_key_fallbacks.get_secret_value().split(",") if key.strip()]
JWT_SECRET = env.jwt_secret.get_secret_value()
METRICS_TOKEN = env.metrics_token.get_secret_value() if env.metrics_token else ""
DEBUG = env.debug
ALLOWED_HOSTS = env.allowed_hosts
CSRF_TRUSTED_ORIGINS = env.csrf_trusted_origins
AUTH_USER_MODEL = "accounts.User"
SILENCED_SYSTEM_CHECKS = ["auth.W004"]  # e-mails are unique by a constraint on lower(email)
AUTHENTICATION_BACKENDS = ["apps.accounts.backends.EmailBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
SESSION_ENGINE = "apps.accounts.admin_sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = f"soldesk_session_{env.port}"
CSRF_COOKIE_NAME = f"soldesk_csrf_{env.port}"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.production
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_HSTS_SECONDS = 31_536_000 if env.production else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"
if env.trust_proxy:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

ACCESS_TOKEN_SECONDS = 15 * 60
REFRESH_TOKEN_SECONDS = 24 * 3600
REMEMBERED_REFRESH_TOKEN_SECONDS = 30 * 24 * 3600
REQUIRE_STAFF_TOTP = env.require_staff_totp
OTP_TOTP_ISSUER = "Soldesk"
#: Wrong codes count for the lockout like wrong passwords; django-otp's own waiting times would only confuse.
OTP_TOTP_THROTTLE_FACTOR = OTP_STATIC_THROTTLE_FACTOR = 0
LOCKOUT_FAILURES = 5
LOCKOUT_SECONDS = 15 * 60
ADMIN_EMAIL = env.admin_email
ADMIN_PASSWORD = env.admin_password.get_secret_value()
