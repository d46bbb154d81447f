import gzip
import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

import resdyn.data
from resdyn.data import ImageSet, cifar10, cifar100, mnist

REAL = pytest.mark.skipif(
    not os.environ.get("RESDYN_DATA"), reason="RESDYN_DATA names no folder with the real CIFAR-10 and MNIST"
)

LAYERS = ["python2", 2, 4]  # the official kind, a copy saved by Python 3 at protocol 2, the kind of numpy 2


@pytest.fixture
def no_variable(monkeypatch, tmp_path):
    """Neither a named folder nor the real cache of whoever runs the tests."""
    monkeypatch.delenv("RESDYN_DATA", raising=False)
    monkeypatch.setenv("RESDYN_CACHE", str(tmp_path / "cache"))


def a_set(n=5, classes=("a", "b")):
    images = np.arange(n * 12, dtype=np.uint8).reshape(n, 3, 2, 2)
    return ImageSet(images, np.arange(n) % len(classes), classes, "toy")


# The class


def test_pixels_run_from_0_to_1_in_the_precision_asked_for():
    images = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    pixels = ImageSet(images, np.zeros(1, int), ("a",), "ramp").pixels()
    assert pixels.dtype == np.float32
    assert pixels.shape == images.shape
    # Division rounds correctly, so no tolerance is due.
    np.testing.assert_array_equal(pixels.ravel(), (np.arange(256) / 255).astype(np.float32))
    assert ImageSet(images, np.zeros(1, int), ("a",), "ramp").pixels(np.float64).dtype == np.float64


def test_pixels_refuses_integers_since_all_would_be_0_or_1():
    with pytest.raises(TypeError, match=r"dtype is uint8.*floating-point.*\.images"):
        a_set().pixels(np.uint8)


@pytest.mark.parametrize(
    ("index", "places"),
    [
        (slice(1, 4), [1, 2, 3]),
        ([3, 0], [3, 0]),
        (np.array([True, False, False, False, True]), [0, 4]),
        (-1, [4]),
        ([], []),
    ],
)
def test_a_subset_keeps_images_and_labels_together(index, places):
    whole = a_set()
    part = whole.subset(index)
    assert len(part) == len(places)
    np.testing.assert_array_equal(part.images, whole.images[places])
    np.testing.assert_array_equal(part.labels, whole.labels[places])
    assert (part.classes, part.name) == (whole.classes, whole.name)


def test_a_subset_beyond_the_end_is_an_error():
    with pytest.raises(IndexError, match="out of bounds"):
        a_set(5).subset([5])


def test_the_repr_is_in_words():
    assert repr(a_set()) == "<ImageSet 'toy': 5 colour images of 2×2 pixels in 2 classes>"
    assert repr(a_set(1)) == "<ImageSet 'toy': 1 colour image of 2×2 pixels in 2 classes>"


