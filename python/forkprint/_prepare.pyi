from typing import Any, Dict, Iterable, Optional, Tuple, Union, final

__all__ = ["Prepared", "Step", "prepare_fork"]

def prepare_fork(
    roots: Optional[Iterable[object]] = None,
    *,
    warm: bool = True,
    collect: bool = True,
    freeze: bool = True,
    immortal: bool = True,
    trim: bool = True,
    exclude: Iterable[object] = (),
) -> Prepared: ...
@final
class Step:
    name: str
    done: bool
    why_not: Optional[str]
    objects: Optional[int]
    bytes: Optional[int]
    seconds: float
    pages: Optional[int]
    details: Dict[str, Union[int, bool]]
    def to_dict(self) -> Dict[str, Any]: ...

@final
class Prepared:
    steps: Tuple[Step, ...]
    notes: Tuple[str, ...]
    old_abi_extensions: Tuple[str, ...]
    @property
    def seconds(self) -> float: ...
    @property
    def pages(self) -> Optional[int]: ...
    @property
    def immortalised(self) -> int: ...
    def step(self, name: str) -> Step: ...
    def summary(self) -> str: ...
    def to_dict(self) -> Dict[str, Any]: ...
    def to_json(self, indent: Optional[int] = None) -> str: ...
