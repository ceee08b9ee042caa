"""The circuits that the thread published: its facts as a graph, and each claim beside what is
measured on them.
"""
