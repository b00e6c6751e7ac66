"""Try the actions of the runbook's 5.6: log in, create, change and delete, in a transaction that is rolled back.

Sequences are not transactional, so none is used (`numbers.py`). A signal handler of the site that reaches other systems
than the databases (a task queue) is not undone. Mail is not sent, sessions in a cache are removed, the file written
below MEDIA_ROOT is deleted.
"""

from __future__ import annotations

import secrets
import warnings
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, authenticate, get_user, get_user_model, login
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import Error as DatabaseProblem
from django.db import connections, router, transaction
from django.db.models import ProtectedError, RestrictedError
from django.http import HttpRequest
from django.test.utils import override_settings
from django.utils.module_loading import import_string

from korrigo_backup.core.site_description import Check, Probe
from korrigo_backup.djangoapp.probe.new_user import PREFIX, new_user
from korrigo_backup.djangoapp.probe.numbers import WouldMoveError, keeping_sequences, own_numbers
from korrigo_backup.djangoapp.probe.quick_hash import quick_passwords
from korrigo_backup.djangoapp.probe.tenants import count_elsewhere, is_elsewhere, tables_elsewhere
from korrigo_backup.djangoapp.transaction.snapshot import lift_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NO_MAIL = "django.core.mail.backends.dummy.EmailBackend"
_OWN_BACKENDS = "django.contrib.auth.backends."
_LIMITS = (
    "SET LOCAL statement_timeout = '60s'",
    "SET LOCAL lock_timeout = '10s'",
    "SET LOCAL idle_in_transaction_session_timeout = '60s'",
)
"""A probe waits for locks only briefly: the site may be serving."""

_UNDEFINED_TABLE = "42P01"


def probe() -> Probe:
    """Return the result of each try; no object that a transaction holds is left behind."""
    model = get_user_model()
    alias = router.db_for_write(model)
    with _no_mail(), quick_passwords():
        with _taken_back(alias):
            trial = _Trial(model, alias)
            checks = [
                trial.count("users", "active users", is_active=True),
                trial.count("superusers", "superusers", is_superuser=True),
                *(trial.try_(id_, work) for id_, work in trial.works()),
            ]
        checks.append(_nothing_left(trial))
        checks.append(_upload())
    return Probe(tuple(checks))


