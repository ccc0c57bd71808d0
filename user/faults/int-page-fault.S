# Raises the page-fault vector by software: #GP, since its gate is the kernel's alone.
.include "fault.inc"

_start: int     14
        exit    SURVIVED
