import numpy as np
import pytest
from matplotlib.figure import Figure

from resdyn import plotting

pytest.importorskip("torch")


def a_run(accuracy=(0.3, 0.6, 0.8)):
    from resdyn.networks.training.runs import TrainingRun

    return TrainingRun(
        loss=np.array([2.0, 1.0, 0.5]),
        training_accuracy=np.array([0.2, 0.5, 0.7]),
        accuracy=np.array(accuracy),
        learning_rate=np.array([0.1, 0.05, 0.01]),
        seconds=np.ones(3),
        end="complete",
        card={},
    )


def test_the_curves_are_those_of_the_run():
    axes = plotting.training_curves(a_run())
    curves = [[line.get_xydata() for line in panel.lines] for panel in axes]
    np.testing.assert_allclose(curves[0][0], [[1, 2.0], [2, 1.0], [3, 0.5]])
    np.testing.assert_allclose(curves[1][0][:, 1], [0.8, 0.5, 0.3])
    np.testing.assert_allclose(curves[1][1][:, 1], [0.7, 0.4, 0.2])
    np.testing.assert_allclose(curves[2][0][:, 1], [0.1, 0.05, 0.01])
    assert [panel.get_yscale() for panel in axes] == ["log", "log", "log"]
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["training", "test"]


def test_without_a_test_set_there_is_one_error():
    axes = plotting.training_curves(a_run([np.nan] * 3))
    assert len(axes[1].lines) == 1


def test_given_axes_are_used_and_must_be_three():
    panels = Figure().subplots(1, 3)
    assert list(plotting.training_curves(a_run(), ax=panels)) == list(panels)
    with pytest.raises(ValueError, match="three panels"):
        plotting.training_curves(a_run(), ax=panels[:2])


def test_rates_that_change_nothing_do_not_stretch_the_axis():
    run = a_run()
    run.learning_rate[-1] = 1e-12
    low, high = plotting.training_curves(run)[2].get_ylim()
    assert low > 1e-6
    assert high > 0.1
