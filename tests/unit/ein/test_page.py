"""The Python page: `import ein`."""

import subprocess
import sys

import pytest

import ein


def test_every_name_is_there() -> None:
    for name in ein.__all__:
        assert getattr(ein, name) is not None
    assert set(ein.__all__) <= set(dir(ein))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sarch'"):
        ein.sarch  # noqa: B018


@pytest.mark.parametrize("first", ["import ein.search.study", "from ein.search import study", "import ein"])
def test_search_is_called_and_is_a_package_in_any_order(first: str) -> None:
    code = f"""{first}
import ein, ein.search.study
found = ein.search(ein.load("einspace"), fitness=lambda d: -d.modules, evals=12, seed=1)
from ein import search
assert search is ein.search and ein.search.study.Study is type(found)
print(len(found.trials))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "12\n", done.stderr


def test_arguments_that_do_not_go_together() -> None:
    space = ein.load("einspace")
    with pytest.raises(ValueError, match="one of fitness, data and task"):
        ein.search(space, evals=3)
    with pytest.raises(ValueError, match="workers"):
        ein.search(space, fitness=lambda d: 0.0, evals=3, workers=2)
    with pytest.raises(ValueError, match="size"):
        space.sample(size=(5, 3))


def test_a_build_leaves_the_random_state_alone() -> None:
    import torch

    derivation = ein.architecture("zoo/resnet8", input="im[1, 8, 8]")
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    first, second = ein.build(derivation, seed=1), ein.build(derivation, seed=1)
    assert torch.equal(torch.rand(2), wanted)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = ein.build(derivation, seed=2)
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
