"""The result of an experiment as one document, and the page drawn from it.

`document` builds plain values from what was measured, `html` draws one self-contained file, `svg`
draws its plots. All pure: the same document gives the same bytes.
"""
