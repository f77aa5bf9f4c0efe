from typing import Any, Callable, TypeVar, overload

__all__ = ["step"]

_Step = TypeVar("_Step", bound=Callable[[], Any])

@overload
def step(function: _Step) -> _Step: ...
@overload
def step(function: None = None, *, finalize: bool = False) -> Callable[[_Step], _Step]: ...
