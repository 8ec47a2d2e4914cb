"""The command line: what it prints, what it reads, and one clear message for each kind of bad input."""

import io
import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest

import gradc
from gradc.compiler import cli

CIRCUIT = "(x + y) * z"
GRADC = (sys.executable, "-m", "gradc")


def output(capsys, *argv):
    """What a command that succeeds prints."""
    status = cli.main(list(argv))
    found = capsys.readouterr()
    assert (status, found.err) == (0, "")
    return found.out


def refusal(capsys, *argv):
    """The message of a command that is refused."""
    status = cli.main(list(argv))
    found = capsys.readouterr()
    assert status == 2
    assert found.err.startswith("gradc: error: ")
    assert "Traceback" not in found.err
    return found.err


def test_value_and_gradient_of_the_textbook_circuit(capsys):
    assert output(capsys, CIRCUIT, "--at", "x=-2,y=5,z=-4") == (
        "value       -12\ngradient x  -4\ngradient y  -4\ngradient z  3\n")


def test_numbers_keep_all_their_digits(capsys):
    assert output(capsys, "x / 3", "--at", "x=1").splitlines() == [
        "value       0.3333333333333333", "gradient x  0.3333333333333333"]


def test_without_values_the_sources_are_printed(capsys):
    f = gradc.compile(CIRCUIT, jit=False)
    assert output(capsys, CIRCUIT) == f"{f.source}\n\n{f.grad.source}"


@pytest.mark.parametrize(("which", "has", "lacks"), [
    ("forward", "def value(", "def grad("), ("grad", "def grad(", "def value("), ("both", "def grad(", "\0")])
def test_the_source_asked_for_is_printed(capsys, which, has, lacks):
    text = output(capsys, CIRCUIT, "--source", which)
    assert has in text
    assert lacks not in text


def test_values_and_sources_together(capsys):
    text = output(capsys, "x**2", "--at", "x=3", "--source", "grad")
    assert text.startswith("value       9\ngradient x  6\n")
    assert "def grad(x):" in text


def test_the_report_has_numbers_where_values_are_given(capsys):
    command = ["sum((A @ x - b)**2)", "--args", "A: m n; x: n; b: m", "--wrt", "x", "--report"]
    page = output(capsys, *command)
    assert "  operations  2*m*n + 3*m\n" in page and "for j in range(n)" in page and "Numba" in page
    page = output(capsys, *command, "--at", "A=[[1, 2]],x=[1, 2],b=[1]")
    assert page.startswith("value       16\ngradient x  [8, 16]\n\nsum(")
    assert "sizes: m = 1, n = 2" in page and "2*m*n + 3*m = 7" in page


def test_explain_in_symbols_and_in_numbers(capsys):
    assert "df/dx = df/dq · dq/dx = z" in output(capsys, CIRCUIT, "--explain")
    assert "f = q * z    -12" in output(capsys, CIRCUIT, "--explain", "--at", "x=-2,y=5,z=-4")


def test_wrt_chooses_the_arguments(capsys):
    text = output(capsys, CIRCUIT, "--wrt", "z", "--at", "x=-2,y=5,z=-4")
    assert text == "value       -12\ngradient z  3\n"


def test_a_formula_that_begins_with_a_minus_sign_is_no_option(capsys):
    assert output(capsys, "-x**2", "--at", "x=3") == "value       -9\ngradient x  -6\n"
    assert output(capsys, "--at", "x=3", "--", "-x**2") == "value       -9\ngradient x  -6\n"


def test_a_formula_from_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("q = x + y\nq * x\n"))
    assert output(capsys, "-", "--at", "x=2,y=3").startswith("value       10\n")


def test_arrays_in_the_command(capsys):
    assert output(capsys, "sum(x[i]**2 for i in range(n))", "--args", "x: n", "--at", "x=[1, 2, 3]") == (
        "value       14\ngradient x  [2, 4, 6]\n")
    matrix = output(capsys, "sum(A**2) * k", "--args", "A: n m; k: int", "--at", "A=[[1, 2], [3, 4]],k=2")
    assert matrix == "value       60\ngradient A  [[4, 8],\n             [12, 16]]\n"


def test_arrays_from_files(capsys, tmp_path):
    x = np.array([0.5, 1.0, 2.0])
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x.json").write_text(json.dumps(x.tolist()), encoding="utf-8")
    (tmp_path / "column.csv").write_text("heading\n0.5\n1\n2\n", encoding="utf-8")
    (tmp_path / "row.csv").write_text("0.5,1,2\n", encoding="utf-8")
    for name in ("x.npy", "x.json", "column.csv", "row.csv"):
        text = output(capsys, "sum(x**2)", "--args", "x: n", "--at", f"x=@{tmp_path / name}")
        assert text == "value       5.25\ngradient x  [1, 2, 4]\n"


