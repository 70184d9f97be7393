"""Alarms for a loss that stays flat and for a discriminator that finds nothing."""

import math

import pytest

from tfkor.pretraining import MaskedLanguageModel, ReplacedTokenDetection
from tfkor.pretraining.alarms import Alarms

MLM, RTD = MaskedLanguageModel.alarms, ReplacedTokenDetection.alarms


def raised(alarms, losses, recall=None):
    """The alarms of log lines with these losses, {number of the line: words}."""
    more = {} if recall is None else {"rtd_recall": recall}
    found = {i: alarms.look(i, {"mlm_loss": loss, "loss": loss, **more}) for i, loss in enumerate(losses, 1)}
    return {i: words for i, words in found.items() if words}


def test_a_flat_loss_raises_one_alarm_until_it_falls():
    alarms = Alarms(MLM, vocab_size=1000, patience=5)
    found = raised(alarms, [6.5] * 25)
    assert list(found) == [10] and "step 10: mlm_loss is flat at 6.500 nats over 10 log lines" in found[10][0]
    assert raised(alarms, [6.5 - 0.1 * i for i in range(15)]) == {}
    assert list(raised(alarms, [5.0] * 25)) == [10]  # it has recovered, and is flat again


def test_a_loss_that_falls_or_is_low_is_not_flat():
    assert raised(Alarms(MLM, 1000, patience=5), [6.9 - 0.01 * i for i in range(60)]) == {}
    assert raised(Alarms(MLM, 1000, patience=5), [0.5 * math.log(1000)] * 60) == {}


def test_a_discriminator_that_predicts_original_everywhere_raises_an_alarm():
    alarms = Alarms(RTD, 1000, patience=5)
    low = [1.0] * 12
    found = raised(alarms, low, recall=0.0)
    assert list(found) == [5] and 'step 5: the discriminator predicted "original" nearly everywhere' in found[5][0]
    assert raised(alarms, low, recall=0.3) == {}
    assert list(raised(alarms, low, recall=0.001)) == [5]


@pytest.mark.parametrize("name", ["loss", "mlm_loss", "rtd_loss"])
def test_a_loss_that_is_not_finite_is_an_error(name):
    with pytest.raises(FloatingPointError, match=f"step 3: {name} is inf; expected a finite number"):
        Alarms(MLM, 1000).look(3, {"mlm_loss": 1.0, name: math.inf})
