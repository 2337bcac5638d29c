"""Sequential tests that may be looked at after every batch, as pure functions.

Promises: every bound is valid at every look (Ville's inequality), or says that it is asymptotic and
from when; every function names its source and is checked against published values. Leaves to
`rules` what follows from a number. All e-values are natural logarithms, so that long experiments
do not overflow; an e-process rejects at level alpha when its logarithm reaches `ln(1/alpha)`.
"""
