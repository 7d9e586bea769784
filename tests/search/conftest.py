import logging
import re

import pytest


@pytest.fixture
def fits(caplog):
    """How many fits were trained together, and how many there were, of each search."""
    caplog.set_level(logging.INFO, "skgd.search")

    def found():
        texts = [re.match(r"(\d+) of (\d+) fits", m) for m in caplog.messages]
        caplog.clear()
        return [(int(text[1]), int(text[2])) for text in texts]

    return found
