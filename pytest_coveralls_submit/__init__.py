"""Submit a pytest run's coverage to Coveralls with ``pytest --coveralls``."""

__version__ = "0.1.0"
