"""What the scripts of this folder share: where the server is, and one line per check.

BASE_URL is the server (http://127.0.0.1:8080), API_KEY its key if it has one, MODEL the model's name if it has several.
"""

import os
import sys
import time
import traceback

BASE = os.environ.get("BASE_URL", "http://127.0.0.1:8080").rstrip("/")
KEY = os.environ.get("API_KEY", "")
HEADERS = {"Authorization": f"Bearer {KEY}"} if KEY else {}
FAILED = []
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Oslo", "Lima", "Accra"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}


def model(client):
    """The model to ask: MODEL, or the first that an httpx client finds in /v1/models."""
    try:
        return os.environ.get("MODEL") or client.get(f"{BASE}/v1/models", headers=HEADERS).json()["data"][0]["id"]
    except Exception as error:  # pylint: disable=broad-except
        print(f"FAIL {BASE}/v1/models: {type(error).__name__}: {error}")
        sys.exit(1)


def check(function):
    """Runs a check at once. Its name is its first line of documentation."""
    name = (function.__doc__ or function.__name__).strip().splitlines()[0]
    start = time.monotonic()
    try:
        note = function()
    except Exception as error:  # pylint: disable=broad-except
        FAILED.append(name)
        where = traceback.extract_tb(error.__traceback__)[-1]
        words = " ".join(str(error).split())[:900]
        print(f"FAIL {name}: {type(error).__name__}: {words} ({os.path.basename(where.filename)}:{where.lineno})")
    else:
        print(f"ok {name} ({time.monotonic() - start:.1f} s{', ' + note if note else ''})")
    sys.stdout.flush()
    return function


def equal(got, expected, what=""):
    """Fails with both values."""
    if got != expected:
        raise AssertionError(f"{what}: {got!r} instead of {expected!r}")


def must(value, what):
    """Fails with words."""
    if not value:
        raise AssertionError(what if isinstance(what, str) else repr(what))


def done():
    """Ends the script; the exit code is 1 if a check failed."""
    if FAILED:
        print(f"{len(FAILED)} failed")
    sys.exit(1 if FAILED else 0)
