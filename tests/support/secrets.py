"""Addresses with secrets planted in them, and where these must not be found."""

import random
from urllib.parse import quote

SIGNED_BY = ("X-Amz-Signature", "X-Amz-Security-Token", "X-Goog-Signature", "sig", "token", "access_token", "Signature",
             "AWSAccessKeyId", "secret_key", "password", "api_key", "auth", "Policy")  # fmt: skip


def planted(seed: int, server: str = "", name: str = "") -> tuple[str, str]:
    """Return an address with a secret in it, and the secret.

    Args:
        server: HOST:PORT of a web server; without one the scheme is drawn, and nothing is there.
        name: of a file; by default a photo.
    """
    dice = random.Random(seed)
    secret = "".join(dice.choice("abcXYZ019/+@:%=.-_~") for _ in range(30))
    written = quote(secret, safe="") if dice.random() < 0.4 else secret
    scheme = dice.choice(["s3", "S3", "http", "HTTPS", "gs", "ftp"])
    scheme, place = ("http", f"{server}/{name}") if server else (scheme, f"127.0.0.1/{seed}.jpg")
    if dice.random() < 0.5:
        return f"{scheme}://user:{written}@{place}", secret
    signed = dice.choice(SIGNED_BY)
    value = quote(secret, safe="")
    return f"{scheme}://{place}?x=1&{dice.choice([signed, signed.upper()])}={value}", secret


PLANTED = [planted(seed) for seed in range(100)]


def pieces(secret: str) -> list[str]:
    """List the parts of a secret that must not appear anywhere: those between punctuation that reveal something."""
    forms = (secret, quote(secret, safe=""), quote(secret))
    return [part for form in forms for part in form.replace("@", "/").split("/") if len(part) >= 6]


def assert_nowhere(secret: str, *texts: object) -> None:
    for text in texts:
        assert not [piece for piece in pieces(secret) if piece in str(text)], text
