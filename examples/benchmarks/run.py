"""Times, memory and scores of linear models trained by gradient descent.

    python examples/benchmarks/run.py                      # one or two hours
    python examples/benchmarks/run.py --quick              # small data, under a minute
    python examples/benchmarks/run.py --only epoch,memory --save figure.png
    python examples/benchmarks/run.py --write examples/benchmarks/README.md

Libraries that are not installed are skipped: pip install ".[bench]" brings those of
PyPI but PyTorch. The reports:

- epoch: milliseconds of a shuffled epoch, by library and batch size, at a fixed step,
  next to a loop in C that only reads the rows;
- few: time and test accuracy of 5 epochs of softmax on images, 200 rows per update
  where a library can, at its default steps;
- optimum: passes and time of a fit from scratch to within 1 % and 0.1 % of the optimum
  of mean loss + alpha / 2 |w|^2, alpha = 1e-4, in units of how far the best constant
  model is from it. skgd has its defaults, peers the best of a grid of settings, whose
  time for the others does not count. Features are standardised, which the peers need;
- defaults: test score with nothing set, features as they are and standardised;
- memory: peak of a process per fit, beyond that with the data loaded;
- scaling: how an epoch grows with rows, features, nonzeros and classes.

All libraries are timed in one run on the same data, in turns; printed are medians and,
in brackets, how many times as long as skgd they take. "~" marks epochs of libraries
whose updates are Python: timed on some of the rows, scaled up. Libraries use as many
threads as they like, with --quick one, or at most those of --threads. Where other
processes compete for the cores, --threads 1 is faster and fairer to all.
"""

import argparse
import contextlib
import os
import platform
import re
import sys
import warnings
from importlib import metadata
from pathlib import Path

import adapters
import data as datasets
import measures
import numpy as np
import reading
from adapters._method import ALL
from threadpoolctl import threadpool_limits

REPORTS = ("epoch", "few", "optimum", "defaults", "memory", "scaling")
BATCH_SIZES = (1, 32, 200, 1024, ALL)
MEMORY_SETS = ("dense", "Fashion-MNIST", "images", "text")
QUICK_OPTIMUM_SETS = ("late flights", "dense", "Fashion-MNIST", "images")
LIBRARIES = (
    "scikit-learn", "numpy", "mlxtend", "cyanure", "vowpalwabbit", "torch"
)  # fmt: skip
OURS = "skgd"  # ratios are to this row
OUR_AUTO = "skgd auto"
OUR_DEFAULT = "skgd minibatch"


PAGE = []  # what is printed, as Markdown
TABLES = "## Tables"  # what a page has above this heading, `write` keeps


def print_title(text):
    print(text)
    PAGE.append(f"\n### {text}\n")


def print_table(head, rows):
    """Rows of text, the first column to the left, others to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    PAGE.extend("| " + " | ".join(line) + " |" for line in lines)
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells))


def print_notes(notes):
    for note in notes:
        print(f"  - {note}")
    print(flush=True)
    PAGE.extend(["", *(f"- {note}" for note in notes)])


def machine():
    """The processor, and versions of the libraries that take part."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text()
        processor = re.search(r"model name\s*: (.*)|$", text).group(1) or processor
    versions = []
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    return f"{os.cpu_count()} cores of {processor}; {', '.join(versions)}"


def write(path, options):
    """Write the tables that were printed, as Markdown, below the head of the page."""
    path = Path(path)
    written = ("--write", str(path), f"--write={path}")
    arguments = [a for a in sys.argv[1:] if a not in written]
    command = " ".join(["python examples/benchmarks/run.py", *arguments])
    page = path.read_text() if path.exists() else ""
    kept = page[: page.find(TABLES)] if TABLES in page else "# Benchmarks\n\n"
    turns = "1 turn" if options.turns == 1 else f"{options.turns} turns"
    head = [
        f"{kept}{TABLES}",
        "",
        f"Written by `{command}`, {turns}, on {machine()}.",
        "",
        "What the tables are is at the head of the script. In brackets: how many times "
        'as long as skgd. "~": timed on some of the rows.',
    ]
    path.write_text("\n".join([*head, *PAGE]).rstrip() + "\n")
    print(f"wrote {path}")


def milliseconds(seconds, ours=None, partial=False):
    """A time and how many times as long as ours it is."""
    if seconds <= 0.0:
        return "noise"  # of a difference of two fits that other processes disturbed
    value = 1e3 * seconds
    text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    if ours and ours > 0.0:  # an epoch of few rows may be less than the clock's jitter
        ratio = seconds / ours
        text += f" ({ratio:.0f}x)" if ratio >= 100 else f" ({ratio:.2g}x)"
    return "~" * partial + text


def names_of(methods, results):
    return [m.name for m in methods if any(key[0] == m.name for key in results)]


