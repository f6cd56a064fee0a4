import pytest

from holdfast.kernel import BadInputError
from holdfast.runbooks import RunbookStep, render

VARIABLES = {"entity": "shop", "region": "eu-west", "instance": "shop@eu-west", "incident": "i-1"}


def step(**changes: object) -> RunbookStep:
    fields = {"title": "S", "action": "a", "target": "${instance}", "line": 1, **changes}
    return RunbookStep(**fields)  # type: ignore[arg-type] # any field of the step


def test_variables_are_filled_in_everywhere() -> None:
    done = render(
        step(
            params={"who": "${entity}", "deep": {"list": ["${region}", 3]}},
            when=('entity == "${entity}"',),
            expect=('up{service="${entity}",region="${region}"} == 1',),
            undo="stop ${instance} of ${incident}",
        ),
        VARIABLES,
    )

    assert done.target == "shop@eu-west"
    assert done.params == {"who": "shop", "deep": {"list": ["eu-west", 3]}}
    assert done.when == ('entity == "shop"',)
    assert done.expect == ('up{service="shop",region="eu-west"} == 1',)
    assert done.undo == "stop shop@eu-west of i-1"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("${entiti}", "unknown variable ${entiti}; did you mean 'entity'?"),
        ("${}", "unknown variable ${}"),
        ("${entity", "is never closed"),
        ("${ entity }", "unknown variable"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_it(target: str, words: str) -> None:
    with pytest.raises(BadInputError) as caught:
        render(step(target=target), VARIABLES)
    assert words in caught.value.message


@pytest.mark.parametrize("value", ["a b", 'x"} == 1', "../up", "a\n", "", "ünï", "$(x)"])
def test_a_value_that_is_no_plain_name_is_refused(value: str) -> None:
    with pytest.raises(BadInputError, match="no plain name"):
        render(step(target="${entity}"), {"entity": value})


def test_a_variable_without_a_value_is_refused_only_where_it_is_used() -> None:
    nowhere = {**VARIABLES, "region": None}

    assert render(step(), nowhere).target == "shop@eu-west"
    with pytest.raises(BadInputError, match="has no value in this incident"):
        render(step(target="${region}"), nowhere)


def test_a_value_is_never_filled_in_twice() -> None:
    with pytest.raises(BadInputError, match="no plain name"):
        render(step(target="${entity}"), {"entity": "${region}", "region": "x"})
