"""What a page draws of each analysis: `figures(results)` in the file of its name gives kinds.

results: all that the page holds of that analysis, in order. An analysis without a file here is
shown by its figure of `vitprobe.plot`.
"""
