"""A figure of bench_no_tuning.py: defaults next to a grid of tuned SGD.

    python examples/plot_no_tuning.py [--quick] [--save FILE]

Needs matplotlib. Scores below -0.25 are drawn at the left edge, as arrows.
"""

import argparse

from bench_no_tuning import compare
from figures import plt

EDGE = -0.25
SERIES = {  # label: (key, marker, colour); told apart by shape and grey level, too
    "SGD, defaults": ("sgd default", "s", "0.65"),
    "SGD, best of 39 settings": ("sgd best of 39", "D", "tab:orange"),
    "skgd, defaults": ("ours", "o", "tab:blue"),
}


def draw(ax, results, title):
    for shift, (label, (key, marker, colour)) in zip(
        (-0.22, 0.0, 0.22), SERIES.items(), strict=True
    ):
        ax.plot(
            [],
            [],
            marker,
            color=colour,
            markeredgecolor="black",
            markersize=7,
            label=label,
        )
        for row, result in enumerate(results):
            score = result[key]
            ax.plot(
                max(score, EDGE),
                row + shift,
                "<" if score < EDGE else marker,
                color=colour,
                markeredgecolor="black",
                markersize=7,
                linestyle="none",
            )
    ax.set_yticks(range(len(results)), [f"{r['data']}, {r['loss']}" for r in results])
    ax.set_ylim(len(results) - 0.5, -0.5)
    ax.set_xlim(EDGE - 0.05, 1.05)
    ax.set_xlabel("test score (R² or accuracy)")
    ax.set_title(title)
    ax.grid(axis="x", alpha=0.4)
    for row in range(len(results) - 1):
        ax.axhline(row + 0.5, color="0.9", linewidth=0.8, zorder=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three sets only")
    parser.add_argument("--save", metavar="FILE", help="save instead of showing")
    arguments = parser.parse_args()
    results = compare(arguments.quick)
    rows = {
        title: [r for r in results if r["features"] == title]
        for title in ("raw", "standardised")
    }
    height = 1.6 + 0.3 * len(rows["raw"])
    figure, axes = plt.subplots(1, 2, figsize=(11, height), sharey=True)
    for ax, (title, part) in zip(axes, rows.items(), strict=True):
        draw(ax, part, f"{title} features")
    handles, labels = axes[1].get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    figure.legend(
        by_label.values(), by_label.keys(), loc="lower center", ncols=3, frameon=False
    )
    figure.tight_layout(rect=(0, 0.4 / height, 1, 1))
    if arguments.save:
        figure.savefig(arguments.save, dpi=110)
    else:
        plt.show()


if __name__ == "__main__":
    main()
