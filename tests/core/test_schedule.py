import pytest

from zero3d.random import Generators
from zero3d.schedule import Schedule
from zero3d.values import Step


def values(source, total=100, at=(0, 25, 49, 50, 75, 99)):
    schedule = Schedule.parse(source)
    return [schedule(Step(index, total, Generators(0))) for index in at]


def test_a_number_holds():
    assert values(3) == [3.0] * 6


def test_linear_between_knots_in_steps_and_percent():
    assert values({0: 0, 100: 100}) == [0, 25, 49, 50, 75, 99]
    assert values({"0%": 0, "50%": 1}, total=200, at=(0, 50, 100, 150)) == [0, 0.5, 1, 1]


def test_the_last_value_holds_and_the_first_reaches_back():
    assert values({"50%": 2, "75%": 4}) == [2, 2, 2, 2, 4, 4]


def test_a_jump_holds_until_its_step():
    assert values({"0%": 1, "50%": {"jump": 3}}) == [1, 1, 1, 3, 3, 3]
    assert values({"50%": {"jump": 3}}) == [0, 0, 0, 3, 3, 3], "before a first jump the value is 0"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("much", "'much'"),
        ({}, "empty"),
        ({"half": 1}, "'half'"),
        ({"150%": 1}, "150%"),
        ({0: {"leap": 1}}, "jump"),
        (float("nan"), "nan"),
        (True, "True"),
    ],
)
def test_what_is_no_schedule_is_refused_by_name(source, told):
    with pytest.raises(ValueError, match="weight") as error:
        Schedule.parse(source, "weight")
    assert told in str(error.value)
