"""The chart of a run: for every case how many times gradc's time each tool takes, on a logarithmic axis, as a PNG."""

from pathlib import Path

from .results import Results

MARKS = {
    "by hand (Numba)": ("D", "#444444"),
    "by hand (C)": ("s", "#8c6d31"),
    "SymPy lambdify": ("v", "#3b7a3b"),
    "JAX": ("o", "#d95f02"),
    "PyTorch": ("^", "#c0392b"),
    "CasADi": ("P", "#7570b3"),
    "autograd": ("X", "#999999"),
}


def draw(results: Results, path: Path) -> None:
    """Writes the chart; it needs matplotlib, which comes with `pip install '.[bench]'`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    sections = [section for section in reversed(results.sections) if section.row("gradc") is not None]
    figure, axes = plt.subplots(figsize=(9, 1.4 + 0.21 * len(sections)), layout="constrained")
    for tool, (mark, colour) in MARKS.items():
        found = [(section.ratio(tool), at) for at, section in enumerate(sections)]
        points = [(ratio, at) for ratio, at in found if ratio is not None]
        if points:
            across, up = zip(*points, strict=True)
            axes.scatter(across, up, s=26, marker=mark, color=colour, label=tool, alpha=0.85, linewidths=0, zorder=3)
    axes.axvline(1.0, color="black", linewidth=1.2, label="gradc")
    axes.set_xscale("log")
    axes.set_yticks(range(len(sections)), [section.name for section in sections], fontsize=7.5)
    axes.set_ylim(-0.7, len(sections) - 0.3)
    axes.grid(axis="x", which="major", color="#dddddd")
    axes.grid(axis="y", color="#f0f0f0")
    axes.set_axisbelow(True)
    axes.set_xlabel("time of value with derivative, divided by gradc's (right of the line: gradc is faster)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4, frameon=False, fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
