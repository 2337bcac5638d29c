"""Leaving the processor's vector registers as other code expects them.

ISA-L's inflate ends without VZEROUPPER on processors with AVX-512. The upper halves of the vector
registers then stay "in use", and every SSE instruction after it pays for merging with them: copying
memory, which is what cutting messages mostly is, takes 1.8 times as long until some code clears
them (Intel 64 and IA-32 Architectures Optimization Reference Manual, "Mixing AVX code with SSE
code"). This was the gap between gunzip and counting measured apart and measured together; proven by
executing that one instruction in between, which closed it. `bench/meter.py` measures both.

A small numpy addition runs compiled AVX code, which clears them at its end: one microsecond. Where
there is no AVX it does nothing, at the same price.
"""

from __future__ import annotations

import numpy as np

_SOME = np.zeros(64)


def settle() -> None:
    """Clear the upper halves of the vector registers, if they are in use."""
    np.add(_SOME, _SOME, out=_SOME)
