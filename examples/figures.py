"""What the plot_*.py scripts share: their command line."""

import argparse

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    message = "This example needs matplotlib: pip install matplotlib"
    raise ImportError(message) from error


def show(draw, description):
    """Draw a figure, then show it or, with --save FILE, save it."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", metavar="FILE", help="save instead of showing")
    arguments = parser.parse_args()
    figure = draw()
    if arguments.save:
        figure.savefig(arguments.save, dpi=110)
    else:
        plt.show()