def test_labels_become_int64_and_the_set_is_frozen():
    some = ImageSet(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1], np.uint8), ["a", "b"], "toy")
    assert some.labels.dtype == np.int64
    assert some.classes == ("a", "b")
    with pytest.raises(AttributeError):
        some.name = "other"


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (np.zeros((2, 1, 4, 4)), [0, 1], TypeError, "dtype float64"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1], ValueError, r"shape \(2, 4, 4\).*\(n, C, H, W\)"),
        (np.zeros((2, 1, 4, 4), np.uint8), [0.0, 1.0], TypeError, "dtype float64"),
        (np.zeros((2, 1, 4, 4), np.uint8), [0, 1, 1], ValueError, r"shape \(3,\).*2 images"),
        (np.zeros((2, 1, 4, 4), np.uint8), [0, 2], ValueError, "from 0 to 2.*2 classes"),
        (np.zeros((2, 1, 4, 4), np.uint8), [-1, 0], ValueError, "from -1 to 0"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(images, labels, error, message):
    with pytest.raises(error, match=message):
        ImageSet(images, np.array(labels), ("a", "b"), "toy")


# CIFAR-10


@pytest.mark.parametrize("kind", LAYERS)
def test_cifar10_reads_the_test_batch(tmp_path, write_cifar10, kind):
    images, labels = write_cifar10(tmp_path, n=300, kind=kind)["test_batch"]
    found = cifar10("test", tmp_path)
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype == np.int64
    assert found.classes[:2] == ("airplane", "automobile")
    assert found.name == "CIFAR-10 test"
    assert found.images.flags.writeable  # torch.from_numpy warns about read-only arrays


@pytest.mark.parametrize("kind", LAYERS)
def test_cifar10_reads_the_five_training_batches_in_order(tmp_path, write_cifar10, kind):
    written = write_cifar10(tmp_path, kind=kind)
    found = cifar10("train", tmp_path)
    for k in range(5):
        images, labels = written[f"data_batch_{k + 1}"]
        np.testing.assert_array_equal(found.images[3 * k : 3 * k + 3], images)
        np.testing.assert_array_equal(found.labels[3 * k : 3 * k + 3], labels)
    assert len(found) == 15


def test_the_files_of_these_tests_are_as_python_2_wrote_them(tmp_path, write_cifar10):
    write_cifar10(tmp_path)
    content = (tmp_path / "cifar-10-batches-py" / "test_batch").read_bytes()
    assert content.startswith(b"\x80\x02}")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    assert b"_codecs" not in content  # the trace of Python 3
    assert b"U\x06labels" in content  # a string of Python 2


def test_cifar10_reads_an_array_that_was_stored_column_by_column(tmp_path, write_cifar10):
    data = np.asfortranarray(np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8))
    write_cifar10(tmp_path, data=data)
    np.testing.assert_array_equal(cifar10(folder=tmp_path).images.reshape(3, -1), data)


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("file", ["test_batch", "batches.meta"])
def test_a_pickle_that_runs_a_command_is_refused_and_the_command_not_run(tmp_path, write_cifar10, protocol, file):
    write_cifar10(tmp_path)
    trace = tmp_path / "trace"
    forged = pickle.dumps({b"data": Call(os.mkdir, str(trace))}, protocol=protocol)
    path = tmp_path / "cifar-10-batches-py" / file
    path.write_bytes(forged)
    with pytest.raises(ValueError, match=rf"{file}.*global '(posix|nt).mkdir'.*refused"):
        cifar10("test", tmp_path)
    assert not trace.exists()
    pickle.loads(forged)  # the ordinary reader does run it, so the forgery is a real one
    assert trace.exists()


@pytest.mark.parametrize("name", ["builtins\neval", "numpy\nload", "numpy.core.multiarray\nscalar", "os\nsystem"])
def test_globals_that_cifar10_does_not_need_are_refused(tmp_path, write_cifar10, name):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"c" + name.encode() + b"\n.")
    with pytest.raises(ValueError, match=f"global '{name.replace(chr(10), '.')}'"):
        cifar10(folder=tmp_path)


def test_an_array_of_objects_is_refused(tmp_path, write_cifar10):
    # numpy's own functions would build it, and from a forged dtype take bytes for addresses.
    write_cifar10(tmp_path, data=np.array([[None] * 3072], dtype=object))
    with pytest.raises(ValueError, match="dtype b'O8'"):
        cifar10(folder=tmp_path)


