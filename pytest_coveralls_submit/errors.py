"""Errors raised on purpose; each message says what happened, where, and what to do."""

from __future__ import annotations


class CoverallsError(Exception):
    """Base of all errors that this package raises on purpose."""


class SettingsError(CoverallsError):
    """Report a value that cannot be used, with its source."""


class MeasurementError(CoverallsError):
    """Report that there is no whole measurement."""


class ProcessError(CoverallsError):
    """Report a child process that failed or took too long."""


class JobError(CoverallsError):
    """Report a job that cannot be built, read or checked."""


class GitLabError(CoverallsError):
    """Report that GitLab refused or did not answer as documented."""
