"""Every setting in one file: environment in, typed values out; development and production differ by values.

Variables start with ``ONWARD_``. The embedded default needs none of them: it keeps a SQLite file and its
secrets in the data folder (``--data-dir``, default ``var/``), the secrets with mode 0600.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from csp.constants import NONE, SELF
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"
URL_MAX_LENGTH = 110


class Environment(BaseSettings):
    """What an operator may set. One error page lists every mistake at once (pydantic)."""

    model_config = SettingsConfigDict(env_prefix="ONWARD_", extra="ignore", hide_input_in_errors=True)

    data_dir: Path = Field(default=BASE_DIR / "var", description="Database, secrets, queue, sockets, mail")
    # Devices hear these three within the 500 octets of ServerInfo.
    url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
        max_length=URL_MAX_LENGTH,
        description="Public address of the portal, as people open it",
    )
    devices_url: str = Field(
        default="",
        pattern=r"^(https://[^\s/?#]+(/[^\s?#]*)?)?$",
        max_length=URL_MAX_LENGTH,
        description="Public address of the device TLS port; always https",
    )
    coap_url: str = Field(
        default="",
        pattern=r"^(coaps?://[^\s/?#]+/?)?$",
        max_length=URL_MAX_LENGTH,
        description="Public address of the CoAP door",
    )
    secret_key: str = Field(default="", repr=False, description="Django's signing key")
    vault_keys: str = Field(
        default="",
        repr=False,
        pattern=r"^$|[^\s,]",
        description="Comma-separated long random texts; the first one seals",
    )
    pkcs11_module: str = Field(default="", description="PKCS#11 library that holds owner keys, a .so file")
    pkcs11_pin: str = Field(default="", repr=False, description="User PIN of its tokens")
    debug: bool = Field(default=False, description="Tracebacks in the browser; never in production")
    allowed_hosts: str = Field(default="*", description="Comma-separated host names the portal answers to")
    mail_url: str = Field(
        default="", description="smtp://user:password@host:587; empty: files in the data folder"
    )
    mail_from: str = Field(default="Onward <onward@localhost>", description="Sender of mails")
    doors: str = Field(
        default="web,devices,coap,radius,worker",
        pattern=r"^\s*(web|devices|coap|radius|worker)\s*(,\s*(web|devices|coap|radius|worker)\s*)*$",
        description="What /healthz expects to be up",
    )
    web_threads: int = Field(default=6, ge=1, le=64, description="Threads for pages and API")
    strangers_max: int = Field(default=20_000, ge=100, description="Unclaimed sessions kept at most")
    strangers_per_second: float = Field(
        default=50.0, gt=0, description="New strangers a second from one address"
    )
    strangers_burst: int = Field(default=2_000, ge=1, description="New strangers at once from one address")
    fdo_per_second: float = Field(
        default=200.0, gt=0, description="FDO: conversations begun a second from one address"
    )
    fdo_burst: int = Field(
        default=2_000, ge=1, description="FDO: conversations begun at once from one address"
    )
    fdo_guid_per_minute: float = Field(
        default=20.0, gt=0, description="FDO: of one GUID a minute, TO1 and TO2 each"
    )
    fdo_guid_burst: int = Field(default=30, ge=1, description="FDO: of one GUID at once, TO1 and TO2 each")
    synchronous_full: bool = Field(default=False, description="SQLite: survive power loss, at half the speed")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_json: bool = Field(default=False, description="Log lines as JSON, for machines")


ENV = Environment()
DATA_DIR = ENV.data_dir.resolve()


def _secret(name: str, given: str) -> str:
    """The given secret, or one kept in the data folder, made on first use (mode 0600)."""
    if given:
        return given
    folder = DATA_DIR / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        # Whole or not there: another process that starts now must not read half a secret.
        draft = folder / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48) if name == "secret_key" else secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()


DATA_DIR.mkdir(parents=True, exist_ok=True)
(DATA_DIR / "run").mkdir(exist_ok=True, mode=0o700)
(DATA_DIR / "static").mkdir(exist_ok=True)

SECRET_KEY = _secret("secret_key", ENV.secret_key)
VAULT_KEYS = [key.strip() for key in _secret("vault_key", ENV.vault_keys).split(",") if key.strip()]
PKCS11_MODULE, PKCS11_PIN = ENV.pkcs11_module, ENV.pkcs11_pin
DEBUG = ENV.debug
ALLOWED_HOSTS = [host.strip() for host in ENV.allowed_hosts.split(",")]
PORTAL_URL = ENV.url.rstrip("/")
DEVICES_URL = ENV.devices_url.rstrip("/")
COAP_URL = ENV.coap_url.rstrip("/")
HTTPS = PORTAL_URL.startswith("https://")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "devices",
    "bootstrap.engine",
    "portal",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.middleware.CurrentOrganization",
]

ROOT_URLCONF = "portal.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "frontend" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.pages.context.shell",
            ],
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "onward.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                f"PRAGMA journal_mode=WAL;PRAGMA synchronous={'FULL' if ENV.synchronous_full else 'NORMAL'};"
            ),
        },
        "TEST": {"NAME": str(DATA_DIR / "test.sqlite3")},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "devices.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Sign-in: passkey first, else a code by mail; a password is possible but never demanded.
ACCOUNT_ADAPTER = "portal.pages.account.AccountAdapter"
ACCOUNT_FORMS = {"login": "portal.pages.account.LoginForm"}
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = True
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 600
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
MFA_ADAPTER = "portal.pages.account.MFAAdapter"
# Opening the sign-in page already asks once, and a whole office may share one address.
MFA_RATE_LIMITS = {"webauthn_login": "60/m/ip"}
MFA_SUPPORTED_TYPES = ["webauthn", "totp", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_PASSKEY_SIGNUP_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = int(timedelta(days=30).total_seconds())
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_TRUSTED_ORIGINS = [PORTAL_URL] if PORTAL_URL else []
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if HTTPS else 0
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

LANGUAGE_CODE = "en"
# German and Finnish come when they are complete: a page in two languages is worse than one in English.
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "frontend" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "frontend" / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

_mail = urlsplit(ENV.mail_url)
DEFAULT_FROM_EMAIL = ENV.mail_from
if ENV.mail_url:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST, EMAIL_PORT = _mail.hostname or "localhost", _mail.port or 587
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_mail.username or ""), unquote(_mail.password or "")
    EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.scheme == "smtp" and EMAIL_PORT == 587, _mail.scheme == "smtps"
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DATA_DIR / "mail"

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 1000}}
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "portal.api.errors.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Onward",
    "DESCRIPTION": "Onboard any IoT device, whatever it speaks.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": True,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["portal.api.schema.canonical"],
    "ENUM_NAME_OVERRIDES": {
        "DeviceState": "devices.models.DeviceState",
        "ClaimState": "devices.models.Claim.State",
        "JobState": "devices.models.Job.State",
        "KeyKind": "devices.models.keys.KIND_CHOICES",
        "OwnerKeyState": "devices.models.OwnerKey.State",
        "Reading": "devices.models.Realm.Reading",
        "RegistrationState": "devices.models.Registration.State",
        "VoucherState": "devices.models.Voucher.State",
    },
}

CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "onward.sweep", "schedule": 2.0, "options": {"expires": 10}},
    "jobs": {"task": "onward.jobs", "schedule": 2.0, "options": {"expires": 10}},
    "to0": {"task": "onward.to0", "schedule": 2.0, "options": {"expires": 10}},
    "housekeeping": {"task": "onward.housekeeping", "schedule": 5.0, "options": {"expires": 60}},
}
CELERY_BROKER_URL = "onward-files://localhost"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
_queue = DATA_DIR / "queue"
for _folder in (_queue, _queue / "control"):
    _folder.mkdir(parents=True, exist_ok=True, mode=0o700)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # One folder for both directions: what is put in is what the worker takes out.
    "data_folder_in": str(_queue),
    "data_folder_out": str(_queue),
    "control_folder": str(_queue / "control"),
    "store_processed": False,
    "polling_interval": 0.2,
}

LOGGING_CONFIG = None
LOG_LEVEL, LOG_JSON = ENV.log_level, ENV.log_json
WEB_THREADS = ENV.web_threads
STRANGERS_MAX = ENV.strangers_max
STRANGERS_PER_SECOND, STRANGERS_BURST = ENV.strangers_per_second, ENV.strangers_burst
FDO_PER_SECOND, FDO_BURST = ENV.fdo_per_second, ENV.fdo_burst
FDO_GUID_PER_MINUTE, FDO_GUID_BURST = ENV.fdo_guid_per_minute, ENV.fdo_guid_burst
SILENCED_SYSTEM_CHECKS: list[str] = []
SERVER_URL = (PORTAL_URL if HTTPS else DEVICES_URL or "https://localhost:8443") + "/n"
"""What devices put into their code; RFC 9140 appendix D wants https and at most 60 characters."""
DOORS = [door.strip() for door in ENV.doors.split(",") if door.strip()]