@pytest.mark.parametrize(
    "state",
    [b"}X\1\0\0\0aK\1s", b"N}X\1\0\0\0aK\1s\x86"],  # a dictionary of the object; one of its attributes
    ids=["dictionary", "attributes"],
)
@pytest.mark.parametrize("name", [b"numpy\ndtype", b"numpy\nndarray", b"_codecs\nencode"])
def test_a_pickle_cannot_alter_what_it_names(tmp_path, write_cifar10, name, state):
    write_cifar10(tmp_path)
    expected = cifar10(folder=tmp_path).images
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    honest = path.read_bytes()
    path.write_bytes(b"\x80\x02c" + name + b"\n" + state + b"b.")
    with pytest.raises(ValueError, match=r"test_batch.*(alter a function|AttributeError)"):
        cifar10(folder=tmp_path)
    path.write_bytes(honest)
    np.testing.assert_array_equal(cifar10(folder=tmp_path).images, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((3, 3071), np.uint8)}, r"shape \(3, 3071\).*\(n, 3072\)"),
        ({"data": np.zeros(3 * 3072, np.uint8)}, r"shape \(9216,\)"),
        ({"data": np.zeros((3, 3072), np.float32)}, "dtype b'f4'"),
        ({"data": [1, 2, 3]}, "'data'.*is a list"),
        ({"labels": [1, 2]}, "3 images but 2 labels"),
        ({"labels": [1, 2, 10]}, "label 10.*from 0 to 9"),
        ({"labels": [1, -1, 2]}, "label -1"),
        ({"labels": [1, 2.5, 2]}, "not a list of integers"),
    ],
)
def test_a_batch_of_other_content_is_refused_with_the_name_of_the_file(tmp_path, write_cifar10, change, message):
    write_cifar10(tmp_path, **change)
    with pytest.raises(ValueError, match=message) as caught:
        cifar10(folder=tmp_path)
    assert "test_batch" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "EOFError"),
        (b"not a pickle", "Error"),
        (pickle.dumps([1, 2]), "holds a list"),
        (pickle.dumps({}), "no entry 'data' and 'labels'.*empty"),
        (pickle.dumps({b"fine_labels": [], b"data": 0}), "no entry 'labels'.*'fine_labels'"),
    ],
)
def test_a_file_that_is_no_batch_is_refused_and_named(tmp_path, write_cifar10, content, message):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(ValueError, match=f"test_batch.*{message}"):
        cifar10(folder=tmp_path)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_batch_cut_short_anywhere_is_refused(tmp_path, write_cifar10, kind):
    write_cifar10(tmp_path, n=1, kind=kind)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    whole = path.read_bytes()
    for length in [*range(0, 400, 7), len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"test_batch.*Delete it.*resdyn\.data.download"):
            cifar10(folder=tmp_path)


def test_meta_without_names_is_refused(tmp_path, write_cifar10):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "batches.meta").write_bytes(pickle.dumps({b"label_names": [1, 2]}))
    with pytest.raises(ValueError, match=r"batches\.meta.*not a list of names"):
        cifar10(folder=tmp_path)


# CIFAR-100


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_cifar100_reads_images_with_their_classes_or_superclasses(tmp_path, write_cifar100, kind, split):
    images, fine, coarse = write_cifar100(tmp_path, n=30, kind=kind)[split]
    found = cifar100(split, tmp_path)
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, fine)
    assert found.classes == tuple(f"fine {k}" for k in range(100))
    assert found.name == f"CIFAR-100 {split}"
    grouped = cifar100(split, tmp_path, labels="coarse")
    np.testing.assert_array_equal(grouped.images, images)
    np.testing.assert_array_equal(grouped.labels, coarse)
    assert grouped.classes == tuple(f"coarse {k}" for k in range(20))
    assert grouped.name == f"CIFAR-100 {split} (superclasses)"


def test_cifar100_knows_two_kinds_of_labels(tmp_path, write_cifar100):
    write_cifar100(tmp_path)
    with pytest.raises(ValueError, match="labels is 'super'; there are 'fine' .* and 'coarse'"):
        cifar100("test", tmp_path, labels="super")
    with pytest.raises(ValueError, match="CIFAR-100 has 'train' or 'test'"):
        cifar100("validation", tmp_path)


def test_what_is_wrong_with_a_file_of_cifar100_is_said(tmp_path, write_cifar100):
    write_cifar100(tmp_path / "labels", fine_labels=[1, 2, 100])
    with pytest.raises(
        ValueError, match=r"test'? holds the label 100, but labels run from 0 to 99.*CIFAR-100|cifar100"
    ):
        cifar100("test", tmp_path / "labels")
    write_cifar100(tmp_path / "data", data=np.zeros((3, 3071), np.uint8))
    with pytest.raises(ValueError, match=r"shape \(3, 3071\), but CIFAR-100 has bytes"):
        cifar100("test", tmp_path / "data")
    write_cifar100(tmp_path / "forged")
    (tmp_path / "forged" / "cifar-100-python" / "test").write_bytes(b"cos\nsystem\n.")
    with pytest.raises(ValueError, match=r"not a pickle as CIFAR-100 has them.*global 'os\.system'"):
        cifar100("test", tmp_path / "forged")


def test_missing_files_of_cifar100_are_named(tmp_path, write_cifar100):
    write_cifar100(tmp_path)
    (tmp_path / "cifar-100-python" / "meta").unlink()
    with pytest.raises(FileNotFoundError, match=r"CIFAR-100 are not all in .*missing: cifar-100-python/meta"):
        cifar100("train", tmp_path)