def test_matrices_whole_numbers_and_numbers_from_csv(capsys, tmp_path):
    (tmp_path / "A.csv").write_text("a,b\n1,2\n3,4\n", encoding="utf-8-sig")
    (tmp_path / "m.csv").write_text("1\n0\n", encoding="utf-8")
    (tmp_path / "c.csv").write_text("2.5\n", encoding="utf-8")
    at = f"A=@{tmp_path / 'A.csv'},m=@{tmp_path / 'm.csv'},c=@{tmp_path / 'c.csv'}"
    formula = "c * sum(A[i, m[i]] for i in range(n))"
    text = output(capsys, formula, "--args", "A: n K; m: int n; c:", "--wrt", "c", "--at", at)
    assert text == "value       12.5\ngradient c  5\n"


def test_truth_values_and_several_options_of_values(capsys):
    text = output(capsys, "x if b else -x", "--args", "x:; b: bool", "--at", "x=3", "--at", "b=False")
    assert text == "value       -3\ngradient x  -1\n"


def test_files_are_written(capsys, tmp_path):
    script, picture = tmp_path / "f.py", tmp_path / "f.svg"
    text = output(capsys, CIRCUIT, "--save", str(script), "--svg", str(picture), "--at", "x=-2,y=5,z=-4")
    assert text.splitlines()[-2:] == [f"wrote {script}", f"wrote {picture}"]
    assert "def value_and_grad(" in script.read_text(encoding="utf-8")
    assert '<text class="value"' in picture.read_text(encoding="utf-8")
    assert output(capsys, CIRCUIT, "--svg", str(tmp_path / "f.dot")) == f"wrote {tmp_path / 'f.dot'}\n"


def test_division_by_zero_gives_infinity(capsys):
    assert output(capsys, "1 / erf(x)", "--at", "x=0").splitlines()[0] == "value       inf"


def test_large_arrays_are_compiled_and_printed_in_short(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "LARGE", 1_000)
    np.save(tmp_path / "x.npy", np.ones(1_500))
    text = output(capsys, "sum(x**2)", "--args", "x: n", "--at", f"x=@{tmp_path / 'x.npy'}")
    assert text == "value       1500\ngradient x  [2, 2, 2, ..., 2, 2, 2]\n"


def test_several_outputs_have_no_gradient_and_that_is_said(capsys):
    lines = output(capsys, "s = x + y; p = x * y; s, p", "--at", "x=2,y=3").splitlines()
    assert lines[:2] == ["value s  5", "value p  6"]
    assert lines[2].startswith("no gradient: the gradient needs one scalar output")
    assert "# no gradient: " in output(capsys, "x + y, x * y")


def test_help_and_version(capsys):
    assert cli.main(["--help"]) == 0
    assert 'gradc "(x + y) * z" --at x=-2,y=5,z=-4' in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"gradc {gradc.__version__}\n"


