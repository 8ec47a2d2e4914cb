"""From a formula's text to checked statements: limits, tokens, `ast` trees, and errors with a caret.

It takes the text of a formula and gives its statements, each with an expression tree of Python's `ast`
and the way back from a node of that tree to a place in the text. Length, alphabet, numbers, names and
nesting are checked before Python's parser sees anything, and nothing is ever evaluated. What the
trees mean is left to `formula`; which kinds of node have a meaning is decided there too.
"""

from __future__ import annotations

import ast
import difflib
import keyword
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gradc.ir.errors import FormulaError, GradcError, SizeError
from gradc.ir.graph import Span

MAX_LENGTH = 1_000_000     # characters of a formula
MAX_NAME = 200             # characters of a name
MAX_DIGITS = 400           # characters of a number
MAX_NESTING = 100          # brackets inside brackets
MAX_OPERATORS = 10_000     # operators between two brackets or commas (the parser gives up far below)
MAX_OPERANDS = 10_000      # operands of one call
SHOWN = 100                # characters of a line that an error shows

RESERVED = {"out": "result", "workspace": "scratch"}
SPLIT_ADVICE = "Split it into several statements (a = ...; b = ...; a + b), or write the terms as sum(...)."

_TOKEN = re.compile(
    r"(?P<space>[ \t\f]+)|(?P<newline>\r\n|\r|\n)|(?P<comment>#[^\r\n]*)"
    r"|(?P<number>0[xXoObB][0-9a-fA-F_]+|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>\*\*=|//=|>>=|<<=|\.\.\.|\*\*|//|<=|>=|==|!=|:=|->|\+=|-=|\*=|/=|%=|@=|&=|\|=|\^=|<<|>>"
    r"|[-+*/%@()\[\],:;=<>.&|^~{}])"
)
_SUBSCRIPTS = re.compile(r"(?P<text>'[A-Za-z,.> -]{0,300}'|\"[A-Za-z,.> -]{0,300}\")")   # of einsum, nothing else
_BETTER = {
    "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "−": "-", "–": "-", "—": "-",
    "≤": "<=", "≥": ">=", "≠": "!=",
    "²": "**2", "³": "**3", "π": "pi", "∞": "inf", "√": "sqrt(...)", "∑": "sum(... for i in range(n))",
    "Σ": "sum(... for i in range(n))", "∏": "prod(... for i in range(n))", "∧": "and", "∨": "or", "¬": "not",
    "!": "gamma(x + 1) for a factorial, or not", "\u00a0": "an ordinary space", "\u3000": "an ordinary space",
}
_ASSIGNING = {"+=", "-=", "*=", "/=", "//=", "%=", "**=", "@=", "&=", "|=", "^=", ">>=", "<<="}
_CLOSING = {")": "(", "]": "["}
_BINARY = set("+-*/%@<>&|^") | {"**", "//", "<=", ">=", "==", "!=", "<<", ">>"}


class Token(NamedTuple):
    """A piece of the text: kind ("number", "name", "operator"), characters, and where it starts."""

    kind: str
    text: str
    start: int

    @property
    def stop(self) -> int:
        """The offset behind the last character."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Statement:
    """One statement: the name that it assigns ("" for a bare expression), the tree, and its place."""

    target: str
    tree: ast.expr
    span: Span
    lines: tuple[int, ...]

    def place(self, node: ast.AST) -> Span:
        """Where a node of the tree stands in the formula's text."""
        first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", 1)
        start = self.lines[first - 1] + getattr(node, "col_offset", 0)
        return Span(start, self.lines[last - 1] + getattr(node, "end_col_offset", 0))


