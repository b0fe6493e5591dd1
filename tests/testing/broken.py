"""Collects broken components: (the law that must be named, what is tried)."""

import itertools

import pytest
import torch

from tests.testing.lawful import variant

COUNT = itertools.count()
COUNT_ONE = itertools.count()
NAN = float("nan")


def fails(*arguments, **options):
    raise RuntimeError("it cannot")


# What each broken component does wrong; (law, what is tried).
BROKEN = []


def broken(law):
    """Marks a function that must break `law`."""

    def mark(act):
        BROKEN.append(pytest.param(law, act, id=f"{act.__name__}-{law}"[:90]))
        return act

    return mark


def of(check, base, *more, **options):
    """Tries a variant of a lawful component: `of(check, Base)(law, member=...)`."""

    def add(law, **members):
        def act():
            check(variant(base, **members), *more, **options)

        act.__name__ = base.__name__
        broken(law)(act)

    return add


def scaled(pose, *factors):
    return pose @ torch.tensor([*factors, 1.0]).diag()
