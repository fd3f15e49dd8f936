"""The Python surface: what `import lit_experiments as lit` offers. The same code as the command line, with the same
defaults, out of the same YAML files.
"""
