"""Frozen classes behave as those of `dataclass` do."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

import pytest

from authserve.core.frozen import frozen

T = TypeVar("T")


def make(decorate: Callable[[type], type]) -> Any:
    """Return a class of values with a field of each kind."""

    class Value(Generic[T]):
        """A value."""

        name: str
        secret: str = field(repr=False)
        seen: int = field(default=0, compare=False)
        tags: list[str] = field(default_factory=list)
        note: str | None = None

        def label(self) -> str:
            """Return the name in upper case."""
            return self.name.upper()

    return decorate(Value)


Ours = make(frozen())
Theirs = make(dataclass(frozen=True, slots=True))
Named = make(frozen(kw_only=True))


@pytest.mark.parametrize(
    "arguments",
    [("a", "b"), ("a", "b", 1, ["x"], "n"), ("a", "c"), (None, 2, "'", (), {})],
)
def test_it_describes_values_as_dataclass_does(arguments: tuple[Any, ...]) -> None:
    assert repr(Ours(*arguments)) == repr(Theirs(*arguments))
    assert asdict(Ours(*arguments)) == asdict(Theirs(*arguments))


def test_its_values_are_equal_if_their_fields_are() -> None:
    assert Ours("a", "b") == Ours("a", "b", seen=7)
    assert Ours("a", "b") != Ours("a", "c")
    assert Ours("a", "b") != Ours("a", "b", note="n")
    assert Ours("a", "b") != Named(name="a", secret="b")


def test_equal_values_have_one_hash() -> None:
    assert hash(Ours("a", "b", 1, ())) == hash(Ours("a", "b", 2, ()))
    assert hash(Ours("a", "b", 1, ())) == hash(Theirs("a", "b", 1, ()))

    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours("a", "b", 1, []))


@pytest.mark.parametrize("name", ["name", "other"])
def test_no_field_is_assigned_or_deleted(name: str) -> None:
    value = Ours("a", "b")

    with pytest.raises(FrozenInstanceError):
        setattr(value, name, "c")
    with pytest.raises(FrozenInstanceError):
        delattr(value, name)
    assert value == Ours("a", "b")
    assert not hasattr(value, "__dict__")


def test_each_value_has_a_default_of_its_own() -> None:
    assert Ours("a", "b").tags == []
    assert Ours("a", "b").tags is not Ours("a", "b").tags


@pytest.mark.parametrize("arguments", [(), ("a",), ("a", "b", 1, [], "n", "more")])
def test_it_refuses_the_arguments_that_dataclass_refuses(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError) as theirs:
        Theirs(*arguments)
    with pytest.raises(TypeError) as ours:
        Ours(*arguments)

    assert str(theirs.value).endswith(str(ours.value).removeprefix("__init__"))


def test_fields_that_must_be_named_are_not_positional() -> None:
    with pytest.raises(TypeError, match="positional"):
        Named("a", "b")
    with pytest.raises(TypeError, match="secret"):
        Named(name="a")


def test_its_classes_are_dataclasses() -> None:
    value = replace(Ours("a", "b"), name="c")

    assert value == Ours("c", "b")
    assert value.label() == "C"
    assert [each.name for each in fields(value)] == [each.name for each in fields(Theirs)]
    assert Ours.__match_args__ == Theirs.__match_args__


@pytest.mark.parametrize("kw_only", [True, False])
def test_a_class_may_have_no_field(kw_only: bool) -> None:
    @frozen(kw_only=kw_only)
    class Nothing:
        """A value without parts."""

    assert Nothing() == Nothing()
    assert repr(Nothing()).endswith("Nothing()")
