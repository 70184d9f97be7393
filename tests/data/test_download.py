"""fetch: the cache, its SHA-256 and what is said when a download fails."""

import functools
import hashlib
import http.server
import threading

import pytest

from tfkor.data import DataError
from tfkor.data.download import cache_dir, fetch

CONTENT = "0\t되면\n".encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFKOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def site(tmp_path):
    """A web server on this machine: (its address, its folder, the paths that were asked for)."""
    folder, asked = tmp_path / "site", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

        def do_GET(self):
            if self.path != "/short.txt":
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(CONTENT)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", folder, asked
    server.shutdown()
    server.server_close()


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("TFKOR_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("TFKOR_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "tfkor"


def test_downloads_once_and_records_the_sum(site, cache):
    address, folder, asked = site
    (folder / "a.txt").write_bytes(CONTENT)
    for _ in range(3):
        path = fetch(address + "a.txt", "set/a.txt")
        assert path == cache / "set" / "a.txt" and path.read_bytes() == CONTENT
    assert asked == ["/a.txt"]
    assert (cache / "set" / "a.txt.sha256").read_text() == f"{SHA256}  a.txt\n"
    assert files(cache) == ["a.txt", "a.txt.sha256"]


def test_file_url(tmp_path, cache):
    (tmp_path / "a.txt").write_bytes(CONTENT)
    assert fetch((tmp_path / "a.txt").as_uri(), "a.txt", SHA256).read_bytes() == CONTENT


def test_a_changed_file_is_found(site, cache):
    address, folder, _ = site
    (folder / "a.txt").write_bytes(CONTENT)
    path = fetch(address + "a.txt", "a.txt")
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(DataError, match=f"a.txt: SHA-256 .*, expected {SHA256}; delete it"):
        fetch(address + "a.txt", "a.txt")
    path.unlink()
    (folder / "a.txt").write_bytes(CONTENT + b"?")  # the recorded sum outlives the file
    with pytest.raises(DataError, match=f"the file there has the SHA-256 .*, expected {SHA256}"):
        fetch(address + "a.txt", "a.txt")
    (cache / "a.txt.sha256").write_text("no sum")
    with pytest.raises(DataError, match="found no SHA-256"):
        fetch(address + "a.txt", "a.txt")


def test_a_pinned_sum_that_differs(site, cache):
    address, folder, _ = site
    (folder / "a.txt").write_bytes(CONTENT)
    with pytest.raises(DataError, match=f"a.txt: the download failed .*SHA-256 {SHA256}, expected {'0' * 64}"):
        fetch(address + "a.txt", "a.txt", "0" * 64)
    assert files(cache) == []


def test_failed_downloads_leave_nothing_behind(site, cache):
    address, _, _ = site
    hint = "set TFKOR_DATA to a copy"
    for url, reason in (
        (address + "short.txt", f"{len(CONTENT)} of 1000 bytes arrived"),
        (address + "none.txt", "File not found"),
        ("http://127.0.0.1:9/a.txt", "refused"),
    ):
        with pytest.raises(DataError) as error:
            fetch(url, "a.txt", hint=hint)
        message = str(error.value)
        assert message.startswith(f"{url}: the download failed (") and message.endswith(hint)
        assert reason in message
        assert files(cache) == []


def test_a_cache_that_can_not_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TFKOR_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"can't write .*: set TFKOR_CACHE"):
        fetch("http://127.0.0.1:9/a.txt", "set/a.txt")