# MNIST


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_mnist_reads_files_zipped_or_not(tmp_path, write_mnist, split, prefix, ending):
    images, labels = write_mnist(tmp_path, n=300, ending=ending)[prefix]
    found = mnist(split, tmp_path)
    np.testing.assert_array_equal(found.images, images[:, None])
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype == np.int64
    assert found.classes == tuple("0123456789")
    assert found.images.flags.writeable
    assert repr(found) == f"<ImageSet 'MNIST {split}': 300 grey images of 28×28 pixels in 10 classes>"


def test_a_zipped_file_cut_short_anywhere_is_refused(tmp_path, write_mnist):
    write_mnist(tmp_path, ending=".gz")
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for length in [0, 1, 5, 20, len(whole) // 2, len(whole) - 8, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz.*Delete it.*resdyn.data.download"):
            mnist(folder=tmp_path)


@pytest.mark.parametrize("where", [10, -6])  # within the stream; in the checksum behind it
def test_a_zipped_file_with_a_wrong_byte_is_refused(tmp_path, write_mnist, where):
    write_mnist(tmp_path, ending=".gz")
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[where] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz.*damaged"):
        mnist(folder=tmp_path)


def idx(*shape, n_bytes, kind=8):
    return struct.pack(f">4B{len(shape)}I", 0, 0, kind, len(shape), *shape) + bytes(n_bytes)


IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        pytest.param(IMAGES, b"", "begins with 0x,.*0x00000803", id="empty"),
        pytest.param(IMAGES, gzip.compress(b"", mtime=0), "begins with 0x1f8b", id="zipped under a plain name"),
        pytest.param(IMAGES, idx(1, 1, 1, 1, n_bytes=1), "0x00000804.*3 axes", id="four axes"),
        pytest.param(IMAGES, idx(1, 28, 28, n_bytes=3136, kind=13), "0x00000d03", id="floats"),
        pytest.param(IMAGES, idx(1, 28, 28, n_bytes=0)[:9], "within its header", id="half a header"),
        pytest.param(IMAGES, idx(1, 28, 28, n_bytes=783), "784 bytes.*holds 783", id="too short"),
        pytest.param(IMAGES, idx(1, 28, 28, n_bytes=785), "784 bytes.*holds 785", id="too long"),
        pytest.param(IMAGES, idx(*[2**32 - 1] * 3, n_bytes=0), f"= {(2**32 - 1) ** 3} bytes", id="beyond int64"),
        pytest.param(IMAGES, idx(4, 2, 3, n_bytes=24), "2×3 pixels.*28×28", id="other images"),
        pytest.param(LABELS, idx(3, n_bytes=3), "4 images.*3 labels", id="a label less"),
        pytest.param(LABELS, idx(4, n_bytes=0) + b"\0\1\2\x0a", "label 10.*from 0 to 9", id="a label too large"),
    ],
)
def test_idx_files_of_other_content_are_refused_with_the_name_of_the_file(
    tmp_path, write_mnist, file, content, message
):
    write_mnist(tmp_path, n=4)
    (tmp_path / "MNIST" / "raw" / file).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        mnist(folder=tmp_path)
    assert file in str(caught.value)


# The folder


@pytest.mark.parametrize("read", [cifar10, mnist])
def test_an_unknown_split_is_refused(tmp_path, read):
    with pytest.raises(ValueError, match=r"split is 'validation'.*'train' or 'test'"):
        read("validation", tmp_path)


def test_missing_files_are_named_with_the_folder_and_both_remedies(tmp_path, write_cifar10):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        cifar10("train", tmp_path)
    message = str(caught.value)
    assert repr(str(tmp_path)) in message
    assert "cifar-10-batches-py/data_batch_3" in message
    assert "data_batch_2" not in message
    assert "RESDYN_DATA" in message
    assert "folder=" in message
    assert f"resdyn.data.download('cifar10', folder={str(tmp_path)!r})" in message
    assert len(cifar10("test", tmp_path)) == 3  # this split lacks nothing


def test_all_missing_files_of_mnist_are_named_and_the_cache_is_where_they_are_sought(tmp_path, no_variable):
    with pytest.raises(FileNotFoundError) as caught:
        mnist("train")
    message = str(caught.value)
    assert repr(str(tmp_path / "cache" / "data")) in message
    assert "MNIST/raw/train-images-idx3-ubyte, MNIST/raw/train-labels-idx1-ubyte (each with or without .gz)" in message
    assert "RESDYN_DATA is not set" in message
    assert "resdyn.data.download('mnist')" in message


