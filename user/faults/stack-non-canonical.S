# Pushes with a non-canonical stack pointer: #SS, which is SIGBUS.
.include "fault.inc"

_start: movabs  rsp, NON_CANONICAL + 4096
        push    rax
        exit    SURVIVED
