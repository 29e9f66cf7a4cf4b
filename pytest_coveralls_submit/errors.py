"""Errors raised on purpose, with the place and the fix in the message."""


class CoverallsError(Exception):
    """Base of all errors raised on purpose."""


class SettingsError(CoverallsError):
    """Report an unusable value, with its source."""


class MeasurementError(CoverallsError):
    """Report an incomplete measurement."""


class ProcessError(CoverallsError):
    """Report a child process's failure."""


class JobError(CoverallsError):
    """Report a job that cannot be built, read or checked."""


class GitLabError(CoverallsError):
    """Report a refusal or an unexpected answer of GitLab."""
