"""Downloads from a server in this process; nothing here needs a network."""

import hashlib
import http.server
import io
import re
import tarfile
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from resdyn.data import cifar10, cifar100, download, fetching, mnist

ARCHIVE = "cifar-10-python.tar.gz"


@dataclass
class Host:
    """What the server gives, how it misbehaves, and what it was asked."""

    files: dict = field(default_factory=dict)
    ranges: bool = True
    shifted: int = 0  # answers a range from this many bytes before what was asked
    break_after: list = field(default_factory=list)  # bytes of body until each of the next answers breaks off
    stall: bool = False  # falls silent instead of breaking off
    status: int = 0  # an error to answer with, whatever is asked
    length: bool = True  # whether it announces the length
    headers: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)  # (path, Range header or None)
    sent: list = field(default_factory=list)  # bytes of body, for each answer
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        host = self.server.host
        wanted = self.headers["Range"]
        host.asked.append((self.path, wanted))
        content = host.files.get(self.path.lstrip("/"))
        if host.status or content is None:
            self.send_error(host.status or 404)
            return
        start = max(0, int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) - host.shifted) if host.ranges and wanted else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            host.sent.append(0)
            return
        body = content[start:]
        self.send_response(206 if host.ranges and wanted else 200)
        if host.ranges and wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if host.length:
            self.send_header("Content-Length", str(len(body)))
        for name, value in host.headers.items():
            self.send_header(name, value)
        self.end_headers()
        limit = host.break_after.pop(0) if host.break_after else len(body)
        host.sent.append(len(body[:limit]))
        self.wfile.write(body[:limit])
        if host.stall:
            host.released.wait(10)

    def log_message(self, *_):
        pass


