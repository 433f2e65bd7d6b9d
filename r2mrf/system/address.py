"""Addresses of files, buckets and servers. They may carry secrets, and printing one never shows them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

PATTERN = r"(?i)^[a-z][a-z0-9+.-]+://"
# Stores whose keys may contain a question mark; the text after it is a query only if it signs or authenticates.
BUCKETS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "hdfs", "viewfs", "memory"}
# Names of query parameters that sign, authenticate, or change with each signature.
SIGNING = re.compile(
    r"(?i)x-(amz|goog|ms|oss|cos|obs)-.*|.*(sig|token|key|secret|pass|pwd|auth|cred|session|hmac|jwt|policy|expires|access).*"
    r"|s[ivretpks]|spr|srt|ss|sk[a-z]+|exp|code"
)
STORE_OPTIONS = {"endpoint_override", "region", "scheme", "anonymous", "allow_bucket_creation", "allow_bucket_deletion"}
_QUERY = re.compile(r"[?#](?=[\w.~%+\[\]-]+=)")
_ADDRESS_IN_TEXT = re.compile(r"(?i)\b[a-z][a-z0-9+.-]+://(?:[^\s'\"<>]*@)?[^\s'\"<>)\]]+")
HIDDEN = "…"


def is_address(name: str) -> bool:
    """Return whether a source or path is an address rather than a path on this machine."""
    return re.match(PATTERN, name) is not None


@dataclass(frozen=True, repr=False)
class Address:
    """SCHEME://USER@HOST/PATH?QUERY, split into parts.

    `str` gives a form that is safe to show, without user and query. Where a query distinguishes files of a server, its
    hash is shown in its place; parameters that sign or authenticate do not count. Keys and passwords may contain any
    character: the user part extends to the last @.

    Attributes:
        scheme: in lower case.
        host: a server with its port, or a bucket.
        path: as written, without the leading slash.
    """

    scheme: str
    host: str
    path: str
    _user: str = field(default="", compare=True)
    _query: str = field(default="", compare=True)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse an address. Raises ValueError if the text is not one."""
        if not is_address(text):
            raise ValueError("not an address")
        scheme, _, rest = text.partition("://")
        user = ""
        before_slash = re.split(r"[/?#]", rest, maxsplit=1)[0]
        _, colon, port = before_slash.partition(":")
        holds_key = colon and (scheme.lower() in BUCKETS or not port.isdigit())
        if "@" in before_slash or (holds_key and "@" in rest):
            user, _, rest = rest.rpartition("@")
        found = _QUERY.search(rest)
        place, query = (rest[: found.start()], rest[found.end() :]) if found else (rest, "")
        host, _, path = place.partition("/")
        return cls(scheme.lower(), host, path, user, query)

    @property
    def root(self) -> str:
        """The server or bucket: SCHEME://HOST."""
        return f"{self.scheme}://{self.host}"

    @property
    def bare(self) -> str:
        """SCHEME://HOST/PATH, without user and query."""
        return f"{self.root}/{self.path}" if self.path else self.root

    @property
    def key(self) -> str:
        """HOST/PATH as a bucket store knows it; the text after a question mark belongs to it, unless it signs."""
        return self._shown().partition("://")[2]

    @property
    def holds_secret(self) -> bool:
        """Whether `reveal` returns more than `str` shows."""
        return str(self) != self.reveal()

    @property
    def has_password(self) -> bool:
        """Whether the address contains a password or a signature; a user name alone does not count."""
        return bool(self.credentials[1]) or any(SIGNING.fullmatch(name) for name, _ in self._pairs())

    @property
    def user(self) -> str:
        """The user part as written. It may hold secrets."""
        return self._user

    @property
    def options(self) -> str:
        """The query, for the code that opens the address. It may hold secrets."""
        return self._query

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password, decoded; empty if there are none."""
        user, _, password = self._user.partition(":")
        return unquote(user), unquote(password)

    def reveal(self) -> str:
        """Return the whole address with its secrets, for the code that opens it; keys are percent-encoded."""
        user = ":".join(_encoded(part) for part in self._user.split(":", 1)) if self._user else ""
        place = f"{self.host}/{self.path}" if self.path else self.host
        return f"{self.scheme}://{user}{'@' if user else ''}{place}{'?' if self._query else ''}{self._query}"

    def redact(self, message: str) -> str:
        """Return a message without this address's secrets, and with all other addresses in a form safe to show."""
        values = [value for name, value in self._pairs() if SIGNING.fullmatch(name)]
        secrets = {self._user, *self._user.split(":", 1), *self.credentials, *values}
        forms = {form for s in secrets for form in (s, unquote(s), quote(s, safe=""), quote(s))}
        for form in sorted(forms, key=len, reverse=True):
            if len(form) >= 3:
                message = message.replace(form, HIDDEN)
        return redacted(message)

    def __str__(self) -> str:
        return self._shown()

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def _pairs(self) -> list[tuple[str, str]]:
        """Return names and values of the query."""
        split = (pair.partition("=") for pair in self._query.split("&") if pair)
        return [(unquote(name), value) for name, _, value in split]

    def _shown(self) -> str:
        pairs = self._pairs()
        telling = [f"{name}={value}" for name, value in pairs if not SIGNING.fullmatch(name)]
        if self.scheme in BUCKETS:
            is_key = len(telling) == len(pairs) > 0 and not STORE_OPTIONS & {name for name, _ in pairs}
            return f"{self.bare}?{self._query}" if is_key else self.bare
        digest = hashlib.sha256("&".join(telling).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return f"{self.bare}?{digest}" if telling else self.bare


def redacted(message: str) -> str:
    """Return a message in which every address is in a form safe to show."""
    return _ADDRESS_IN_TEXT.sub(lambda found: str(Address.parse(found[0])), message)


def _encoded(part: str) -> str:
    return part if re.fullmatch(r"(?:[\w.~-]|%[0-9A-Fa-f]{2})*", part) else quote(part, safe="")
