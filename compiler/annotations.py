"""Annotations of a function's parameters that are declarations: `x: "n d"`, `x: Float[np.ndarray, "n d"]`, `k: int`.

Takes a parameter and gives the declaration that its annotation is, None for any other annotation. jaxtyping's
classes are known by what they carry (`dim_str`, `dtypes`) and need not be installed. Of their dimensions a name, a
number, an expression, `rows=4` and `_` have a meaning here; what leaves the rank or a size of 1 open is refused.
Under `from __future__ import annotations` an annotation is evaluated as `typing.get_type_hints` does it.
"""

from __future__ import annotations
import __future__

import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from gradc.ir.errors import UnsupportedError

from .shapes import DTYPES
from .structures import entries

_WORDS = re.compile(r"[a-z0-9_+*/ -]+|[A-Za-z]\w*( [\w+*/-]+)+|[A-Z]")      # a text that is a declaration
_QUOTED = re.compile(r"""(['"])[^'"]*\1""")
_OPEN = {"*": "any number of dimensions", "...": "any number of dimensions", "#": "a size that may be 1",
         "?": "a size that differs from leaf to leaf", "{": "a size that a value gives"}


def annotated(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The declaration that an annotation is: a text, or a structure of texts; None if it is another annotation.

    UnsupportedError for a type of arrays whose dimensions or dtype have no meaning here.

    >>> def f(x: "n d", k: int, y: list): ...
    >>> [annotated(f, p) for p in inspect.signature(f).parameters.values()]
    ['n d', 'int', None]
    """
    return _declaration(parameter.name, _evaluated(function, parameter.annotation))


def _evaluated(function: Callable[..., Any], annotation: Any) -> Any:
    """What an annotation is, where Python keeps the text of the source; a text that the user wrote stays one."""
    if not isinstance(annotation, str):
        return annotation
    if _QUOTED.fullmatch(annotation):
        return annotation[1:-1]
    code = getattr(function, "__code__", None)
    kept = bool(code is not None and code.co_flags & __future__.annotations.compiler_flag)
    if not kept and "[" not in annotation:
        return annotation
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, getattr(function, "__globals__", {}), include_extras=True)["it"]
    except (NameError, SyntaxError, TypeError, AttributeError):     # a name for type checkers only, or no type at all
        return inspect.Parameter.empty


def _declaration(name: str, annotation: Any) -> Any:
    if isinstance(annotation, type) and annotation in (float, int, bool):
        return annotation.__name__
    if isinstance(annotation, str):
        return annotation if annotation in DTYPES or _WORDS.fullmatch(annotation) else None
    if isinstance(getattr(annotation, "dim_str", None), str) and hasattr(annotation, "dtypes"):
        dims = [_dimension(name, word, k) for k, word in enumerate(annotation.dim_str.split())]
        return " ".join([_dtype(name, annotation.dtypes), *dims])
    for item in getattr(annotation, "__metadata__", ()):        # typing.Annotated
        if isinstance(item, str):
            return item
    found = entries(annotation)
    return annotation if found is not None and found[2] else None


def _dimension(name: str, word: str, position: int) -> str:
    for sign, meaning in _OPEN.items():
        if word.startswith(sign) or (sign == "{" and sign in word):
            raise UnsupportedError(f"the annotation of {name} has the dimension {word}, {meaning}, which is not "
                                   "known when it is compiled\nName every dimension, write 1 for one that stretches, "
                                   "or leave the annotation out: then the first call says what is meant.")
    word = word.rpartition("=")[2]                              # rows=4 is 4, with a remark
    return f"{name}_{position}" if word.startswith("_") else word


def _dtype(name: str, dtypes: Any) -> str:
    """The widest dtype that a class of arrays allows and that there is here."""
    if not isinstance(dtypes, Sequence):                        # jaxtyping's Shaped: any
        return "float64"
    for dtype in ("float64", "float32", "int64", "bool"):
        if dtype in dtypes:
            return dtype
    raise UnsupportedError(f"the annotation of {name} allows the dtypes {', '.join(dtypes)}, and none of them is known "
                           "here\nUse Float, Float32, Int or Bool: numbers are real, whole or truth values.")
