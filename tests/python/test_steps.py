import pytest

import forkprint


def test_a_marked_function_stays_the_function_it_was():
    def double():
        return 4

    assert forkprint.step(double) is double
    assert double() == 4


def test_options_can_be_left_out_or_given():
    @forkprint.step()
    def plain():
        pass

    @forkprint.step(finalize=True)
    def last():
        pass

    assert plain.__forkprint_step__ == {"finalize": False}
    assert last.__forkprint_step__ == {"finalize": True}


def test_defaults_are_no_parameters_a_worker_would_miss():
    @forkprint.step
    def sized(size=3, *rest, deep=False, **more):
        pass


async def coroutine():
    pass


def generator():
    yield


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x, "takes parameters"),
        (lambda *, x: x, "takes parameters"),
        (lambda x, y=1: x, "takes parameters"),
        (lambda x, *, y=1: x, "takes parameters"),
        (coroutine, "coroutine or generator"),
        (generator, "coroutine or generator"),
        (print, "marks functions"),
        (int, "marks functions"),
    ],
)
def test_what_could_not_run_as_a_step_is_refused(function, reason):
    with pytest.raises(TypeError, match=reason):
        forkprint.step(function)
