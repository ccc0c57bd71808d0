# Writes to its own code, which is read-only.
.include "fault.inc"

_start: lea     rax, [rip + _start]
        mov     byte ptr [rax], 0x90
        exit    SURVIVED
