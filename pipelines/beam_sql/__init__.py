"""The engine ``beam-sql``: Beam's SqlTransform finds the pairs; the evidence is made from them as ever.

``statement`` makes the SQL or refuses, ``rows`` hands rows to it and keeps its pairs, ``transform`` is Beam's part,
``service`` the Java program that expands and runs the SQL.
"""