@pytest.mark.parametrize(("argv", "message"), [
    (["(x + y * z"], "the bracket ( is never closed"),
    (["foo(x)"], "there is no function foo"),
    ([CIRCUIT, "--at", "x=-2,y=5"], "the argument z is missing"),
    ([CIRCUIT, "--at", "x=-2,y=5,z=1,w=2"], "there is no argument w"),
    (["x", "--at", "x=one"], "--at: x=one is no number\nWrite a number"),
    (["x", "--at", "x"], "--at: 'x' gives no argument a value"),
    (["x", "--at", "x="], "--at: 'x=' gives no argument a value"),
    (["x", "--at", ""], "--at: '' gives no argument a value"),
    (["x", "--at", "x=1,x=2"], "--at gives x twice"),
    (["x", "--at", "x=1e999"], "--at: x holds a value that is not finite\nGive numbers"),
    (["sum(x)", "--args", "x: n", "--at", "x=[1, NaN]"], "--at: x holds a value that is not finite"),
    (["k * x", "--args", "k: int; x:", "--at", "k=2.5,x=1"], "--at: k=2.5 is no whole number\nWrite for example --at k=2"),
    (["x if b else 0", "--args", "b: bool; x:", "--at", "b=1,x=1"], "--at: b=1 is no truth value\nWrite for example"),
    (["x", "--save", ""], "--save names no file\nWrite for example --save FILE"),
    (["3", "--at", "x=1"], "there is no argument x: the function takes none"),
    (["x", "--at", "x=[1, 2"], "is no list of numbers"),
    (["x", "--at", "x=[1, 2]"], "must be a scalar, but it has shape (2,)"),
    (["sum(x)", "--args", "x: n", "--at", "x=[[1], [1, 2]]"], "the argument x is no array"),
    (["x", "--at", "x=@missing.npy"], "missing.npy: No such file or directory"),
    (["x", "--at", "x=@data.txt"], "is of no kind that is read\nGive a .npy, .csv or .json file"),
    (["x", "--args", "x: n; x: m"], "args declares x twice"),
    (["x", "--args", "x: n, y: n"], "Separate them by a semicolon"),
    (["x", "--args", "x: n; y"], "args: 'y' is no declaration"),
    (["x", "--args", "x: quaternion n+"], "is not a dimension"),
    (["x", "--wrt", "y"], "wrt names y, which is no argument"),
    (["x", "--source", "adjoint"], "invalid choice: 'adjoint'"),
    (["x", "--sauce"], "unrecognized arguments: --sauce"),
    (["x", "y"], "unrecognized arguments: y"),
    ([], "the following arguments are required: FORMULA"),
    (["x", "--at"], "--at: expected one argument"),
    (["x, y", "--source", "grad"], "the gradient needs one scalar output"),
    (["x", "--save", "missing/x.py"], "missing/x.py: No such file or directory"),
    (["x", "--svg", "x.png"], "cannot be saved as .png"),
])
def test_bad_input_is_refused_with_one_message(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(capsys, *argv)
    assert not list(tmp_path.iterdir())


def test_a_bad_formula_is_shown_with_a_caret(capsys):
    assert refusal(capsys, "x + foo(y)").splitlines()[1:3] == ["    x + foo(y)", "        ^^^"]


@pytest.mark.parametrize(("name", "content", "reason"), [
    ("x.npy", b"not an array", "cannot be read as .npy"),
    ("x.npy", b"", "cannot be read as .npy"),
    ("x.csv", b"", "it holds no numbers"),
    ("x.csv", b"1,2\n3\n", "cannot be read as .csv"),
    ("x.csv", b"a\nb\n", "cannot be read as .csv"),
    ("x.csv", b"1,foo\n2,3\n", "cannot be read as .csv"),
    ("x.csv", b"1,,3\n4,5,6\n", "cannot be read as .csv"),
    ("x.csv", b"1.0.0,2\n3,4\n", "cannot be read as .csv"),
    ("x.csv", b"O1,2\n3,4\n", "cannot be read as .csv"),
    ("x.csv", b"\xff\xfe", "cannot be read as .csv"),
    ("x.json", b"{1: 2}", "cannot be read as .json"),
    ("x.json", b"[" * 100_000, "cannot be read as .json"),
    ("x.json", b'{"a": 1}', "the argument x has dtype object"),
])
def test_files_that_hold_no_numbers_are_refused(capsys, tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert reason in refusal(capsys, "sum(x)", "--args", "x: n", "--at", f"x=@{tmp_path / name}")


def test_pickles_and_archives_in_npy_files_are_refused(capsys, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.array([{}, print], dtype=object), allow_pickle=True)
    assert "allow_pickle=False" in refusal(capsys, "sum(x)", "--args", "x: n", "--at", f"x=@{path}")
    np.savez(tmp_path / "archive.npz", x=np.ones(2))
    (tmp_path / "archive.npz").rename(path)
    assert "it is an archive" in refusal(capsys, "sum(x)", "--args", "x: n", "--at", f"x=@{path}")


def test_a_terminal_gets_tables_and_a_pipe_plain_text():
    command = [*GRADC, CIRCUIT, "--at", "x=-2,y=5,z=-4", "--explain", "--source", "grad"]
    plain = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert plain.startswith("value       -12\n")
    assert "\x1b[" not in plain
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait() == 0
    assert "\x1b[32m-12" in shown.decode()
    assert "local partials" in shown.decode()
    assert "┃" in shown.decode() or "│" in shown.decode()


def test_a_reader_that_stops_early_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*GRADC, CIRCUIT], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_an_output_that_cannot_show_a_sign_escapes_it():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*GRADC, CIRCUIT, "--explain"], capture_output=True, env=environment, check=True)
    assert rb"df/dx = df/dq \xb7 dq/dx = z" in done.stdout


def test_an_interrupt_is_no_traceback(capsys, monkeypatch):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert cli.main(["x"]) == 130
    assert capsys.readouterr() == ("", "")
