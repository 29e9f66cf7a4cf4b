"""What can go wrong, as a short tree; every message says what happened, where, and what to do.

CoverallsError
├── SettingsError      a setting cannot be used: the message names its source and what is accepted
├── MeasurementError   there is no whole measurement to report
├── ProcessError       a child process did not start, took too long or said too much
├── JobError           a job cannot be built, read or checked
└── GitLabError        GitLab did not answer as its documentation says
"""

from __future__ import annotations


class CoverallsError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingsError(CoverallsError):
    """A setting has a value that cannot be used."""


class MeasurementError(CoverallsError):
    """There is no whole coverage measurement to report."""


class ProcessError(CoverallsError):
    """A child process could not be started, took too long, or printed more than is read."""


class JobError(CoverallsError):
    """A job does not have the documented form, or cannot be read."""


class GitLabError(CoverallsError):
    """GitLab refused, did not answer in time, or answered something else than documented."""
