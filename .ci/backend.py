"""setuptools, told where the manifest of the sdist is.

The top level has no place for a MANIFEST.in, and no option names another one.
"""

from setuptools.build_meta import *  # noqa: F403
from setuptools.command.egg_info import manifest_maker

manifest_maker.template = ".ci/manifest.in"
