"""The errors that a user meets. Each message says what was found, what was expected and what to
do."""


class VssbenchError(Exception):
    """Base of every error that is the user's to mend: printed as one message, never as a
    traceback."""


class UsageError(VssbenchError):
    """A wrong name, option or value."""


class DataError(VssbenchError):
    """Data on disk that is missing, broken or inconsistent: images, labels, lists, videos."""


class WeightsError(VssbenchError):
    """Weights that are missing, unreadable or made for another network."""


class OutOfMemory(VssbenchError):
    """Memory, or threads, that ran out in the midst of work."""


class ExperimentRefused(VssbenchError):
    """A method needs something that this dataset or codec cannot give (motion vectors, a
    neighbouring frame)."""


class MotionUnavailable(ExperimentRefused):
    """Motion vectors that cannot be had here, or not be trusted: a library is missing, a decoder is
    of another build."""
