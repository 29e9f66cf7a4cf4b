"""Who built what: CI service, git, GitLab, token."""
