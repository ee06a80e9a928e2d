"""How a recipe runs. Nothing is imported here, so that ``pipelines.launch`` stays light."""
