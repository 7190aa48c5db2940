"""The kernel that every other folder shares: types, errors, settings.

Nothing in here imports a sibling folder. Plugins import this package and nothing else of the project.
"""

__version__ = "0.1.0"
