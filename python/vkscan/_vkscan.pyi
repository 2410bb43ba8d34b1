from collections.abc import Iterable, Iterator
from os import PathLike
from types import TracebackType
from typing import Literal, Protocol, Self, TypedDict, overload

from typing_extensions import Buffer

from . import Match

__version__: str

class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class Device(TypedDict):
    index: int
    name: str
    kind: str
    uuid: str
    vulkan: str
    driver: str
    driver_info: str
    device_local_bytes: int
    unsuitable: str | None
    picked: str | None

class Factor(TypedDict):
    anchor: Literal["start", "end"] | None
    grams: list[bytes]
    expected_per_mib: float
    most_starts: int | None

class RulePlan(TypedDict):
    rule: int
    pattern: str
    factor: Factor | None
    dfa_bytes: int
    nfa_nodes: int | None
    bounds: list[str]

class ChunkedMatches:
    @property
    def match_count(self) -> int: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int) -> list[Match] | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[Match] | None]: ...
    def __iter__(self) -> Iterator[list[Match] | None]: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class Matches(ChunkedMatches):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

class Scanner:
    def __init__(
        self,
        rules: Iterable[str | bytes],
        *,
        kind: Literal["leftmost-first", "all"] = "leftmost-first",
        device: int | str | None = None,
        max_matches: int = 65536,
        size_limit: int = 10485760,
        wait_timeout: float = 60.0,
    ) -> None: ...
    @overload
    def scan(self, haystacks: _ArrowArray) -> Matches: ...
    @overload
    def scan(self, haystacks: _ArrowStream) -> ChunkedMatches: ...
    @overload
    def scan(self, haystacks: Buffer | str | Iterable[Buffer | str | None]) -> Matches: ...
    def scan_file(
        self, path: str | PathLike[str], *, window_bytes: int = 67108864
    ) -> list[Match]: ...
    def explain(self) -> list[RulePlan]: ...
    @property
    def rules(self) -> list[str]: ...
    @property
    def device(self) -> Device: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

def devices() -> list[Device]: ...
