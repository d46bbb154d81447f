import numpy as np
import pytest

from resdyn import data

pytest.importorskip("sklearn")


def test_digit_images_are_the_digits_each_once():
    train, test = data.digit_images("train"), data.digit_images("test")
    assert (len(train), len(test)) == (1437, 360)
    images = np.concatenate([train.images, test.images]).reshape(-1, 64)
    pixels, labels = data.digits()
    # grey levels 0 … 16 become 17 different bytes, so rounding back is exact
    back = np.round(images * (16 / 255))
    found = sorted(map(tuple, np.column_stack([back, np.concatenate([train.labels, test.labels])])))
    assert found == sorted(map(tuple, np.column_stack([pixels, labels])))


def test_digit_images_have_two_splits():
    with pytest.raises(ValueError, match="'test' or 'train'"):
        data.digit_images("validation")
