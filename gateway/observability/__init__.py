"""Logging: the only place that configures structlog and the standard loggers."""
