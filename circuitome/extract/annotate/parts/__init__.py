"""The parts of the annotation, a module each: ``parts/NAME.py`` holds the `Part` of that name.

What a part is called, what it needs and what it makes is declared in the schema
(`circuitome.graphdb.schema.PARTS`, and ``part`` of columns and tables). To add one, declare it
there and put its module here.
"""
