# Moves an aligned vector from a misaligned address: #GP, SIGSEGV.
.include "fault.inc"

_start: movaps  xmm0, [rsp + 1]
        exit    SURVIVED
