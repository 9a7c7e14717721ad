"""Decodes columns from images of items, along paths into maps and lists, a whole slice at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from common.changes import Value
from common.columns.column_type import AttributeValue, Decoder
from common.mapping import AttributePath, Column
from common.poison import PoisonError

Images = Sequence[Any]
ColumnDecoder = Callable[[Images], Sequence[Value]]

_NULL = {"NULL": True}
_ABSENT = None  # in place of a map or list: the path ended early
_NULL_ON_THE_WAY = object()


def path_text(path: AttributePath) -> str:
    """Such as `address.lines[0].city`."""
    first, *others = path
    return "".join([str(first), *(f"[{one}]" if isinstance(one, int) else f".{one}" for one in others)])


def value_at(image: Any, path: AttributePath) -> AttributeValue | None:
    """The value at the end of a path; None where there is none."""
    value: Any = {"M": image}
    for segment in path:
        inner = value.get("M" if isinstance(segment, str) else "L")
        in_map = isinstance(inner, dict) and segment in inner
        in_list = isinstance(inner, list) and isinstance(segment, int) and segment < len(inner)
        if not (in_map or in_list):
            return None
        value = inner[segment]
    return value  # type: ignore[no-any-return]


class ColumnsDecoder:
    """Decodes the columns of images. A beginning that several paths share is looked up once.

    A column without a path or a constant has the attributes that are not `mapped`.

    Raises PoisonError, and TypeError or AttributeError for what DynamoDB never sends.
    """

    def __init__(self, columns: Sequence[Column], mapped: frozenset[str]) -> None:
        self._mapped = mapped
        # Each step leads from an earlier list of maps or lists to a new one. The images are the first.
        self._steps: list[tuple[int, ColumnDecoder]] = []
        self._places: dict[AttributePath, int] = {(): 0}
        self._decoders = [self._decoder(column) for column in columns]

    def __call__(self, images: Images) -> list[Sequence[Value]]:
        if not self._steps:
            return [decode(images) for _, decode in self._decoders]
        containers = [images]
        for parent, step in self._steps:
            containers.append(step(containers[parent]))
        return [decode(containers[place]) for place, decode in self._decoders]

    def _decoder(self, column: Column) -> tuple[int, ColumnDecoder]:
        if column.const is not None:
            value = column.const.value
            return 0, lambda images: [value] * len(images)
        if not column.path:
            return 0, _unmapped_decoder(column, self._mapped)
        *_, segment = column.path
        place = self._place(column.path[:-1], "M" if isinstance(segment, str) else "L")
        return place, _column_decoder(column)

    def _place(self, path: AttributePath, kind: str) -> int:
        """The index of the maps (M) or lists (L) at the end of a path."""
        known = (*path, kind) if path else ()
        if known not in self._places:
            parent = self._place(path[:-1], "M" if isinstance(path[-1], str) else "L")
            self._steps.append((parent, _step(path, kind)))
            self._places[known] = len(self._steps)
        return self._places[known]


def _unmapped_decoder(column: Column, mapped: frozenset[str]) -> ColumnDecoder:
    decode = column.type.decoder("the attributes that are not mapped")
    return lambda images: decode(
        [{"M": {name: image[name] for name in image if name not in mapped}} for image in images]
    )


def _step(path: AttributePath, kind: str) -> ColumnDecoder:
    segment: Any = path[-1]
    subject = f"attribute {path_text(path)}"

    def step(containers: Images) -> Sequence[Any]:
        try:
            return [container[segment][kind] for container in containers]
        except (KeyError, IndexError, TypeError):
            return [step_one(container) for container in containers]

    def step_one(container: Any) -> Any:
        value = _inside(container, segment)
        if value is _ABSENT or value is _NULL_ON_THE_WAY:
            return value
        if value == _NULL:
            return _NULL_ON_THE_WAY
        if value.get(kind) is None:
            raise PoisonError(f"{subject} has the wrong type")
        return value[kind]

    return step


def _inside(container: Any, segment: Any) -> Any:
    if container is _ABSENT or container is _NULL_ON_THE_WAY:
        return container
    if isinstance(segment, str):
        return container.get(segment)
    return container[segment] if segment < len(container) else _ABSENT


def _column_decoder(column: Column) -> ColumnDecoder:
    """A function from maps or lists to the values of `column` in them."""
    segment: Any = column.path[-1]
    subject = f"attribute {path_text(column.path)}"
    kind = column.type.kind
    takes_null = kind == ""  # its decoder may take a NULL as a value
    if column.absent or column.null or takes_null:
        return _optional(column, subject, column.type.decoder(subject), takes_null=takes_null)
    decode = column.type.content_decoder(subject)

    def decode_present(containers: Images) -> Sequence[Value]:
        try:
            return decode([container[segment][kind] for container in containers])
        except (KeyError, IndexError, TypeError):
            values = [_inside(container, segment) for container in containers]
            if _ABSENT in values:
                raise PoisonError(f"{subject} is missing") from None
            if any(value is _NULL_ON_THE_WAY or (type(value) is dict and kind not in value) for value in values):
                raise PoisonError(f"{subject} has the wrong type") from None
            raise

    return decode_present


def _optional(column: Column, subject: str, decode: Decoder[Value], *, takes_null: bool) -> ColumnDecoder:
    segment: Any = column.path[-1]
    at_top = len(column.path) == 1

    def decode_optional(containers: Images) -> Sequence[Value]:
        if at_top:
            values = [container.get(segment) for container in containers]
        else:
            values = [_inside(container, segment) for container in containers]
        if _ABSENT not in values and not (takes_null and _NULL in values):
            try:
                return decode(values)
            except (KeyError, TypeError, AttributeError):
                pass  # a NULL, or on the way to one
        return decode_rest(values)

    def decode_rest(values: list[Any]) -> Sequence[Value]:
        kinds = [_ABSENT if value is _ABSENT else value is not _NULL_ON_THE_WAY and value != _NULL for value in values]
        if None in kinds and column.absent is None:
            raise PoisonError(f"{subject} is missing")
        if False in kinds and column.null is None:
            raise PoisonError(f"{subject} has the wrong type")
        present = [value for value, kind in zip(values, kinds, strict=True) if kind]
        try:
            found = iter(decode(present) if present else ())
        except KeyError:
            raise PoisonError(f"{subject} has the wrong type") from None
        absent, null = (one and one.value for one in (column.absent, column.null))
        return [next(found) if kind else absent if kind is None else null for kind in kinds]

    return decode_optional
