"""The conversation that makes a recipe: phases, session, cards, tools, and the loop that drives them.

Knows services, knows nothing of Flask. Who leads (the model or the guided mode) is behind ``driver.Driver``.
"""