def pointed(source: str, span: Span | None, message: str, advice: str = "") -> str:
    """An error's text: what is wrong, the line of the formula, a caret under the place, what to do.

    >>> print(pointed("x + sine(y)", Span(4, 8), "there is no function sine", "Write sin instead."))
    there is no function sine (column 5)
        x + sine(y)
            ^^^^
    Write sin instead.
    """
    if span is None or not source:
        return f"{message}\n{advice}" if advice else message
    start, stop = min(span.start, len(source)), min(max(span.stop, span.start + 1), len(source) + 1)
    first = max(source.rfind("\n", 0, start), source.rfind("\r", 0, start)) + 1
    ends = [at for at in (source.find("\n", start), source.find("\r", start)) if at >= 0]
    last = min(ends, default=len(source))
    number = source.count("\n", 0, start) + 1
    place = f"line {number}, column {start - first + 1}" if "\n" in source.strip() else f"column {start + 1}"
    low = max(first, start - SHOWN // 2) if last - first > SHOWN else first
    high = min(last, low + SHOWN)
    before, after = "..." * (low > first), "..." * (high < last)
    line = before + _printable(source[low:high]) + after
    width = max(1, min(stop, high) - start)
    lines = [f"{message} ({place})", f"    {line}", "    " + " " * (len(before) + start - low) + "^" * width]
    return "\n".join(lines + [advice] * bool(advice))


def refuse(source: str, span: Span | None, message: str, advice: str = "",
           error: type[GradcError] = FormulaError) -> GradcError:
    """The error to raise: `raise refuse(...)`."""
    return error(pointed(source, span, message, advice))


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names that look like `name`, best first."""
    return difflib.get_close_matches(name[:MAX_NAME], sorted(known), n=3, cutoff=0.6)


def shown(text: str, length: int = 40) -> str:
    """A user's text, short and printable, for a message."""
    text = _printable(text)
    return text if len(text) <= length else text[:length - 3] + "..."


def check_name(name: object) -> str:
    """What is wrong with a name for an argument or a value, as the rest of a sentence; "" if nothing."""
    if not isinstance(name, str):
        return f"is of type {type(name).__name__}, not a text"
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if not name.isascii() or not name.isidentifier():
        return "is not a name: letters a-z, digits and _ only, and no digit first"
    if keyword.iskeyword(name):
        return "is a word of Python's grammar"
    if name.startswith("__"):
        return "starts with two underscores"
    if name in RESERVED:
        return f"is reserved for the {RESERVED[name]} array of a call"
    return ""


def another_name(name: object) -> str:
    """What to do about a name that `check_name` refuses."""
    return f"Write {name}_ or another name." if name in RESERVED else "Choose another name."


def statements(source: str) -> list[Statement]:
    """The statements of a formula, each parsed.

    Raises SizeError beyond the limits, and FormulaError, with a caret, for what is not Python's
    expression syntax.
    """
    if not isinstance(source, str):
        raise FormulaError(f"a formula is a text, not of type {type(source).__name__}\n"
                           'Write it in quotation marks: "(x + y) * z".')
    if len(source) > MAX_LENGTH:
        raise SizeError(f"the formula has {len(source):,} characters; the limit is {MAX_LENGTH:,}\n"
                        "Write repeated terms as sum(... for i in range(n)) over an array.")
    found: list[Statement] = []
    clean = _clean(source)
    for tokens in _split(source):
        if found:
            _check_start(source, tokens, found[-1])
        found.append(_statement(source, clean, tokens))
    if not found:
        raise FormulaError('the formula is empty\nWrite an expression, such as "(x + y) * z".')
    for statement in found[:-1]:
        if not statement.target:
            raise refuse(source, statement.span, "the value of this line is not used",
                         "Only the last line may stand without a name: write name = ... here, or put "
                         "brackets around an expression that goes on in the next line.")
    return found


# -- tokens -------------------------------------------------------------------------------------


def _clean(source: str) -> str:
    """The text for Python's parser: comments and carriage returns become spaces, offsets stay."""
    if "#" in source:
        source = re.sub(r"#[^\r\n]*", lambda match: " " * len(match[0]), source)
    return source.replace("\r", " ")


def _split(source: str) -> Iterable[list[Token]]:
    """The tokens of each statement; checks the alphabet, numbers, names and brackets on the way."""
    open_: list[Token] = []
    current: list[Token] = []
    operators, commas = [0], [0]              # counted for every open bracket
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None and [token.text for token in current[-2:]] == ["einsum", "("]:
            match = _SUBSCRIPTS.match(source, at)
            if match is None and source[at] in "\"'":
                raise refuse(source, Span(at, at + 1), "the subscripts of einsum are letters, commas, -> and ...",
                             "Write einsum('ij,j->i', A, x).")
        if match is None:
            raise _bad_character(source, at)
        kind, text = match.lastgroup or "", match[0]
        token = Token(kind, text, at)
        at = match.end()
        if kind in ("space", "comment"):
            continue
        if kind == "newline" or text == ";":
            if text == ";" and open_:
                raise refuse(source, _span(open_[-1]), f"the bracket {open_[-1].text} is not closed before ;")
            if not open_ and current:
                yield current
                current, operators, commas = [], [0], [0]
            continue
        if kind == "text":
            current.append(token)
            continue
        if kind in ("number", "name"):
            if kind == "number":
                _check_number(source, token)
            else:
                _check_word(source, token)
            _check_neighbours(source, current, token)
        else:
            _check_operator(source, token, open_, operators, commas)
        current.append(token)
    if open_:
        raise refuse(source, _span(open_[-1]), f"the bracket {open_[-1].text} is never closed",
                     "Write the closing bracket.")
    if current:
        yield current


def _span(token: Token) -> Span:
    return Span(token.start, token.stop)


def _check_operator(source: str, token: Token, open_: list[Token], operators: list[int],
                    commas: list[int]) -> None:
    text = token.text
    if text in ("(", "["):
        open_.append(token)
        operators.append(0)
        commas.append(0)
        if len(open_) > MAX_NESTING:
            raise refuse(source, _span(token), f"the brackets are nested more than {MAX_NESTING} deep",
                         "Name the inner parts in statements of their own: a = ...; b = f(a); ...", SizeError)
    elif text in _CLOSING:
        if not open_ or open_[-1].text != _CLOSING[text]:
            advice = f"It would close {open_[-1].text}." if open_ else "Leave it out, or open it before."
            raise refuse(source, _span(token), f"the bracket {text} closes nothing", advice)
        open_.pop()
        operators.pop()
        commas.pop()
    elif text in ("{", "}"):
        raise refuse(source, _span(token), "sets and dictionaries have no meaning in a formula",
                     "Write round brackets ( ) for grouping.")
    elif text == "..." and (not open_ or open_[-1].text != "["):
        raise refuse(source, _span(token), "... has no meaning outside an index",
                     "Write x[..., i] for the last dimension of x.")
    elif text == ":=":
        raise refuse(source, _span(token), "a value is not named inside an expression",
                     "Write a statement of its own before: name = ...; then use the name.")
    elif text == "->":
        raise refuse(source, _span(token), "-> has no meaning in a formula",
                     "Write the expression alone; name = expression names a value.")
    elif text in _ASSIGNING:
        raise refuse(source, _span(token), f"{text} has no meaning in a formula, where a value never changes",
                     f"Write name = name {text[:-1]} ... instead.")
    elif text in _BINARY:
        operators[-1] += 1
        if operators[-1] > MAX_OPERATORS:
            raise refuse(source, _span(token), f"one expression with more than {MAX_OPERATORS:,} operators",
                         SPLIT_ADVICE, SizeError)
    elif text == ",":
        operators[-1] = 0
        commas[-1] += 1
        if commas[-1] > MAX_OPERANDS:
            raise refuse(source, _span(token), f"one call with more than {MAX_OPERANDS:,} operands",
                         "Pass an array: max(x).", SizeError)


def _check_neighbours(source: str, before: Sequence[Token], token: Token) -> None:
    """Refuse two operands without an operator between them; the parser needs long to see it."""
    if not before or keyword.iskeyword(token.text):
        return
    last = before[-1]
    if last.kind == "operator" and last.text not in (")", "]"):
        return
    if keyword.iskeyword(last.text) and last.text not in ("True", "False", "None"):
        return
    advice = f"Write {last.text}({token.text}) for a function, {last.text} * {token.text} for a product." \
        if last.kind == "name" and len(last.text) + len(token.text) < 40 else "Write an operator, such as *."
    raise refuse(source, _span(token), "an operator or a comma is missing before this", advice)


def _check_word(source: str, token: Token) -> None:
    name = token.text
    if len(name) > MAX_NAME:
        raise refuse(source, Span(token.start, token.start + 20),
                     f"a name of {len(name)} characters; the limit is {MAX_NAME}", "Write a shorter name.")
    if name.startswith("__"):
        raise refuse(source, _span(token), f"the name {shown(name)} starts with two underscores",
                     "Write a name that starts with a letter.")


def _check_number(source: str, token: Token) -> None:
    text = token.text
    after = source[token.stop:token.stop + 1]
    if after in ("j", "J") and not source[token.stop + 1:token.stop + 2].isidentifier():
        raise refuse(source, Span(token.start, token.stop + 1), "complex numbers have no meaning here",
                     "Write the real and the imaginary part as two formulas.")
    if after == ".":
        raise refuse(source, Span(token.start, token.stop + 1), "a number with two points",
                     "Write one point.")
    if after.isidentifier() or after.isdigit():
        rest = re.match(r"\w+", source[token.stop:token.stop + MAX_NAME])
        word = rest[0] if rest else after
        advice = f"Write a space between {shown(text)} and {word}." if keyword.iskeyword(word) else \
            f"Write {shown(text)} * {shown(word)} for the product, or begin the name with a letter."
        raise refuse(source, Span(token.start, token.stop + len(word)),
                     "a number and a name stand side by side", advice)
    if len(text) > MAX_DIGITS:
        raise refuse(source, Span(token.start, token.start + 20), f"a number of {len(text)} characters",
                     "Write it as a float with at most 17 digits: 1.2345e67.", SizeError)
    if text.lower().startswith(("0x", "0o", "0b")):
        return
    digits = text.replace("_", "")
    value = float(digits)
    if math.isinf(value):
        raise refuse(source, _span(token), f"{shown(text)} is too large for a float, which ends at 1.8e308",
                     "Write inf if infinity is meant.")
    if value == 0 and re.search(r"[1-9]", re.split("[eE]", digits)[0]):
        raise refuse(source, _span(token), f"{shown(text)} is too small for a float, which ends at 4.9e-324",
                     "Write 0 if nought is meant.")


def _bad_character(source: str, at: int) -> GradcError:
    char = source[at]
    span = Span(at, at + 1)
    if char in "\"'`":
        before = re.search(r"[A-Za-z]{0,2}$", source[:at])
        span = Span(at - len(before[0]) if before else at, at + 1)
        return refuse(source, span, "a text in quotation marks has no meaning in a formula",
                      "Write numbers, names and operators only.")
    if char == "\\":
        return refuse(source, span, "a backslash has no meaning in a formula",
                      "Put brackets around an expression that goes on in the next line.")
    if char in _BETTER:
        return refuse(source, span, f"the character {_named(char)} has no meaning in a formula",
                      f"Write {_BETTER[char]} instead.")
    word = re.compile(r"\w+").match(source, at, min(len(source), at + MAX_NAME))
    if word is not None:
        plain = unicodedata.normalize("NFKC", word[0])
        advice = f"Write {plain} instead." if plain.isascii() and plain.isidentifier() else \
            "Write a name in the letters a-z, such as alpha."
        return refuse(source, Span(at, word.end()), f"the letter {_named(char)} is not one of a-z", advice)
    return refuse(source, span, f"the character {_named(char)} has no meaning in a formula", "Leave it out.")


def _named(char: str) -> str:
    code = f"U+{ord(char):04X}"
    return f"{char} ({code})" if char.isprintable() and not char.isspace() else code


def _printable(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def _check_start(source: str, tokens: Sequence[Token], before: Statement) -> None:
    """Refuse a line that looks like the continuation of the line before, but would stand alone."""
    first = tokens[0]
    if first.text not in ("+", "-", "*", "/", "**", "//", "%", "and", "or", "if", "else"):
        return
    if ";" in source[before.span.stop:first.start].split("#", maxsplit=1)[0]:
        return
    raise refuse(source, _span(first), f"this line begins with {first.text}, and the line before is complete",
                 "Put brackets around an expression that goes on in the next line, or around this one "
                 "if it stands alone.")


# -- trees --------------------------------------------------------------------------------------

_KEYWORD_ADVICE = {
    "lambda": "Write the expression itself; formulas define no functions.",
    "import": "Functions of the table are there without an import; write the formula only.",
    "from": "Functions of the table are there without an import; write the formula only.",
    "def": "Write the body as statements: a = ...; result = ...",
    "return": "Leave the word out: the last line is the result.",
    "for": "Write sum(... for i in range(n)) or another reduction.",
    "while": "Write sum(... for i in range(n)) or another reduction.",
    "if": "Write value if condition else other.",
    "yield": "Write the expression itself.", "await": "Write the expression itself.",
    "async": "Write an ordinary generator: sum(... for i in range(n)).",
}


_STATEMENT_WORDS = ("class", "del", "with", "try", "global", "nonlocal", "raise", "assert", "pass", "break",
                    "continue")
_HANGING = ("and", "or", "not", "if", "else")


def _statement(source: str, clean: str, tokens: Sequence[Token]) -> Statement:
    target, body = "", tokens
    depth = 0
    for position, token in enumerate(tokens):
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if token.text == "=" and not depth:
            if target or position != 1 or tokens[0].kind != "name":
                raise _bad_assignment(source, tokens, position)
            target, body = tokens[0].text, tokens[2:]
            wrong = check_name(target)
            if wrong:
                raise refuse(source, _span(tokens[0]), f"the name {target} {wrong}", another_name(target))
            if not body:
                raise refuse(source, _span(token), f"nothing stands behind {target} =",
                             "Write an expression.")
    first = body[0]
    if first.text in _KEYWORD_ADVICE or first.text in _STATEMENT_WORDS:
        advice = _KEYWORD_ADVICE.get(first.text, "A formula consists of expressions and name = expression.")
        raise refuse(source, _span(first), f"{first.text} has no meaning here", advice)
    start, stop = first.start, body[-1].stop
    text = clean[start:stop]
    lines = [start]
    at = text.find("\n")
    while at >= 0:
        lines.append(start + at + 1)
        at = text.find("\n", at + 1)
    last = body[-1]
    if last.text == "|" and first.text == "|":
        raise refuse(source, _span(first), "bars have no meaning in a formula", "Write abs(x) for an absolute value.")
    if last.text in _HANGING or (last.kind == "operator" and last.text not in (")", "]", ",")):
        raise refuse(source, _span(last), f"nothing stands behind {last.text}",
                     "Write an operand, or put brackets around an expression that goes on in the next line.")
    return Statement(target, _parsed(source, text, lines), Span(start, stop), tuple(lines))


def _bad_assignment(source: str, tokens: Sequence[Token], position: int) -> GradcError:
    left = tokens[:position]
    if not left:
        return refuse(source, _span(tokens[position]), "= needs a name before it", "Write name = expression.")
    span = Span(left[0].start, left[-1].stop)
    texts = [token.text for token in left]
    if "=" in texts:
        return refuse(source, span, "a statement names one value", "Write two: a = ...; b = a.")
    if len(left) > 3 and left[0].kind == "name" and texts[1] == "(" and texts[-1] == ")":
        return refuse(source, span, "functions are not defined in a formula",
                      f"Write the expression alone, without {shown(source[span.start:span.stop])} =.")
    if ":" in texts and left[0].kind == "name":
        return refuse(source, span, "types are not declared inside a formula",
                      f'Write {left[0].text} = ..., and declare arguments in args={{"x": "n"}}.')
    if "," in texts:
        return refuse(source, span, "one statement names one value",
                      "Write a statement for each: a = ...; b = ...")
    if "[" in texts:
        return refuse(source, span, "the elements of an array are not assigned in a formula",
                      "Write the whole array as an expression: y = where(condition, new, x).")
    return refuse(source, span, "only a name can stand before =",
                  "Write name = expression, or == to compare.")


def _parsed(source: str, text: str, lines: Sequence[int]) -> ast.expr:
    whole = Span(lines[0], lines[0] + len(text))
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        line, column = (error.lineno or 1) - 1, max((error.offset or 1) - 1, 0)
        start = min(lines[min(line, len(lines) - 1)] + column, whole.stop)
        stop = start + 1
        if error.end_lineno == error.lineno and error.end_offset is not None:
            stop = min(max(stop, start + error.end_offset - 1 - column), whole.stop)
        message, advice = _explained(error.msg, source[start:stop])
        raise refuse(source, Span(start, stop), message, advice) from None
    except (RecursionError, MemoryError):
        # The parser gives up on about 3,000 terms or 1,000 nested signs, whatever the memory.
        raise refuse(source, Span(whole.start, whole.start + 1),
                     "one expression is too long or too deep for Python's parser", SPLIT_ADVICE,
                     SizeError) from None


def _explained(message: str, at: str) -> tuple[str, str]:
    """What Python's parser found, in the words of a formula, and what to do."""
    if at.startswith("=") or "Maybe you meant '=='" in message:
        return "= stands inside an expression", "Write == to compare, or a statement name = ... of its own."
    if at in _KEYWORD_ADVICE and at != "if":
        return f"{at} has no meaning here", _KEYWORD_ADVICE[at]
    if "expected 'else'" in message:
        return "this if has no else", "Write value if condition else other."
    if "Generator expression must be parenthesized" in message:
        return "a generator stands beside other operands", "Write it alone: sum(... for i in range(n))."
    if "leading zeros" in message:
        return "a number begins with 0", "Leave the zero out."
    return "this is not an expression", "Write operators between operands: a + b, f(x), x[i]."
