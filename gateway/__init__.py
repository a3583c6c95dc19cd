"""An asynchronous gateway to Amazon Bedrock.

Six nouns carry the design: a *request* (`domain.CompletionRequest`) is parsed from a *dialect*, formatted
by a *codec* for one model family, sent while it holds a *slot*, and answered as a stream of *events* that
ends in exactly one terminal *record*.
"""

__version__ = "0.1.0"
