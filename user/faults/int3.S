# Executes a breakpoint: #BP, SIGTRAP.
.include "fault.inc"

_start: int3
        exit    SURVIVED
