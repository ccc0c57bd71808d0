# Reads address 0, which is never mapped.
.include "fault.inc"

_start: mov     rax, [0]
        exit    SURVIVED
