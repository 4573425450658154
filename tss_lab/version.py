"""The version, for whoever states it; ``tss_lab.__version__`` is the same."""

__version__ = "0.1.0"