def report_epochs(methods, sets, options):
    """Prints a table per set; returns the times of all."""
    all_times = {}
    for data in sets:
        print_title(f"ms per epoch by rows per update: {data.name}, {data.shape}")
        times, notes = measures.epochs(
            methods, data, options.turns, options.quick, BATCH_SIZES
        )
        rows = []
        for name in names_of(methods, times):
            row = [name]
            for batch_size in BATCH_SIZES:
                if (name, batch_size) not in times:
                    row.append("-")
                    continue
                seconds, partial = times[name, batch_size]
                ours, _ = times.get((OURS, batch_size), (None, False))
                row.append(milliseconds(seconds, ours, partial))
            rows.append(row)
        print_table(["", *map(str, BATCH_SIZES)], rows)
        print_notes(notes)
        all_times[data.name] = times
    return all_times


def report_few_epochs(methods, sets, options):
    for data in sets:
        print_title(
            f"{measures.FEW_EPOCHS} epochs of softmax: {data.name}, {data.shape}"
        )
        results, notes = measures.few_epochs(methods, data, options.turns)
        rows = [
            [name, milliseconds(seconds, results[OUR_AUTO][0]), f"{accuracy:.4f}"]
            for name, (seconds, accuracy) in results.items()
        ]
        print_table(["", "ms", "test accuracy"], rows)
        print_notes(notes)


def setting_text(setting):
    return ", ".join(
        f"{key.replace('_', ' ')} {value}" for key, value in setting.items() if value
    )


def report_optimum(methods, sets, options):
    """Prints a table per set; returns the results of all."""
    all_results = {}
    for data in sets:
        print_title(f"To the optimum: {data.name}, {data.shape}, standardised if dense")
        results, notes = measures.optimum(methods, data, options.turns, options.limit)
        ours = results.get(OUR_DEFAULT, {})
        rows = []
        for name, found in results.items():
            row = [name]
            for target in measures.TARGETS:
                if target not in found:
                    row += ["-", "-"]
                    continue
                passes, seconds, _ = found[target]
                reference = ours[target][1] if target in ours else None
                row += [str(passes), milliseconds(seconds, reference)]
            nearest = found.get(measures.TARGETS[-1]) or found.get(measures.TARGETS[0])
            rows.append([*row, setting_text(nearest[2]) if nearest else ""])
        head = [""]
        for target in measures.TARGETS:
            head += ["passes", f"ms to {100 * target:g} %"]
        print_table([*head, "best setting"], rows)
        print_notes(notes)
        all_results[data.name] = results
    return all_results


def report_defaults(methods, sets, options):
    for data in sets:
        measure = "R^2" if data.task == "regression" else "accuracy"
        n = min(len(data.y), measures.DEFAULT_ROWS)
        print_title(f"Test {measure} at the defaults: {data.name}, {n:,} rows")
        scores, notes = measures.default_scores(methods, data, options.quick)
        rows = []
        for name, found in scores.items():
            row = [name]
            for version in ("raw", "standardised"):
                if version not in found:
                    row += ["-", "-"]
                    continue
                score, seconds = found[version]
                row += [f"{score:.3f}" if score > -10 else f"{score:.1e}"]
                row += [milliseconds(seconds)]
            rows.append(row)
        print_table(["", "raw", "ms", "standardised", "ms"], rows)
        print_notes(notes)


def report_memory(methods, sets):
    for data in sets:
        size = data.X.nbytes if isinstance(data.X, np.ndarray) else data.X.data.nbytes
        print_title(
            f"MB beyond the data, batches of 32 rows where possible: {data.name}, "
            f"{data.shape} ({size / 2**20:.0f} MB of values)"
        )
        megabytes, notes = measures.memory(methods, data)
        rows = [[name, f"{value:.1f}"] for name, value in megabytes.items()]
        print_table(["", "MB"], rows)
        print_notes(notes)


def report_scaling(methods, options):
    print_title("Growth of an epoch, ms; batches of 32 rows where possible")
    print("Last column: e if time is as size^e\n")
    PAGE.append("Last column: e if time is as size^e\n")
    for title, sizes, times, notes in measures.scaling(
        methods, options.turns, options.quick
    ):
        print(title)
        PAGE.append(f"\n{title}\n")
        rows = []
        for name, by_size in times.items():
            row = [name]
            for size in sizes:
                if size not in by_size:
                    row.append("-")
                    continue
                seconds, partial = by_size[size]
                ours, _ = times.get(OURS, {}).get(size, (None, False))
                row.append(milliseconds(seconds, ours, partial))
            slope = measures.exponent(by_size)
            rows.append([*row, "-" if np.isnan(slope) else f"{slope:.2f}"])
        print_table(["", *(f"{size:,}" for size in sizes), "e"], rows)
        print_notes(notes)


# Colours of one lightness would merge in grey, so lines differ by marker and dash, too.
STYLES = {
    "skgd": dict(color="black", marker="o", linestyle="-", linewidth=2.5),
    "skgd auto": dict(color="0.35", marker="o", linestyle="--", markerfacecolor="w"),
    "sklearn SGD": dict(color="tab:blue", marker="s", linestyle=""),
    "sklearn MLP": dict(color="tab:blue", marker="^", linestyle="-."),
    "sklearn saga": dict(color="tab:blue", marker="D", linestyle="", fillstyle="none"),
    "sklearn lbfgs": dict(color="tab:blue", marker="*", linestyle=""),
    "mlxtend": dict(color="tab:orange", marker="v", linestyle=":"),
    "Vowpal Wabbit": dict(color="tab:green", marker="P", linestyle=""),
    "PyTorch": dict(color="tab:red", marker="x", linestyle=(0, (5, 1))),
    "reading the rows": dict(color="0.5", linestyle=":", linewidth=1.0),
    "cyanure": dict(color="tab:purple", marker="h", linestyle="", fillstyle="none"),
}


