"""Tables and columns with the means of a login: sessions, tokens, second factors, keys. No page shows their values."""

from __future__ import annotations

from functools import lru_cache

SESSIONS_AND_TOKENS = (
    "django_session",
    "user_sessions_session",
    "authtoken_token",
    "knox_authtoken",
    "token_blacklist_blacklistedtoken",
    "token_blacklist_outstandingtoken",
    "oauth2_provider_grant",
    "oauth2_provider_refreshtoken",
    "oauth2_provider_accesstoken",
    "oauth2_provider_idtoken",
    "oauth2_provider_devicegrant",
    "account_emailconfirmation",
    "socialaccount_socialtoken",
    "social_auth_association",
    "social_auth_code",
    "social_auth_nonce",
    "social_auth_partial",
    "mfa_authenticator",
    "usersessions_usersession",
    "otp_email_emaildevice",
    "otp_hotp_hotpdevice",
    "otp_static_staticdevice",
    "otp_static_statictoken",
    "otp_totp_totpdevice",
    "otp_twilio_twiliosmsdevice",
    "otp_yubikey_remoteyubikeydevice",
    "otp_yubikey_yubikeydevice",
    "otp_yubikey_validationservice",
    "otp_webauthn_webauthncredential",
    "two_factor_phonedevice",
    "phonenumber_phonedevice",
)
"""Tables whose rows are sessions, tokens or second factors, as popular packages name them."""

_OF_SERVICES = (
    "oauth2_provider_application",
    "socialaccount_socialapp",
    "social_auth_usersocialauth",
    "rest_framework_api_key_apikey",
)
"""Tables in which other services' secrets stand, besides data that a copy of the site needs."""

_TABLES = frozenset((*SESSIONS_AND_TOKENS, *_OF_SERVICES))

_BEGINNINGS = (
    "authtoken_",
    "knox_",
    "oauth2_provider_",
    "oidc_provider_",
    "otp_",
    "social_auth_",
    "socialaccount_socialtoken",
    "token_blacklist_",
    "two_factor_",
)
"""Beginnings of names of tables by which a package of logins is known."""

_COLUMNS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "session_data",
    "session_key",
    "private_key",
    "api_key",
    "apikey",
    "access_key",
    "signing_key",
    "encryption_key",
    "recovery_code",
    "backup_code",
)
_COLUMN_NAMES = frozenset({"key", "digest", "hash", "seed", "nonce", "salt", "otp", "pin"})
"""Columns of tokens and of second factors, by their whole names."""

HIDDEN = "•••"
"""Stands for the value of a secret column."""


def holds_credentials(table: str) -> bool:
    """Return whether no row of a table is shown, by its plain name, without schema and quotation marks."""
    name = table.lower()
    return name in _TABLES or name.startswith(_BEGINNINGS)


@lru_cache(maxsize=10_000)
def is_secret(column: str) -> bool:
    """Return whether the values of a column are never shown or searched, by its name."""
    name = column.lower()
    return name in _COLUMN_NAMES or any(word in name for word in _COLUMNS)