class _Trial:
    """A throw-away user, and the tries with it; each try has a savepoint of its own."""

    def __init__(self, model: Any, alias: str) -> None:
        self._model = model
        self._alias = alias
        self._users = model._base_manager.using(alias)  # noqa: SLF001 - this manager hides no row
        self._password = secrets.token_urlsafe(18)
        self._name: str | None = None
        self.user: Any = None

    def works(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the tries, in order; without a user only the first."""
        yield "create", self._tenants if is_elsewhere(self._model, self._alias) else self._create
        if self.user is not None:
            yield "login", self._login
            yield "session", self._session
            yield "update", self._update
            yield "delete", self._delete

    def try_(self, id_: str, work: Callable[[], str]) -> Check:
        """Return the result of a try; an error of the site's own code is a result, too."""
        try:
            with transaction.atomic(using=self._alias):
                return Check(id_, ok=True, message=work())
        except _Failed as problem:
            return Check(id_, ok=False, message=str(problem))
        except Exception as problem:  # noqa: BLE001 - handlers and backends of the site may raise any exception
            if refused := next((one for one in _chain(problem) if isinstance(one, WouldMoveError)), None):
                return Check(id_, ok=True, message=f"{id_} was not tried: {refused}", tried=False)
            if _lacks_table(problem) and (away := tables_elsewhere(self._alias)):
                words = f"{id_} was not tried: tables of the site stand in the schemas of tenants alone ({away})"
                return Check(id_, ok=True, message=words, tried=False)
            return Check(id_, ok=False, message=f"{id_}: {type(problem).__name__}: {_line(problem)}")

    def count(self, id_: str, what: str, **conditions: bool) -> Check:
        """Count users that fulfil a condition; there must be at least one.

        A user model without the field has no such thing.
        """
        fields = {field.name for field in self._model._meta.get_fields()}  # noqa: SLF001
        if not conditions.keys() <= fields:
            return Check(id_, ok=True, message=f"{what}: this user model does not have them")
        try:
            with transaction.atomic(using=self._alias):
                away = is_elsewhere(self._model, self._alias)
                if not away and (found := self._users.filter(**conditions).count()):
                    return Check(id_, ok=True, message=f"{found} {what}")
                found, schemas = count_elsewhere(self._model, self._alias, conditions)
        except DatabaseProblem as problem:
            return Check(id_, ok=False, message=f"{what} cannot be counted: {_line(problem)}")
        return Check(id_, ok=found > 0, message=f"{found} {what}" + (f" in {schemas} schemas" if schemas else ""))

    def _tenants(self) -> str:
        table = self._model._meta.db_table  # noqa: SLF001
        return f"the table {table} stands in the schemas of tenants alone, which manage.py does not use by itself"

    def _create(self) -> str:
        user = new_user(self._model, self._password, self._alias)
        self._name = user.get_username()
        user.save(using=self._alias)
        _require(self._fresh(user) == user, "the user that was created cannot be read again")
        self.user = user
        return "a user was created and read again"

    def _login(self) -> str:
        strange = [name for name in settings.AUTHENTICATION_BACKENDS if not name.startswith(_OWN_BACKENDS)]
        if strange:
            _require(self._fresh().check_password(self._password), "the password of a new user is not accepted")
            return (
                f"the password of a new user is accepted; not asked, because they reach further: {', '.join(strange)}"
            )
        names = {self._model.USERNAME_FIELD: self._name, "password": self._password}
        _require(authenticate(_request(), **names) == self.user, "a new user cannot log in with its password")
        wrong = {**names, "password": self._password + "x"}
        _require(authenticate(_request(), **wrong) is None, "a new user can log in with a wrong password")
        return "a new user logs in with its password, and not with another"

    def _session(self) -> str:
        if "django.contrib.sessions" not in settings.INSTALLED_APPS:
            return "sessions are not used here"
        store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        backends = settings.AUTHENTICATION_BACKENDS
        own = next((name for name in backends if name.startswith(_OWN_BACKENDS)), None)
        request, again = _request(), _request()
        request.session = store()
        try:
            login(request, self.user, backend=own or backends[0])
            request.session.save()
            again.session = store(session_key=request.session.session_key)
            known = str(again.session.get(SESSION_KEY)) == str(self.user.pk)
            _require(known and (own is None or get_user(again) == self.user), "a session just begun is not known")
        finally:
            request.session.flush()
        return "a session begins and is known again"

    def _update(self) -> str:
        changed = f"{self._password}-changed"
        self.user.set_password(changed)
        self.user.save(using=self._alias)
        _require(self._fresh().check_password(changed), "a changed password was not saved")
        return "a row was changed and read again"

    def _delete(self) -> str:
        key = self.user.pk
        try:
            self._fresh().delete(using=self._alias)
        except (ProtectedError, RestrictedError) as problem:
            return f"deleting a user is refused by the site's own models: {_line(problem)}"
        _require(not self._users.filter(pk=key).exists(), "a deleted user is still there")
        return "a row was deleted"

    def _fresh(self, user: Any = None) -> Any:
        return self._users.get(pk=(user or self.user).pk)

    def left(self) -> bool:
        """Return whether the user still exists."""
        return self._name is not None and self._users.filter(**{self._model.USERNAME_FIELD: self._name}).exists()


def _lacks_table(problem: BaseException | None) -> bool:
    """Return whether an error, or its cause, is PostgreSQL's for a missing table."""
    return any(
        (getattr(one, "sqlstate", None) or getattr(one, "pgcode", None)) == _UNDEFINED_TABLE for one in _chain(problem)
    )


def _chain(problem: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it followed."""
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


class _Failed(Exception):
    """A try did not end as it must."""


def _require(true: bool, message: str) -> None:  # noqa: FBT001 - an assertion that stays
    if not true:
        raise _Failed(message)


@contextmanager
def _taken_back(alias: str) -> Iterator[None]:
    """Run the block in a transaction on every database that answers, and take all of it back.

    Handlers of the site may write to another database than that of the users; a database that is down cannot be written
    to.
    """
    with ExitStack() as stack:
        for name in (alias, *(other for other in connections if other != alias)):
            try:
                lift_limits(name)
                connections[name].ensure_connection()
            except (DatabaseProblem, ImproperlyConfigured):
                if name == alias:
                    raise
                continue
            stack.enter_context(transaction.atomic(using=name))
            stack.callback(transaction.set_rollback, True, using=name)  # noqa: FBT003 - Django's signature
            if connections[name].vendor == "postgresql":
                with connections[name].cursor() as cursor:
                    for limit in _LIMITS:
                        cursor.execute(limit)
                stack.enter_context(keeping_sequences(connections[name]))
        stack.enter_context(own_numbers())
        yield


@contextmanager
def _no_mail() -> Iterator[None]:
    """Send no mail in the block. Django 6.1 has MAILERS, and EMAIL_BACKEND no more where a site uses them."""
    mailers = getattr(settings, "MAILERS", None)
    silent = {name: {"BACKEND": _NO_MAIL} for name in (mailers or ("default",))}
    changed = {"MAILERS": silent} if mailers is not None else {"EMAIL_BACKEND": _NO_MAIL}
    with warnings.catch_warnings():  # Django 6.1 deprecates EMAIL_BACKEND for the sites that still have it
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        with override_settings(**changed):
            yield


def _nothing_left(trial: _Trial) -> Check:
    if trial.left():
        return Check("rollback", ok=False, message=f"a user {PREFIX}… is still there: delete it")
    return Check("rollback", ok=True, message="all changes were rolled back")


def _upload() -> Check:
    """Write, read and delete a file below MEDIA_ROOT as the site itself does; not where storage costs money."""
    if not isinstance(default_storage, FileSystemStorage):
        return Check("upload", ok=True, message="not tried: uploads are not stored in a directory here")
    place = Path(default_storage.location)
    root = _media_root_of(place)
    if not root.is_dir():  # Django would make it, and hide that a volume is not mounted
        return Check("upload", ok=False, message=f"the media directory {root} does not exist")
    made = [path for path in (place, *place.parents) if path.is_relative_to(root) and not path.exists()]
    content = secrets.token_bytes(32)
    try:
        name = default_storage.save(f".{PREFIX}{secrets.token_hex(4)}", ContentFile(content))
        try:
            with default_storage.open(name) as file:
                same = file.read() == content
        finally:
            default_storage.delete(name)
            for path in made:
                with suppress(OSError):  # another upload is in it by now
                    path.rmdir()
    except OSError as problem:
        return Check("upload", ok=False, message=f"a file cannot be uploaded: {_line(problem)}")
    if not same:
        return Check("upload", ok=False, message="an uploaded file was read back with other content")
    return Check("upload", ok=True, message="a file was uploaded, read again and deleted")


def _media_root_of(place: Path) -> Path:
    """Return MEDIA_ROOT for a storage below it (a tenant's directory is made by its first upload), else its place."""
    root = Path(settings.MEDIA_ROOT).absolute() if settings.MEDIA_ROOT else place
    return root if place.is_relative_to(root) else place


def _request() -> HttpRequest:
    """Return a request with the parts that backends and handlers read."""
    request = HttpRequest()
    request.method = "POST"
    request.META.update(REMOTE_ADDR="127.0.0.1", SERVER_NAME="localhost", SERVER_PORT="80", HTTP_USER_AGENT="probe")
    return request


def _line(problem: BaseException) -> str:
    return next(iter(str(problem).splitlines()), "")