def draw_epochs(ax, name, times):
    for method, style in STYLES.items():
        points = [
            (i, 1e3 * times[method, batch_size][0])
            for i, batch_size in enumerate(BATCH_SIZES)
            if (method, batch_size) in times
        ]
        if points:
            ax.plot(*zip(*points, strict=True), label=method, **style)
    ax.set_yscale("log")
    ax.set_xticks(range(len(BATCH_SIZES)), map(str, BATCH_SIZES))
    ax.set(xlabel="rows per update", ylabel="ms per epoch", title=f"An epoch: {name}")
    ax.grid(axis="y", color="0.9")
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))


def draw_optimum(ax, name, results):
    target = measures.TARGETS[0]
    times = [(1e3 * f[target][1], row) for row, f in results.items() if target in f]
    times.sort(reverse=True)
    for i, (time, row) in enumerate(times):
        fill = "full" if row.startswith("skgd") else "none"
        ax.plot(time, i, "o", color="black", markersize=8, fillstyle=fill)
        text = f"{time:.0f}" if time >= 100 else f"{time:.3g}"
        ax.annotate(text, (time, i), (8, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(times)), [row for _, row in times])
    ax.set_xscale("log")
    ax.set_xlim(times[-1][0] / 1.5, times[0][0] * 2)
    ax.grid(axis="y", color="0.9")
    ax.set(xlabel="ms", title=f"To within {100 * target:g} % of the optimum: {name}")


def save_figure(path, epoch_times, optimum_results):
    """An epoch by batch size, and the way to the optimum, each of one set of data."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(13, 4.8), layout="constrained")
    drawn = ((draw_epochs, epoch_times, "dense"), (draw_optimum, optimum_results, None))
    for ax, (draw, results, name) in zip(axes, drawn, strict=True):
        if results:
            name = name if name in results else next(iter(results))
            draw(ax, name, results[name])
        else:
            ax.axis("off")
    figure.savefig(path, dpi=110)
    print(f"saved {path}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small data, one turn")
    parser.add_argument("--turns", type=int, help="default: 5")
    parser.add_argument("--only", default=",".join(REPORTS), metavar="REPORT,...")
    parser.add_argument("--sets", metavar="SET,...", help="of data, by name")
    parser.add_argument("--fashion-mnist", metavar="DIR", help="where its files are")
    parser.add_argument(
        "--limit", type=float, help="most seconds per fit to the optimum may take"
    )
    parser.add_argument("--threads", type=int, help="of BLAS and OpenMP, at most")
    parser.add_argument("--save", metavar="FILE", help="save a figure")
    parser.add_argument("--write", metavar="FILE", help="write the tables, as Markdown")
    options = parser.parse_args()
    only = options.only.split(",")
    if unknown := set(only) - set(REPORTS):
        parser.error(f"--only takes {', '.join(REPORTS)}; not {', '.join(unknown)}")
    options.turns = options.turns or (1 if options.quick else 5)
    # On busy cores, threads can make small products 100 times as slow.
    options.threads = options.threads or (1 if options.quick else None)
    options.limit = options.limit or (0.06 if options.quick else 10.0)

    # Fits of a few epochs warn that they did not converge, settings that diverge that
    # they overflow. That is measured here.
    warnings.simplefilter("ignore")
    methods = adapters.installed()
    sets = datasets.load(options.quick, options.fashion_mnist)
    if options.sets:
        names = options.sets.split(",")
        if unknown := set(names) - {data.name for data in sets}:
            parser.error(f"no data of the name {', '.join(unknown)}")
        sets = [data for data in sets if data.name in names]
    print(f"{os.cpu_count()} cores, {options.turns} turns\n", flush=True)
    with threadpool_limits(options.threads):
        report(only, methods, sets, options)
    if options.write:
        write(options.write, options)


def report(only, methods, sets, options):
    epoch_times = optimum_results = None
    if "epoch" in only:
        epoch_times = report_epochs([*methods, *reading.methods()], sets, options)
    if "few" in only:
        report_few_epochs(methods, [d for d in sets if d.test is not None], options)
    if "optimum" in only:
        few = [data for data in sets if data.name in QUICK_OPTIMUM_SETS]
        optimum_results = report_optimum(
            methods, few if options.quick else sets, options
        )
    if "defaults" in only:
        report_defaults(methods, sets, options)
    if "memory" in only:
        few = [data for data in sets if data.name in MEMORY_SETS]
        report_memory(methods, few[: 1 if options.quick else None])
    if "scaling" in only:
        report_scaling(methods, options)
    if options.save:
        save_figure(options.save, epoch_times, optimum_results)


if __name__ == "__main__":
    main()
