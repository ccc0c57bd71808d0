# Raises the vectors that only hardware and the kernel may raise: #GP, SIGSEGV.
.include "fault.inc"

_start: int     32
        exit    SURVIVED
