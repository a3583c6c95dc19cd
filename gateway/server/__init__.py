"""Downstream IO: routes, handlers, the responder, middleware and health."""
