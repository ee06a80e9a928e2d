"""Workbooks (.xlsx): their sheets, and the rows of one as texts, streamed and exact.

The usual libraries read every number as a float and hold a sheet, or all shared texts, in memory; neither will do here.
"""
