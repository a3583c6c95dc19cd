"""What a chat model does with a prompt that asks for a tool or for JSON, by rules and without a model.

`material` finds in a prompt what a value can be made of, `values` puts it into a JSON Schema, `calls` says
which tools a prompt asks for, `structured` answers in JSON. The same prompt always gets the same answer.
"""
