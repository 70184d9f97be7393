"""The counters between two lines of the log."""

from tfkor.pretraining.log import Window


class Unready(dict):
    """Metrics that a worker still computes."""

    ready = False

    def __getitem__(self, name):
        assert self.ready, "somebody waits for a step"
        return super().__getitem__(name)


def test_counting_a_step_does_not_wait_for_it(monkeypatch):
    window = Window([{"loss": 3.0}])
    window.add(10, Unready(loss=1.0))
    window.add(20, Unready(loss=2.0))
    monkeypatch.setattr(Unready, "ready", True)
    assert (window.steps, window.tokens, window.mean_loss()) == (2, 30, 2.0)