@pytest.fixture
def host(monkeypatch):
    """A server of one thread per request, on a free port of this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("RESDYN_DATA", raising=False)
    host = Host()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.host = host
        host.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield host
        host.released.set()
        server.shutdown()
        thread.join()


def publish(host, monkeypatch, name, files, archive=None):
    """Put files on the host, and their checksums where the published ones stand."""
    host.files = dict(files)
    hashes = {file: f"sha256:{hashlib.sha256(content).hexdigest()}" for file, content in files.items()}
    monkeypatch.setitem(fetching.SOURCES, name, fetching.Source(host.url, hashes, archive))


@pytest.fixture
def published_mnist(host, monkeypatch, tmp_path, write_mnist):
    # 300 images, so that a file spans several reads of the downloader: noise does not shrink when zipped.
    written = write_mnist(tmp_path / "origin", n=300, ending=".gz")
    publish(host, monkeypatch, "mnist", {p.name: p.read_bytes() for p in (tmp_path / "origin/MNIST/raw").iterdir()})
    return written


@pytest.fixture
def published_cifar10(host, monkeypatch, tmp_path, write_cifar10):
    written = write_cifar10(tmp_path / "origin", n=20)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(tmp_path / "origin/cifar-10-batches-py", "cifar-10-batches-py")
    publish(host, monkeypatch, "cifar10", {ARCHIVE: buffer.getvalue()}, ARCHIVE)
    return written


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


CIFAR10_FILES = sorted(
    f"cifar-10-batches-py/{name}" for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta"]
)


def test_mnist_comes_down_and_is_read(host, published_mnist, tmp_path):
    folder = download("mnist", tmp_path / "new" / "data")
    assert folder == tmp_path / "new" / "data"
    np.testing.assert_array_equal(mnist("train", folder).images[:, 0], published_mnist["train"][0])
    np.testing.assert_array_equal(mnist("test", folder).labels, published_mnist["t10k"][1])
    assert files_below(folder) == sorted(f"MNIST/raw/{name}" for name in host.files)
    # Readable by whom any new file is, also to colleagues who share the folder.
    (tmp_path / "new" / "file").touch()
    modes = {path.stat().st_mode for path in (folder / "MNIST" / "raw").iterdir()}
    assert modes == {(tmp_path / "new" / "file").stat().st_mode}


def test_cifar10_comes_down_and_only_its_files_remain(published_cifar10, tmp_path):
    folder = download("cifar10", tmp_path / "data")
    np.testing.assert_array_equal(cifar10("test", folder).images, published_cifar10["test_batch"][0])
    assert len(cifar10("train", folder)) == 100
    assert files_below(folder) == CIFAR10_FILES
    assert [path.name for path in folder.iterdir()] == ["cifar-10-batches-py"]  # no temporary folder either


def test_cifar100_comes_down_and_is_read(host, monkeypatch, tmp_path, write_cifar100):
    written = write_cifar100(tmp_path / "origin")
    archive, buffer = fetching.SOURCES["cifar100"].archive, io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(tmp_path / "origin/cifar-100-python", "cifar-100-python")
    publish(host, monkeypatch, "cifar100", {archive: buffer.getvalue()}, archive)
    folder = download("cifar100", tmp_path / "data")
    np.testing.assert_array_equal(cifar100("train", folder).images, written["train"][0])
    assert files_below(folder) == [f"cifar-100-python/{name}" for name in ("meta", "test", "train")]


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_a_second_download_asks_for_nothing(host, request, tmp_path, name):
    request.getfixturevalue(f"published_{name}")
    download(name, tmp_path / "data")
    asked = len(host.asked)
    assert asked == {"cifar10": 1, "mnist": 4}[name]
    download(name, tmp_path / "data")
    assert len(host.asked) == asked


def test_files_that_are_there_already_are_left_alone(host, published_mnist, tmp_path, write_mnist):
    write_mnist(tmp_path / "data", n=2)  # not zipped, and others than the host has
    (tmp_path / "data/MNIST/raw/train-labels-idx1-ubyte").unlink()
    download("mnist", tmp_path / "data")
    assert [path for path, _ in host.asked] == ["/train-labels-idx1-ubyte.gz"]
    assert len(mnist("test", tmp_path / "data")) == 2


def test_a_batch_that_is_missing_is_brought_back_and_the_others_stay(published_cifar10, tmp_path):
    folder = download("cifar10", tmp_path / "data")
    batches = folder / "cifar-10-batches-py"
    (batches / "data_batch_2").unlink()
    (batches / "data_batch_1").write_bytes(b"mine")
    download("cifar10", folder)
    assert (batches / "data_batch_1").read_bytes() == b"mine"
    assert (batches / "data_batch_2").read_bytes() == (
        tmp_path / "origin/cifar-10-batches-py/data_batch_2"
    ).read_bytes()
    assert files_below(folder) == CIFAR10_FILES


def test_without_a_folder_it_goes_where_the_readers_look(published_mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("RESDYN_CACHE", str(tmp_path / "cache"))
    assert download("mnist") == tmp_path / "cache" / "data"
    assert len(mnist()) == 300
    monkeypatch.setenv("RESDYN_DATA", str(tmp_path / "named"))
    assert download("mnist") == tmp_path / "named"
    assert len(mnist()) == 300


def test_an_archive_brought_by_hand_is_checked_unpacked_and_kept(host, published_cifar10, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / ARCHIVE).write_bytes(host.files[ARCHIVE])
    download("cifar10", folder)
    assert host.asked == []
    assert files_below(folder) == sorted([ARCHIVE, *CIFAR10_FILES])


def test_another_host_is_asked_in_place_of_the_published_one(host, published_cifar10, tmp_path, monkeypatch):
    source = fetching.SOURCES["cifar10"]
    elsewhere = fetching.Source("http://127.0.0.1:1/", source.hashes, source.archive)
    monkeypatch.setitem(fetching.SOURCES, "cifar10", elsewhere)
    host.files = {f"mirror/of/it/{ARCHIVE}": host.files[ARCHIVE]}
    download("cifar10", tmp_path / "data", base_url=f"{host.url}mirror/of/it")
    assert files_below(tmp_path / "data") == CIFAR10_FILES


# Broken connections


@pytest.fixture
def content(host, published_cifar10):
    content = host.files[ARCHIVE]
    assert len(content) > 4 * fetching.CHUNK  # so that a break falls between two reads
    return content


def test_after_a_break_only_the_missing_bytes_are_asked_for(host, content, tmp_path):
    folder, half = tmp_path / "data", len(content) // 2
    host.break_after = [half]
    with pytest.raises(ConnectionError, match=rf"{ARCHIVE}.*{half} bytes so far are kept.*Call download again"):
        download("cifar10", folder)
    assert files_below(folder) == [f"{ARCHIVE}.part"]  # nothing under a final name, no temporary file
    assert (folder / f"{ARCHIVE}.part").read_bytes() == content[:half]
    download("cifar10", folder)
    assert host.asked == [(f"/{ARCHIVE}", None), (f"/{ARCHIVE}", f"bytes={half}-")]
    assert host.sent == [half, len(content) - half]
    assert files_below(folder) == CIFAR10_FILES


def test_a_download_that_breaks_time_and_again_gets_there(host, content, tmp_path):
    host.break_after = [100_000, 5, 0, 70_000]
    for _ in range(4):
        with pytest.raises(ConnectionError):
            download("cifar10", tmp_path)
    download("cifar10", tmp_path)
    assert sum(host.sent) == len(content)
    assert len(cifar10("train", tmp_path)) == 100


def test_a_host_that_does_not_know_ranges_sends_all_again(host, content, tmp_path):
    host.ranges = False
    host.break_after = [100_000]
    with pytest.raises(ConnectionError):
        download("cifar10", tmp_path)
    download("cifar10", tmp_path)
    assert host.asked[1] == (f"/{ARCHIVE}", "bytes=100000-")
    assert host.sent == [100_000, len(content)]
    assert len(cifar10("test", tmp_path)) == 20


def test_a_range_from_elsewhere_does_not_spoil_the_file(host, content, tmp_path):
    host.shifted = 10
    (tmp_path / f"{ARCHIVE}.part").write_bytes(content[:1000])
    download("cifar10", tmp_path)
    assert host.asked == [(f"/{ARCHIVE}", "bytes=1000-"), (f"/{ARCHIVE}", None)]
    assert len(cifar10("test", tmp_path)) == 20


def test_a_part_longer_than_the_file_is_begun_anew(host, content, tmp_path):
    (tmp_path / f"{ARCHIVE}.part").write_bytes(content + b"more")
    download("cifar10", tmp_path)
    assert host.sent == [0, len(content)]
    assert len(cifar10("test", tmp_path)) == 20


def test_a_part_that_only_lacked_the_check_is_used(host, content, tmp_path):
    (tmp_path / f"{ARCHIVE}.part").write_bytes(content)
    download("cifar10", tmp_path)
    assert host.sent == [0]
    assert len(cifar10("test", tmp_path)) == 20


@pytest.mark.parametrize("length", [1000, None])  # a beginning; a whole file
def test_a_damaged_part_costs_a_download_and_no_more(host, content, tmp_path, length):
    damaged = b"X" + content[1:length]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / f"{ARCHIVE}.part").write_bytes(damaged)
    download("cifar10", folder)
    assert host.asked == [(f"/{ARCHIVE}", f"bytes={len(damaged)}-"), (f"/{ARCHIVE}", None)]
    assert files_below(folder) == CIFAR10_FILES


def test_a_host_that_falls_silent_is_given_up_and_what_came_is_kept(host, content, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 1.0)  # long enough for a busy machine to send the first bytes
    host.stall, host.break_after = True, [2 * fetching.CHUNK]
    with pytest.raises(ConnectionError, match="timed out"):
        download("cifar10", tmp_path / "data")
    kept = (tmp_path / "data" / f"{ARCHIVE}.part").read_bytes()
    assert len(kept) >= fetching.CHUNK  # the last read may be lost
    assert content.startswith(kept)


def test_a_file_of_unannounced_length_is_judged_by_its_checksum(host, content, tmp_path):
    host.length, host.break_after = False, [100_000]  # the end of the connection is the end of the file
    with pytest.raises(ValueError, match="was deleted"):
        download("cifar10", tmp_path / "data")
    assert files_below(tmp_path / "data") == []
    download("cifar10", tmp_path / "data")
    assert files_below(tmp_path / "data") == CIFAR10_FILES


def test_a_zipped_file_is_stored_zipped_though_the_host_calls_it_an_encoding(host, published_mnist, tmp_path):
    host.headers = {"Content-Encoding": "gzip"}
    folder = download("mnist", tmp_path / "data")
    for name, content in host.files.items():
        assert (folder / "MNIST/raw" / name).read_bytes() == content


def test_the_rest_of_mnist_follows_after_a_break(host, published_mnist, tmp_path):
    whole = len(host.files["train-images-idx3-ubyte.gz"])
    host.break_after = [whole, 10]  # the first file comes, the second breaks off
    with pytest.raises(ConnectionError, match=r"train-labels-idx1-ubyte\.gz"):
        download("mnist", tmp_path / "data")
    assert files_below(tmp_path / "data/MNIST/raw") == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz.part",
    ]
    download("mnist", tmp_path / "data")
    assert host.asked[2] == ("/train-labels-idx1-ubyte.gz", "bytes=10-")
    assert len(host.asked) == 5
    assert len(mnist("train", tmp_path / "data")) == 300


# Wrong answers


def test_a_file_with_another_checksum_never_gets_its_name(host, content, tmp_path):
    host.files[ARCHIVE] = content[:-1] + b"X"
    with pytest.raises(ValueError, match=rf"{ARCHIVE} is not the file that its authors published.*expected sha256"):
        download("cifar10", tmp_path / "data")
    assert files_below(tmp_path / "data") == []
    assert len(host.asked) == 1  # a fresh file is wrong on the host; asking again at once would bring the same
    host.files[ARCHIVE] = content
    download("cifar10", tmp_path / "data")
    assert files_below(tmp_path / "data") == CIFAR10_FILES


def test_a_wrong_file_of_mnist_is_deleted_too(host, published_mnist, tmp_path):
    host.files["t10k-labels-idx1-ubyte.gz"] = b"<html>moved</html>"
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte\.gz"):
        download("mnist", tmp_path / "data")
    assert not any("t10k-labels" in file for file in files_below(tmp_path / "data"))


@pytest.mark.parametrize("status", [404, 503])
def test_an_error_of_the_host_is_a_connection_error_and_keeps_the_part(host, content, tmp_path, status):
    (tmp_path / f"{ARCHIVE}.part").write_bytes(content[:1000])
    host.status = status
    with pytest.raises(ConnectionError, match=f"{status}.*RESDYN_DATA or folder="):
        download("cifar10", tmp_path)
    assert (tmp_path / f"{ARCHIVE}.part").read_bytes() == content[:1000]
    assert not (tmp_path / ARCHIVE).exists()


def test_a_host_that_is_not_there_is_a_connection_error_that_names_the_way_without_network(host, tmp_path):
    with pytest.raises(ConnectionError, match=r"http://127\.0\.0\.1:1/.*without a network.*RESDYN_DATA or folder="):
        download("mnist", tmp_path, base_url="http://127.0.0.1:1/")
    assert files_below(tmp_path) == []


def make_archive(**members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_that_writes_outside_is_refused(host, monkeypatch, tmp_path):
    content = make_archive(**{"cifar-10-batches-py/test_batch": b"x", "../../outside": b"x"})
    publish(host, monkeypatch, "cifar10", {ARCHIVE: content}, ARCHIVE)
    with pytest.raises(ValueError, match=rf"{ARCHIVE}.*cannot be unpacked safely.*outside"):
        download("cifar10", tmp_path / "data")
    assert files_below(tmp_path) == [f"data/{ARCHIVE}"]


def test_an_archive_without_the_files_is_refused_and_leaves_no_folder(host, monkeypatch, tmp_path):
    content = make_archive(**{"cifar-10-batches-py/test_batch": b"x"})
    publish(host, monkeypatch, "cifar10", {ARCHIVE: content}, ARCHIVE)
    with pytest.raises(ValueError, match=r"lacks data_batch_1, .*batches\.meta"):
        download("cifar10", tmp_path / "data")
    assert not (tmp_path / "data/cifar-10-batches-py").exists()


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"name is 'cifar11'.*'cifar10', 'cifar100', 'mnist'"):
        download("cifar11", tmp_path)


# The table


def test_the_table_has_a_checksum_for_every_file_that_the_readers_need():
    digits = {"sha256": 64, "md5": 32}
    for name, source in fetching.SOURCES.items():
        assert source.base_url.startswith("https://")
        for known in source.hashes.values():
            algorithm, value = known.split(":")
            assert re.fullmatch(f"[0-9a-f]{{{digits[algorithm]}}}", value)
        layout = fetching.LAYOUTS[name]
        needed = {f"{file}.gz" for split in layout.splits.values() for file in split}
        assert set(source.hashes) == ({source.archive} if source.archive else needed)


def test_progress_is_shown_when_asked_for_and_only_then(host, published_mnist, tmp_path, capsys):
    download("mnist", tmp_path / "quiet")
    assert "100%" not in capsys.readouterr().err
    download("mnist", tmp_path / "loud", progress=True)
    shown = capsys.readouterr().err
    assert "100%" in shown
    assert "train-images-idx3-ubyte.gz" in shown