@pytest.mark.usefixtures("no_variable")
def test_the_argument_comes_before_the_variable_and_the_variable_before_the_cache(tmp_path, monkeypatch, write_mnist):
    for n, name in [(1, "argument"), (2, "variable"), (3, "cache/data")]:
        write_mnist(tmp_path / name, n=n)
    assert len(mnist()) == 3
    monkeypatch.setenv("RESDYN_DATA", str(tmp_path / "variable"))
    assert len(mnist()) == 2
    assert len(mnist(folder=tmp_path / "argument")) == 1
    assert len(mnist(folder=str(tmp_path / "argument"))) == 1
    monkeypatch.setenv("RESDYN_DATA", "")
    assert len(mnist()) == 3


@pytest.mark.usefixtures("no_variable")
def test_a_named_folder_without_the_files_is_not_replaced_by_another(tmp_path, monkeypatch, write_mnist):
    write_mnist(tmp_path / "cache" / "data")
    monkeypatch.setenv("RESDYN_DATA", str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match="named by RESDYN_DATA"):
        mnist()
    write_mnist(tmp_path / "full")
    monkeypatch.setenv("RESDYN_DATA", str(tmp_path / "full"))
    with pytest.raises(FileNotFoundError, match="the folder argument"):
        mnist(folder=tmp_path / "empty")


# The package


def test_the_public_names():
    names = ["ImageSet", "cifar10", "cifar100", "circles", "digit_images", "digits", "download", "image_set", "mnist"]
    assert resdyn.data.__all__ == names
    assert all(hasattr(resdyn.data, name) for name in resdyn.data.__all__)


def test_importing_the_readers_imports_neither_a_network_library_nor_torch():
    heavy = {"requests", "urllib3", "pooch", "tqdm", "torch", "scipy", "sympy", "numba", "sklearn", "matplotlib"}
    command = "import sys, resdyn.data; print(*{name.partition('.')[0] for name in sys.modules})"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    shown = subprocess.run(
        [sys.executable, "-c", command], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert heavy & set(shown.stdout.split()) == set()
    assert "numpy" in shown.stdout.split()


# The real files


@REAL
def test_the_real_cifar10_has_10000_test_images_1000_of_each_class():
    found = cifar10("test")
    assert found.images.shape == (10_000, 3, 32, 32)
    np.testing.assert_array_equal(np.bincount(found.labels), [1000] * 10)
    assert " ".join(found.classes) == "airplane automobile bird cat deer dog frog horse ship truck"
    # A cat, two ships, an airplane, two frogs, ...: the official order.
    np.testing.assert_array_equal(found.labels[:10], [3, 8, 8, 0, 6, 6, 1, 6, 3, 1])


@REAL
def test_the_real_cifar10_has_50000_training_images_with_the_known_mean_colour():
    found = cifar10("train")
    assert found.images.shape == (50_000, 3, 32, 32)
    np.testing.assert_array_equal(np.bincount(found.labels), [5000] * 10)
    # Mean and deviation with which everyone normalises, to the digits they are quoted with.
    pixels = found.images.swapaxes(0, 1).reshape(3, -1)
    np.testing.assert_allclose(pixels.mean(axis=1) / 255, [0.4914, 0.4822, 0.4465], atol=6e-5)
    np.testing.assert_allclose(pixels.std(axis=1) / 255, [0.2470, 0.2435, 0.2616], atol=6e-5)


@REAL
def test_the_real_mnist_has_60000_training_images_with_the_known_counts_and_mean():
    found = mnist("train")
    assert found.images.shape == (60_000, 1, 28, 28)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(found.labels), counts)
    np.testing.assert_array_equal(found.labels[:10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    assert found.images.mean() / 255 == pytest.approx(0.1307, abs=6e-5)  # as quoted
    assert found.images.std() / 255 == pytest.approx(0.3081, abs=6e-5)


@REAL
def test_the_real_mnist_has_10000_test_images_beginning_with_a_7():
    found = mnist("test")
    assert found.images.shape == (10_000, 1, 28, 28)
    np.testing.assert_array_equal(np.bincount(found.labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
    np.testing.assert_array_equal(found.labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    assert (found.images[:, :, 0] == 0).all()  # every digit is centred, with a dark frame
