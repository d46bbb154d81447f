"""Small files in the layouts that the authors of CIFAR-10 and MNIST publish, written without the readers."""

import gzip
import pickle
import struct

import numpy as np
import pytest

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


class Python2Pickler(pickle._Pickler):
    """Writes strings and bytes as Python 2 wrote its one kind of string."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, value):
        content = value.encode("latin1") if isinstance(value, str) else value
        short = len(content) < 256
        self.write(b"U" + bytes([len(content)]) if short else b"T" + struct.pack("<i", len(content)))
        self.write(content)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_string


def dump(value, path, kind):
    """As Python 2 with numpy 1 pickled it ("python2"), or as this Python does, at a protocol."""
    if kind == "python2":
        with open(path, "wb") as file:
            Python2Pickler(file, protocol=2).dump(value)
        # The names end at the line, so that the length of the other name does not matter.
        path.write_bytes(path.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    else:
        path.write_bytes(pickle.dumps(value, protocol=kind))


def idx(array):
    """The bytes of an IDX file of unsigned bytes."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def write_cifar10():
    def write(root, n=3, kind="python2", **change):
        """Five training batches and one test batch of ``n`` images; returns the arrays. ``change`` replaces entries."""
        folder = root / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        written = {}
        for k, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
            generator = np.random.default_rng(k)
            data = generator.integers(0, 256, (n, 3072), dtype=np.uint8)
            labels = generator.integers(0, 10, n).tolist()
            written[name] = (data.reshape(n, 3, 32, 32), labels)
            batch = {b"batch_label": name.encode(), b"labels": labels, b"data": data, b"filenames": [b"x.png"] * n}
            batch |= {key.encode(): value for key, value in change.items()}
            dump(batch, folder / name, kind)
        meta = {b"num_cases_per_batch": n, b"label_names": [c.encode() for c in CLASSES], b"num_vis": 3072}
        dump(meta, folder / "batches.meta", kind)
        return written

    return write


@pytest.fixture
def write_cifar100():
    def write(root, n=3, kind="python2", **change):
        """Both splits with ``n`` images; returns images, fine and coarse labels. ``change`` replaces entries."""
        folder = root / "cifar-100-python"
        folder.mkdir(parents=True)
        written = {}
        for k, name in enumerate(["train", "test"]):
            generator = np.random.default_rng(k)
            data = generator.integers(0, 256, (n, 3072), dtype=np.uint8)
            fine, coarse = generator.integers(0, 100, n).tolist(), generator.integers(0, 20, n).tolist()
            written[name] = (data.reshape(n, 3, 32, 32), fine, coarse)
            batch = {b"filenames": [b"x.png"] * n, b"batch_label": name.encode(), b"fine_labels": fine}
            batch |= {b"coarse_labels": coarse, b"data": data}
            batch |= {key.encode(): value for key, value in change.items()}
            dump(batch, folder / name, kind)
        meta = {b"fine_label_names": [f"fine {k}".encode() for k in range(100)]}
        meta |= {b"coarse_label_names": [f"coarse {k}".encode() for k in range(20)]}
        dump(meta, folder / "meta", kind)
        return written

    return write


@pytest.fixture
def write_mnist():
    def write(root, n=4, ending=""):
        """Both splits with ``n`` images; returns the arrays."""
        folder = root / "MNIST" / "raw"
        folder.mkdir(parents=True)
        written = {}
        for k, prefix in enumerate(["train", "t10k"]):
            generator = np.random.default_rng(k)
            images = generator.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            labels = generator.integers(0, 10, n, dtype=np.uint8)
            written[prefix] = (images, labels)
            for name, array in [("images-idx3", images), ("labels-idx1", labels)]:
                content = gzip.compress(idx(array)) if ending else idx(array)
                (folder / f"{prefix}-{name}-ubyte{ending}").write_bytes(content)
        return written

    return write
