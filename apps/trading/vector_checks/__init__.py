"""Golden vectors run through the domain: one adapter a topic, comparison, counting. No Django, no database.

An adapter turns a case's input into the outcome the domain gives, in the shape of the case's expectation. Start at
`runner`; `manage.py check_vectors` prints what it finds; docs/vectors.md explains every kind of deviation.
"""
