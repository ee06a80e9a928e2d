"""Measuring Kalla against its peers on the same data. Nothing in here is part of the product."""
