"""Downloads files into a cache folder, with the SHA-256 of each beside it."""

import hashlib
import os
import re
import urllib.request
from http.client import HTTPException
from pathlib import Path

from tfkor.data.text_data import DataError
from tfkor.files import new_file


def cache_dir() -> Path:
    """The folder of downloaded files: TFKOR_CACHE, or ~/.cache/tfkor."""
    return Path(os.environ.get("TFKOR_CACHE") or Path.home() / ".cache" / "tfkor")


def fetch(url: str, name: str, sha256: str | None = None, hint: str = "", timeout: float = 30) -> Path:
    """The path of `name` (such as "3i4k/fci_test.txt") in the cache, downloaded from `url` if it isn't there.

    A file is written under a temporary name and renamed when complete. Its SHA-256 must be `sha256`, or, where that is
    None, the one recorded in `name`.sha256 at the first download.

    Raises:
      DataError: no network, a folder that can't be written, an incomplete download, or another SHA-256; names the URL
        and ends with `hint`.
    """
    path = cache_dir() / name
    record = path.with_name(path.name + ".sha256")
    if sha256 is None and record.exists():
        sha256 = _recorded(record)
    if not path.exists():
        _download(url, path, record, sha256, hint, timeout)
    elif sha256 not in (None, found := hashlib.sha256(path.read_bytes()).hexdigest()):
        raise DataError(f"{path}: SHA-256 {found}, expected {sha256}; delete it to download it again from {url}")
    return path


def _recorded(record):
    words = record.read_text(encoding="utf-8", errors="replace").split()
    if not words or not re.fullmatch("[0-9a-f]{64}", words[0]):
        raise DataError(
            f"{record}: found no SHA-256, expected 64 hex digits; delete it if you trust the file beside it"
        )
    return words[0]


def _download(url, path, record, sha256, hint, timeout):
    try:
        with new_file(path) as partial:
            digest, size = hashlib.sha256(), 0
            with partial.open("wb") as file, urllib.request.urlopen(url, timeout=timeout) as answer:
                expected = answer.headers.get("Content-Length")
                while chunk := answer.read(1 << 20):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
            found = digest.hexdigest()
            if expected is not None and size != int(expected):
                raise OSError(f"{size} of {expected} bytes arrived")
            if sha256 not in (None, found):
                raise OSError(f"the file there has the SHA-256 {found}, expected {sha256}")
            record.write_text(f"{found}  {path.name}\n", encoding="utf-8")
    except PermissionError as error:
        raise DataError(f"{error}: set TFKOR_CACHE") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"{url}: the download failed ({reason}); {hint}".rstrip("; ")) from None
