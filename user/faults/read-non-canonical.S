# Reads a non-canonical address: #GP, not #PF.
.include "fault.inc"

_start: movabs  rax, NON_CANONICAL
        mov     rax, [rax]
        exit    SURVIVED
